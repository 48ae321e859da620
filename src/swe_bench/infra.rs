//! Signs of a broken environment in a log, as 5.0.2 looks for them.
//!
//! They are advice: what is unresolved stays unresolved there. A full disk, a refused connection and a process that the
//! shell says was killed are not among them.

use std::sync::LazyLock;

use regex::Regex;

/// A sign that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// Its name in reports.
    pub reason: &'static str,
    /// How sure it is.
    pub tier: Tier,
}

/// How sure a sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// No patch of the repository does that.
    Environment,
    /// A patch may have done it.
    Ambiguous,
}

impl Tier {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// In the order in which they are looked for; the first that is found counts.
const SIGNS: [(&str, Tier, &str); 8] = [
    ("browser_launch_failed", Tier::Environment, "Failed to launch|Failed to connect to the bus"),
    (
        "display_unavailable",
        Tier::Environment,
        "cannot open display|Missing X server|unable to open X display",
    ),
    ("out_of_memory", Tier::Environment, "Cannot allocate memory|OutOfMemoryError|(?m:^Killed$)"),
    (
        "container_unavailable",
        Tier::Environment,
        "Error response from daemon|Cannot connect to the Docker daemon",
    ),
    ("network_unreachable", Tier::Environment, "Could not resolve host|Temporary failure in name resolution"),
    ("missing_module", Tier::Ambiguous, "Cannot find module|MODULE_NOT_FOUND|ModuleNotFoundError"),
    ("no_tests_collected", Tier::Ambiguous, "no tests ran|collected 0 items"),
    ("tests_timed_out", Tier::Ambiguous, r"Timeout error: \d+ seconds exceeded"),
];

static PATTERNS: LazyLock<[(Sign, Regex); 8]> = LazyLock::new(|| {
    SIGNS.map(|(reason, tier, pattern)| {
        (Sign { reason, tier }, Regex::new(pattern).expect("invariant: the pattern is valid"))
    })
});

/// The first sign that a text shows.
pub fn sign(text: &str) -> Option<Sign> {
    PATTERNS.iter().find(|(_, pattern)| pattern.is_match(text)).map(|(sign, _)| *sign)
}
