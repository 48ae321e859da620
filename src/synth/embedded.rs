//! The repositories that ship inside the program: POSIX shell with TAP tests, nothing else needed.

use std::collections::BTreeMap;

use super::Repository;
use crate::task::Parser;

macro_rules! embed {
    ($name:literal: $($function:literal)+) => {
        ($name, &[
            ("README.md", include_str!(concat!("../../tasks/", $name, "/repo/README.md"))),
            ("tests/cases.sh", include_str!(concat!("../../tasks/", $name, "/repo/tests/cases.sh"))),
            ("tests/run.sh", include_str!(concat!("../../tasks/", $name, "/repo/tests/run.sh"))),
            $((
                concat!("src/", $function, ".sh"),
                include_str!(concat!("../../tasks/", $name, "/repo/src/", $function, ".sh")),
            ),)+
        ])
    };
}

/// A repository's name and its files.
type Embedded = (&'static str, &'static [(&'static str, &'static str)]);

const REPOSITORIES: &[Embedded] = &[
    embed!("bases": "addup" "binary" "decimal" "digits" "ones"),
    embed!("checks": "digits_only" "grade" "hour" "pin" "same"),
    embed!("dates": "century" "leap" "month_days" "quarter" "weekend"),
    embed!("lists": "index" "max" "min" "sum" "unique"),
    embed!("money": "coins" "price" "sale" "share" "tax"),
    embed!("numbers": "clamp" "factorial" "gcd" "power" "sign"),
    embed!("parse": "field" "fields" "flag" "key" "value"),
    embed!("roman": "digit" "tally" "tens" "total"),
    embed!("series": "collatz" "fib" "fizz" "prime" "steps"),
    embed!("shapes": "area" "border" "inside" "square" "walk"),
    embed!("stats": "above" "evens" "mean" "rising" "spread"),
    embed!("text": "count" "longer" "pad" "repeat" "reverse"),
    embed!("times": "clock" "gap" "minutes" "overlap" "slots"),
    embed!("words": "initials" "join" "longest" "plural" "vowels"),
];

/// Every embedded repository, by name.
pub fn repositories() -> Vec<Repository> {
    REPOSITORIES.iter().map(assembled).collect()
}

/// The embedded repository of this name.
pub fn repository(name: &str) -> Option<Repository> {
    REPOSITORIES.iter().find(|embedded| embedded.0 == name).map(assembled)
}

fn assembled((name, files): &Embedded) -> Repository {
    let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    Repository {
        name: (*name).to_owned(),
        files: files.iter().map(own).collect::<BTreeMap<_, _>>(),
        root: None,
        setup: Vec::new(),
        test_command: "sh tests/run.sh".to_owned(),
        expert_command: "sh tests/run.sh -q".to_owned(),
        parser: Parser::Tap,
        restore: vec!["tests".to_owned()],
    }
}
