//! Gold answers as AIME, AMC and Minerva write them, answered in every spelling; and answers that must not pass.

use apprentice::answer::{Profile, Verdict, judge};

fn verdict(gold: &str, answer: &str, profile: Profile) -> Verdict {
    judge(gold, &format!("Therefore the answer is $\\boxed{{{answer}}}$."), profile).verdict
}

fn is_equal(gold: &str, answer: &str) -> bool {
    verdict(gold, answer, Profile::Exact) == Verdict::Equal
}

#[test]
fn aime_answers_pass_with_and_without_zeros() {
    for number in 0..1000 {
        let (padded, plain) = (format!("{number:03}"), number.to_string());
        for answer in [
            plain.clone(),
            padded.clone(),
            format!("{number}.0"),
            format!("{number}."),
            format!("\\text{{{number}}}"),
        ] {
            assert!(is_equal(&padded, &answer), "{padded} {answer}");
            assert!(is_equal(&plain, &answer), "{plain} {answer}");
        }
    }
}

#[test]
fn amc_answers_pass_as_integers_and_with_their_letter() {
    for number in -50..200 {
        let gold = format!("{number}.0");
        for answer in [
            format!("{number}"),
            gold.clone(),
            format!("\\textbf{{(C)}}\\ {number}"),
            format!("{{{number}}}"),
        ] {
            assert!(is_equal(&gold, &answer), "{gold} {answer}");
        }
    }
}

#[test]
fn minerva_answers_pass_in_every_notation() {
    for (mantissa, exponent) in
        [("4.5", 33), ("1.6", -19), ("6.626", -34), ("3", 8), ("1.18", 2), ("2.75", 11), ("-9.5", -7)]
    {
        let gold = format!("{mantissa}e{exponent}");
        let spellings = [
            format!("{mantissa} \\times 10^{{{exponent}}}"),
            format!("{mantissa} \\cdot 10^{{{exponent}}}"),
            format!("{mantissa}\\times10^{{{exponent}}}\\mathrm{{~kg}}"),
            format!("{mantissa}E{exponent:+}"),
            format!("{mantissa} \\times 10^{{{exponent}}} \\text{{ erg/s}}"),
            format!("{mantissa} * 10^({exponent})"),
        ];
        for answer in spellings {
            // `3e-9` without a point could be a difference; no such gold is among these.
            assert!(is_equal(&gold, &answer), "{gold} {answer}");
        }
    }
    assert!(is_equal("np.arcsin(10/13)", "\\arcsin \\frac{10}{13}"));
    assert!(is_equal("-1./3", "-\\frac{1}{3}"));
    assert!(is_equal("\\frac{dM}{dt}=10^{5} M", "10^5 M"));
    assert!(!is_equal("I(0)", "0"));
}

#[test]
fn a_neighbour_of_an_exact_answer_never_passes() {
    let golds = [1_i64, 7, 27, 25, 204, 999, 15_625, 1_000_000, 123_456_789, -3, -48];
    for gold in golds {
        for text in [format!("{gold}"), format!("{gold}.0")] {
            let scaled = |factor: f64| format!("{:.8}", gold as f64 * factor);
            let wrong = [
                format!("{}", gold * 100),
                format!("{}.0", gold * 100),
                format!("\\frac{{{gold}}}{{100}}"),
                scaled(0.01),
                format!("{}", gold + 1),
                scaled(1.0 + 5e-5),
                format!("{gold} \\cdot 1.00005"),
                format!("{gold} + 10^{{-30}}"),
                format!("{}", -gold),
                format!("{gold} \\text{{ or }} {}", gold + 1),
                format!("{gold}, {}", gold + 1),
            ];
            for answer in wrong {
                for profile in [Profile::Exact, Profile::Minerva] {
                    // The profile for measurements rounds what is written with a point, by what half a last digit is.
                    let is_rounded = profile == Profile::Minerva && text.contains('.');
                    if !is_rounded {
                        assert_ne!(
                            verdict(&text, &answer, profile),
                            Verdict::Equal,
                            "{text} {answer} {}",
                            profile.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn tiny_and_huge_numbers_are_told_apart() {
    let pairs = [
        ("\\frac{1}{2^{99}}", "\\frac{1}{2^{98}}"),
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("123456789012345678901", "123456789012345678902"),
        ("10^{10^{10}}", "10^{10^{11}}"),
        ("9^{9^{9^{9}}}", "1"),
        ("10^{-400}", "0"),
        ("\\pi", "3.14159265358979323846264338327950288"),
        ("\\sqrt{2}+10^{-40}", "\\sqrt{2}"),
    ];
    for (left, right) in pairs {
        assert_eq!(verdict(left, right, Profile::Exact), Verdict::NotEqual, "{left} {right}");
        assert_eq!(verdict(right, left, Profile::Exact), Verdict::NotEqual, "{right} {left}");
    }
}

#[test]
fn the_profile_for_measurements_rounds_to_the_golds_digits_and_no_further() {
    let minerva = |gold: &str, answer: &str| verdict(gold, answer, Profile::Minerva) == Verdict::Equal;
    assert!(minerva("4.5e33", "4.52 \\times 10^{33}"));
    assert!(minerva("1.23", "1.2345"));
    assert!(!minerva("4.5e33", "4.56 \\times 10^{33}"));
    assert!(!minerva("4.5e33", "4.5 \\times 10^{32}"));
    assert!(!minerva("0.5", "0.54"), "half a digit is more than one per cent");
    assert!(!minerva("27", "27.1"), "integers are exact");
    assert!(!is_equal("1.23", "1.2345"), "only in the profile");
}
