//! Experts of synthesised tasks, replayed and audited by the program in namespaces.
//!
//! Where the host refuses namespaces they print `skipped:`, and fail under `APPRENTICE_REQUIRE=namespaces`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips and what it found")]

mod audit;
mod replay;
mod workshop;
