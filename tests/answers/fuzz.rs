//! Random and adversarial pairs: no panic, symmetric verdicts, bounded memory, and in the full run bounded time.
//!
//! `APPRENTICE_ANSWERS=1000000 cargo test --release --test answers -- fuzz` is the full run, which also holds each pair to 50 ms of
//! the processor's time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use apprentice::answer::compat::{self, Grader};
use apprentice::answer::{Profile, Verdict, judge, strict};

/// Pairs without the variable.
const PAIRS: u64 = 3_000;
/// The most of the processor's time that one judgement may take.
const SECONDS: Duration = Duration::from_millis(50);
/// The most that one judgement may hold at once.
const BYTES: usize = 16 << 20;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts what this thread holds.
struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.with(|held| {
            held.set(held.get().wrapping_add(layout.size()));
            PEAK.with(|peak| peak.set(peak.get().max(held.get())));
        });
        // SAFETY: the caller's layout is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get().saturating_sub(layout.size())));
        // SAFETY: the pointer came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn fuzzed_pairs_are_judged_within_bounds() {
    let asked = std::env::var("APPRENTICE_ANSWERS").ok().map(|count| count.parse::<u64>().unwrap());
    let pairs = asked.unwrap_or(PAIRS);
    let mut found = [0_u64; 4];
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    // Compiles the patterns, which a process does once.
    judge("1", "the answer is 1", Profile::Exact);
    for grader in Grader::ALL {
        compat::judge(grader, "1", "1");
    }
    for pair in 0..pairs {
        let mut dice = Dice(pair.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (gold, answer) = dice.pair();
        let reply = dice.reply(&answer);
        HELD.with(|held| held.set(0));
        PEAK.with(|peak| peak.set(0));
        let begin = cpu_time();
        let judged = judge(&gold, &reply, Profile::Minerva);
        let took = cpu_time().saturating_sub(begin);
        let peak = PEAK.with(Cell::get);
        let place = [Verdict::Equal, Verdict::NotEqual, Verdict::Undecided, Verdict::NoAnswer];
        found[place.iter().position(|verdict| *verdict == judged.verdict).unwrap()] += 1;
        assert!(peak < BYTES, "pair {pair} held {peak} bytes: {gold:?} {answer:?}");
        assert!(asked.is_none() || took < SECONDS, "pair {pair} took {took:?}: {gold:?} {answer:?}");
        slowest = slowest.max(took);
        largest = largest.max(peak);
        let forth = strict::answers(&gold, &answer, Profile::Exact).0;
        let back = strict::answers(&answer, &gold, Profile::Exact).0;
        assert_eq!(forth, back, "pair {pair} is not symmetric: {gold:?} {answer:?}");
        assert_eq!(forth, strict::answers(&gold, &answer, Profile::Exact).0, "pair {pair} is not repeatable");
        for grader in Grader::ALL {
            let begin = cpu_time();
            compat::judge(grader, &gold, &reply);
            let took = cpu_time().saturating_sub(begin);
            assert!(
                asked.is_none() || took < SECONDS,
                "pair {pair}, {}: {took:?}: {gold:?} {answer:?}",
                grader.name()
            );
        }
    }
    let [equal, different, undecided, none] = found;
    println!(
        "{pairs} pairs: {equal} equal, {different} not, {undecided} undecided, {none} without an answer"
    );
    println!("slowest {slowest:?}, largest {largest} bytes");
    assert!(equal > 0 && different > 0, "the generator reaches verdicts of both kinds");
}

/// What this thread has computed: other programs on the machine do not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that outlives the call.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(code, 0);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Random choices that depend on the pair alone.
struct Dice(u64);

const ATOMS: &[&str] = &[
    "0",
    "1",
    "2",
    "12",
    "0.5",
    "1.25",
    "1,000",
    "1{,}000",
    "3e8",
    "4.5e-33",
    "x",
    "y",
    "n",
    "e",
    "i",
    "\\pi",
    "\\infty",
    "\\alpha",
    "a_{1}",
    "f(x)",
    "50\\%",
    "90^\\circ",
    "\\text{cm}",
    "\\text{yes}",
    "A",
    "0.\\overline{3}",
    "2516_8",
    "…",
    "\\varnothing",
    "\\mathbb{R}",
    "½",
    "π",
    "x²",
    "∞",
    "5 \\text{ km/h}",
    "\\$5",
    "10!",
    "999999999999999999999",
    "1/0",
];
const JUNK: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "\\}",
    "\\left",
    "\\right.",
    "\\frac",
    "\\sqrt[",
    "^",
    "_",
    "^^",
    "\\",
    "\\\\",
    "&",
    "$",
    "$$",
    "\\boxed{",
    "\\text{",
    "|",
    "!",
    "!!!!",
    "/",
    "//",
    ",",
    ";",
    "=",
    "<",
    "\\le",
    "\\pm",
    "\\cup",
    "\\in",
    "%",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "\u{200b}",
    "\u{202e}",
    "😀",
    "答案是",
    "é",
    "\0",
    "\n\n",
    "</think>",
    "<think>",
    "and",
    "or",
    "\\int_0^1",
    "\\lim_{x\\to0}",
    "\\sum_{k=1}^{1000}",
    "e",
    "E-",
    "..",
    "…",
    "°",
    "²",
    "'",
    "\\not",
];

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (value ^ (value >> 31)) % sides
    }

    fn of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.roll(words.len() as u64) as usize]
    }

    fn pair(&mut self) -> (String, String) {
        let gold = self.text();
        let answer = match self.roll(4) {
            0 => gold.clone(),
            1 => self.damaged(&gold),
            _ => self.text(),
        };
        (gold, answer)
    }

    fn reply(&mut self, answer: &str) -> String {
        match self.roll(6) {
            0 => answer.to_owned(),
            1 => format!("The answer is {answer}."),
            2 => format!("<think>{answer}</think>\nso ${answer}$"),
            3 => format!("\\boxed{{{answer}}} and \\boxed{{{answer}}}"),
            _ => format!("Therefore the answer is $\\boxed{{{answer}}}$."),
        }
    }

    fn text(&mut self) -> String {
        match self.roll(12) {
            0 => self.nested(),
            1 => self.tower(),
            2 => self.long(),
            3 => (0..self.roll(40)).map(|_| self.of(JUNK)).collect(),
            4 => {
                let expression = self.expression(4);
                self.damaged(&expression)
            }
            5 => (0..self.roll(30)).filter_map(|_| char::from_u32(self.roll(0x11_0000) as u32)).collect(),
            6 => self.structure(),
            _ => self.expression(5),
        }
    }

    fn expression(&mut self, depth: u64) -> String {
        if depth == 0 || self.roll(4) == 0 {
            return self.of(ATOMS).to_owned();
        }
        let mut next = || self.expression(depth - 1);
        let (left, right) = (next(), next());
        match self.roll(14) {
            0 => format!("\\frac{{{left}}}{{{right}}}"),
            1 => format!("\\sqrt{{{left}}}"),
            2 => format!("\\sqrt[{}]{{{left}}}", self.roll(70)),
            3 => format!("({left})^{{{right}}}"),
            4 => format!("\\sin({left})"),
            5 => format!("\\ln {left}"),
            6 => format!("|{left}|"),
            7 => format!("{left}!"),
            8 => format!("{left} \\pm {right}"),
            9 => format!("\\binom{{{left}}}{{{right}}}"),
            10 => format!("{left}{right}"),
            11 => format!("\\arcsin\\left({left}\\right)/{right}"),
            12 => format!("{left}-{right}"),
            _ => format!("{left} + {right}"),
        }
    }

    fn structure(&mut self) -> String {
        let mut parts: Vec<String> = (0..=self.roll(5)).map(|_| self.expression(2)).collect();
        match self.roll(9) {
            0 => format!("\\{{{}\\}}", parts.join(",")),
            1 => format!("({})", parts.join(", ")),
            2 => format!("[{})", parts.join(", ")),
            3 => parts.join(" < "),
            4 => parts.join(" = "),
            5 => parts.join(" \\cup "),
            6 => format!("\\begin{{pmatrix}}{}\\end{{pmatrix}}", parts.join(" \\\\ ")),
            7 => parts.join(" \\text{ or } "),
            _ => {
                parts.insert(0, "x \\in (-\\infty, 3]".to_owned());
                parts.join(" \\setminus ")
            }
        }
    }

    fn nested(&mut self) -> String {
        let (open, close) = match self.roll(9) {
            0 => ("(", ")"),
            1 => ("{", "}"),
            2 => ("\\frac{1}{1+", "}"),
            3 => ("\\sqrt{2+", "}"),
            4 => ("\\sin(", ")"),
            5 => ("|", "|"),
            6 => ("\\{", "\\}"),
            7 => ("\\text{", "}"),
            _ => ("-", ""),
        };
        let depth = self.roll(2_000) as usize;
        let core = self.of(ATOMS);
        [open.repeat(depth).as_str(), core, close.repeat(depth).as_str()].concat()
    }

    fn tower(&mut self) -> String {
        let depth = 1 + self.roll(60) as usize;
        let base = self.of(&["9", "10", "2", "x", "0.5", "\\pi", "e", "(-2)", "\\frac{7}{3}", "99999999999"]);
        let top = self.of(&["9", "x", "-1", "\\frac12", "99999999999", "0"]);
        [format!("{base}^{{").repeat(depth).as_str(), top, "}".repeat(depth).as_str()].concat()
    }

    fn long(&mut self) -> String {
        let count = self.roll(4_000) as usize;
        match self.roll(12) {
            0 => "7".repeat(count),
            1 => format!("0.{}", "3".repeat(count)),
            2 => format!("1e{}", self.roll(2_000_000_000)),
            3 => (0..count / 8).map(|number| number.to_string()).collect::<Vec<_>>().join(","),
            4 => "x+".repeat(count / 4) + "1",
            5 => "(x+1)".repeat(count / 10),
            6 => format!("\\sum_{{k=1}}^{{{count}}} \\frac{{1}}{{k}}"),
            7 => format!("{count}!"),
            8 => "\\sin x+".repeat(count / 20) + "1",
            9 => format!("10^{{{}}}", "9".repeat(count)),
            10 => format!("2^{{{count}}}+\\sqrt{{{}}}", "6".repeat(count / 2)),
            _ => "!".repeat(count),
        }
    }

    fn damaged(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        for _ in 0..=self.roll(3) {
            let at = self.roll(letters.len() as u64 + 1) as usize;
            if self.roll(2) == 0 && at < letters.len() {
                letters.remove(at);
            } else {
                let junk: Vec<char> = self.of(JUNK).chars().collect();
                letters.splice(at..at, junk);
            }
        }
        letters.into_iter().collect()
    }
}
