//! The `apprentice` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A re-executed child of the namespaces or landlock backend never reaches the command line.
    // It must be decided before any thread exists: unsharing a user namespace needs a single-threaded process.
    if let Some(code) = apprentice::sandbox::inside::init_if_asked() {
        return code;
    }
    apprentice::cli::main()
}
