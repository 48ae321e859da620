//! What the windowed editors show of a file: pure functions on its text.
//!
//! The shell editions compute with the window's middle line in halves (`jq` gives fractions), the
//! programs with its first line; both roundings are kept as they were.

/// Where the shell editions look: the middle line, from 1, and the window's height.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) line: i64,
    pub(super) window: i64,
}

impl View {
    /// The same view kept inside a file of `total` lines.
    pub(super) fn constrained(self, total: i64) -> Self {
        let half = self.window / 2;
        Self { line: self.line.min(total - half).max(half), ..self }
    }
}

/// The lines of `text` as `awk` and `grep` count them: a last one without line end counts.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').skip(usize::from(text.is_empty())).collect()
}

/// The window of the range edition, header first.
pub(super) fn show(path: &str, text: &str, view: View) -> String {
    let lines = lines(text);
    let total = lines.len() as i64;
    let half = view.window as f64 / 2.0;
    let above = (view.line as f64 - half).max(0.0).floor() as i64;
    let below = (total as f64 - view.line as f64 - half).max(0.0).round() as i64;
    let last = ((view.line as f64 + half).max(half).floor() as i64).clamp(0, total);
    let first = (last - view.window).max(0);
    let mut shown = header(path, total, above);
    for number in first..last {
        shown.push_str(&format!("{}:{}\n", number + 1, lines[number as usize]));
    }
    push_below(&mut shown, below);
    shown
}

/// The window of the cursor edition, and its cursors moved into it.
pub(super) fn show_cursors(path: &str, text: &str, view: View, cursors: &mut (i64, i64)) -> String {
    let lines = lines(text);
    let total = lines.len() as i64;
    let first = (view.line - view.window / 2).max(1);
    let moved = move_cursors(view, total.max(1), cursors);
    let last = (view.line + view.window / 2).min(total);
    let count = (last - first + 1).max(0);
    let mut shown = header(path, total, first - 1);
    for number in first..=first + count {
        if number == cursors.0 {
            shown.push_str("<<<<< START CURSOR >>>>>\n");
        }
        if number < first + count {
            shown.push_str(&format!("{number}:{}\n", lines[number as usize - 1]));
        }
        if number == cursors.1 {
            shown.push_str("<<<<< END CURSOR >>>>>\n");
        }
    }
    push_below(&mut shown, (total - first - count).max(0));
    shown + &moved
}

fn move_cursors(view: View, total: i64, cursors: &mut (i64, i64)) -> String {
    let first = (view.line - view.window / 2).max(1);
    let last = (view.line + view.window / 2).min(total);
    let mut moved = String::new();
    for (name, cursor) in [("START", &mut cursors.0), ("END", &mut cursors.1)] {
        let inside = if *cursor < first { first } else { (*cursor).min(last) };
        if inside != *cursor {
            *cursor = inside;
            moved.push_str(&format!("{name}_CURSOR moved to {inside}\n"));
        }
    }
    // The original prints its warnings, which end with a line end, as a line.
    if moved.is_empty() { moved } else { moved + "\n" }
}

fn header(path: &str, total: i64, above: i64) -> String {
    let mut header = format!("[File: {path} ({total} lines total)]\n");
    if above > 0 {
        header.push_str(&format!("({above} more lines above)\n"));
    }
    header
}

fn push_below(shown: &mut String, below: i64) {
    if below > 0 {
        shown.push_str(&format!("({below} more lines below)\n"));
    }
}

/// The window of the programs: `window` lines from the one at `first` (from 0), no last line end.
pub(super) fn show_from(path: &str, text: &str, first: i64, window: usize) -> String {
    let total = super::python::count_lines(text) as i64;
    let last = (first + window as i64 - 1).min(total - 1);
    let mut shown = vec![format!("[File: {path} ({total} lines total)]")];
    if first > 0 {
        shown.push(format!("({first} more lines above)"));
    }
    let numbered = |(at, line): (usize, &str)| format!("{}:{line}", at + 1);
    let span = (last - first + 1).max(0) as usize;
    shown.extend(text.split('\n').enumerate().skip(first as usize).take(span).map(numbered));
    if last < total - 1 {
        shown.push(format!("({} more lines below)", total - last - 1));
    }
    shown.join("\n")
}
