//! Tasks an hour from three libraries of others: one of PyPI, one of crates.io, one of Debian, tests included.
//!
//! Ignored, because they are fetched and because it takes minutes:
//! `cargo test --release --test synth_libraries -- --ignored --nocapture --test-threads 1`
//! Needs pip, cargo, apt-get with a Debian mirror, and the sandbox `rust` built for namespaces in the cache below
//! `CARGO_TARGET_TMPDIR` (`XDG_CACHE_HOME=target/tmp/cache apprentice sandbox build rust --sandbox namespaces`). `SYNTH_COUNT`
//! says how many tasks of each (default 20). Prints the program's own report, wall and CPU seconds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it measures")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A library of others.
struct Library {
    name: &'static str,
    /// Makes a directory of this name with its sources.
    fetch: &'static str,
    directory: &'static str,
    language: &'static str,
    sandbox: &'static str,
    setup: &'static [&'static str],
    tests: &'static str,
    parser: &'static str,
}

const TOOLZ: Library = Library {
    name: "toolz 1.2.0 (PyPI)",
    fetch: "pip download --quiet --no-deps --no-binary :all: toolz==1.2.0 && tar xzf toolz-1.2.0.tar.gz",
    directory: "toolz-1.2.0",
    language: "python",
    sandbox: "python",
    setup: &[],
    tests: "python3 -m pytest -rA -q -p no:cacheprovider --rootdir . toolz/tests",
    parser: "pytest",
};

/// Built outside of the repository, so that nothing of it becomes part of a patch.
const STRSIM: Library = Library {
    name: "strsim 0.11.1 (crates.io)",
    fetch: "cargo info --quiet strsim@0.11.1 > info && tar xzf \
            ${CARGO_HOME:-$HOME/.cargo}/registry/cache/*/strsim-0.11.1.crate \
            && (cd strsim-0.11.1 && cargo generate-lockfile --offline)",
    directory: "strsim-0.11.1",
    language: "rust",
    sandbox: "rust",
    setup: &["CARGO_TARGET_DIR=/tmp/target cargo test --offline --lib --tests --no-run"],
    tests: "CARGO_TARGET_DIR=/tmp/target cargo test --offline --lib --tests --no-fail-fast 2>&1 \
            | sed -E 's/^test (.*) \\.\\.\\. ok$/ok - \\1/; s/^test (.*) \\.\\.\\. FAILED$/not ok - \\1/'",
    parser: "tap",
};

/// Its tests are programs of a framework of its own (Unity), one line a test.
const CJSON: Library = Library {
    name: "cjson 1.7.15 (Debian)",
    fetch: "mkdir -p apt/lists/partial apt/archives/partial apt/parts \
            && cat /etc/apt/sources.list.d/*.sources | sed 's/^Types: .*/Types: deb-src/' > apt/parts/own.sources \
            && set -- -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/parts \
               -o Dir::State::lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt \
            && apt-get \"$@\" update && apt-get \"$@\" source cjson && rm -rf cjson-1.7.15/.pc",
    directory: "cjson-1.7.15",
    language: "c",
    sandbox: "c",
    setup: &["gcc -c -o /tmp/unity.o tests/unity/src/unity.c"],
    tests: r#"for t in tests/*.c; do n=$(basename $t .c); grep -q ' main(' $t || continue; u=; grep -q cJSON_Utils.h $t && u=cJSON_Utils.c; gcc -w -o /tmp/$n $t $u /tmp/unity.o -lm && (cd tests && timeout 20 /tmp/$n) | sed -nE "s/^.*\.c:[0-9]+:(\w+):PASS.*$/ok - $n.\1/p; s/^.*\.c:[0-9]+:(\w+):FAIL:? ?(.*)$/not ok - $n.\1\n# \2/p"; done"#,
    parser: "tap",
};

fn measure(library: &Library) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("synth_libraries");
    fs_err::create_dir_all(&place).unwrap();
    if !place.join(library.directory).is_dir() {
        let fetched = Command::new("sh").args(["-c", library.fetch]).current_dir(&place).status().unwrap();
        assert!(fetched.success(), "could not fetch {}", library.name);
    }
    let out = tempfile::tempdir().unwrap();
    let count = std::env::var("SYNTH_COUNT").unwrap_or_else(|_| "20".to_owned());
    // Times of all it started and waited for, as the shell tells them.
    let mut command = Command::new("bash");
    command.args(["-c", "TIMEFORMAT='%R s wall, %U s user, %S s system'; time \"$@\"", "time"]);
    command.arg(env!("CARGO_BIN_EXE_apprentice")).args(["task", "synth", "--json", "--parallel", "2"]);
    command.args(["--repo", library.directory, "--out", out.path().to_str().unwrap(), "--count", &count]);
    command.args([
        "--language",
        library.language,
        "--parser",
        library.parser,
        "--test-command",
        library.tests,
    ]);
    command.args(library.setup.iter().flat_map(|command| ["--setup", command]));
    command.args(["--sandbox", "namespaces", "--sandbox-name", library.sandbox, "--accept-weaker-isolation"]);
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    let said = command.current_dir(&place).output().unwrap();
    let (report, times) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    println!("{}: {report}{times}", library.name);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["tasks"].to_string(), count, "{times}");
    assert!(report["tasks_per_hour"].as_f64().unwrap() >= 100.0, "fewer than 100 tasks an hour: {times}");
}

#[test]
#[ignore = "fetches a library; see the head of this file"]
fn python_from_pypi_gives_a_hundred_tasks_an_hour() {
    measure(&TOOLZ);
}

#[test]
#[ignore = "fetches a library; see the head of this file"]
fn rust_from_crates_io_gives_a_hundred_tasks_an_hour() {
    measure(&STRSIM);
}

#[test]
#[ignore = "fetches a library; see the head of this file"]
fn c_from_debian_gives_a_hundred_tasks_an_hour() {
    measure(&CJSON);
}
