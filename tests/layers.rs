//! The structure of the source, read from the source: who imports whom, who may name what, file sizes.
//!
//! Guarantees the layers of ARCHITECTURE.md. Reads text, not syntax: a `crate::` path in a string
//! would count. To add a module, give it a line in [`LAYERS`]; to bind a crate to places, one in [`NAMES`].
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The top-level modules of each layer, lowest first. A module imports from lower layers only.
const LAYERS: [&[&str]; 6] = [
    &["difflib", "fsio", "seed", "stats"],
    &["certificate", "chat", "event", "example", "group", "isolation", "policy", "task", "trajectory"],
    &[
        "answer",
        "curate",
        "editor",
        "episode",
        "mutate",
        "patch",
        "rate",
        "reward",
        "solution",
        "swe_bench",
        "testlog",
    ],
    &["export", "import", "model", "remote", "run", "sandbox", "task_dir", "workspace"],
    &[
        "act", "audit", "branch", "certify", "extract", "grade", "practice", "ready", "replay", "report",
        "rewrite", "rollout", "serve", "solve", "synth", "train", "viewer",
    ],
    &["cli", "quickstart", "recipe"],
];

/// Layers whose modules never import each other.
const APART: [usize; 1] = [3];

/// Imports that a layer would allow and a promise forbids: nothing that trains runs a sandbox.
const FORBIDDEN: [(&str, &str); 6] = [
    ("train", "sandbox"),
    ("train", "act"),
    ("train", "rollout"),
    ("train", "grade"),
    ("train", "practice"),
    ("train", "branch"),
];

/// What only some places may name: a crate, or a call with a better replacement.
const NAMES: [(&str, &[&str]); 11] = [
    ("bollard::", &["sandbox/docker"]),
    ("candle_core::", &["model", "train"]),
    ("candle_nn::", &["model", "train"]),
    ("clap::", &["cli"]),
    ("hyper::", &["serve"]),
    ("ureq::", &["remote"]),
    ("println!", &["cli/output.rs"]),
    // Fused operations of candle have no gradient and say nothing.
    ("ops::rms_norm", &[]),
    ("ops::layer_norm", &[]),
    ("ops::softmax_last_dim", &[]),
    ("rotary_emb::rope", &[]),
];

const MAX_LINES: usize = 600;

struct Source {
    /// Relative to `src`, such as `sandbox/docker.rs`.
    path: String,
    text: String,
}

#[test]
fn every_module_has_one_layer() {
    let known: Vec<&str> = LAYERS.concat();
    for module in top_modules() {
        assert_eq!(known.iter().filter(|name| **name == module).count(), 1, "`{module}` in LAYERS");
    }
}

#[test]
fn modules_import_from_lower_layers_only() {
    let found = violations(|from, to| {
        let (above, below) = (layer(from), layer(to));
        above < below || (above == below && APART.contains(&above))
    });
    assert!(found.is_empty(), "imports that point upwards or sideways:\n{}", found.join("\n"));
}

#[test]
fn modules_of_a_layer_import_each_other_without_cycles() {
    let mut imports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources() {
        let from = module(&source.path);
        let targets = imports.entry(from.clone()).or_default();
        targets.extend(crate_paths(&source.text).into_iter().map(|(_, to)| to).filter(|to| *to != from));
    }
    // A module that imports nothing that is left is no part of a cycle.
    while let Some(free) = imports
        .iter()
        .find(|(_, targets)| !targets.iter().any(|to| imports.contains_key(to)))
        .map(|(name, _)| name.clone())
    {
        imports.remove(&free);
    }
    assert!(imports.is_empty(), "a cycle among {:?}", imports.keys());
}

#[test]
fn training_imports_nothing_that_executes() {
    let found = violations(|from, to| FORBIDDEN.contains(&(from, to)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn crates_and_calls_are_named_only_where_they_belong() {
    let mut found = Vec::new();
    for source in sources() {
        for (name, places) in NAMES {
            let is_allowed = places.iter().any(|place| {
                source.path == *place
                    || source.path == format!("{place}.rs")
                    || source.path.starts_with(&format!("{place}/"))
            });
            let at = code_lines(&source.text).find(|(_, line)| line.contains(name));
            if let (false, Some((number, _))) = (is_allowed, at) {
                found.push(format!("src/{}:{number}: names `{name}`", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_short_enough_to_read() {
    let found: Vec<String> = all_files()
        .into_iter()
        .map(|source| (source.path, source.text.lines().count()))
        .filter(|(_, lines)| MAX_LINES < *lines)
        .map(|(path, lines)| format!("{path} has {lines} lines, at most {MAX_LINES}"))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_open_with_what_they_are_for() {
    let found: Vec<String> = all_files()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{} opens without `//! `", source.path))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in code_lines(&source.text) {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                found.push(format!("src/{}:{number}: `allow`, use `expect` with a reason", source.path));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Lists the imports between top-level modules that are `wrong`.
fn violations(wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources() {
        let from = module(&source.path);
        for (number, to) in crate_paths(&source.text) {
            if from != to && wrong(&from, &to) {
                found.push(format!("src/{}:{number}: `{from}` imports `{to}`", source.path));
            }
        }
    }
    found
}

/// The top-level modules that a text names by `crate::module` or `crate::{module, …}`, with their lines.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let known: Vec<&str> = LAYERS.concat();
    let mut found = Vec::new();
    let lines: Vec<(usize, &str)> = code_lines(text).collect();
    for (line_idx, (number, line)) in lines.iter().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let rest: String = lines[line_idx..].iter().flat_map(|(_, line)| [*line, "\n"]).collect();
            let rest = &rest[at + "crate::".len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => heads(list),
                None => vec![word(rest)],
            };
            let names = names.into_iter().filter(|name| known.contains(&name.as_str()));
            found.extend(names.map(|name| (*number, name)));
        }
    }
    found
}

/// The first word of each entry of a brace list, up to its closing brace.
fn heads(list: &str) -> Vec<String> {
    let (mut depth, mut heads, mut is_start) = (0, Vec::new(), true);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            letter if is_start && letter.is_alphanumeric() => {
                heads.push(word(&list[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The lines that are neither comments nor part of an item for tests, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_test_item = false;
    let is_code = move |line: &str| {
        is_test_item |= line == "#[cfg(test)]";
        let is_kept = !is_test_item && !line.trim_start().starts_with("//");
        // An item at the left edge ends with its brace, or with `;` on its line.
        let is_end = line == "}" || (line.ends_with(';') && !line.starts_with(' '));
        is_test_item &= !is_end;
        is_kept
    };
    let lines = text.lines().enumerate().map(|(line_idx, line)| (line_idx + 1, line));
    lines
        .scan(is_code, |is_code, (number, line)| Some((is_code(line), number, line)))
        .filter_map(|(is_code, number, line)| is_code.then_some((number, line)))
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|names| names.contains(&module)).unwrap_or(LAYERS.len())
}

/// The top-level module of a file: `sandbox` for `sandbox/docker.rs`.
fn module(path: &str) -> String {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs").to_owned()
}

fn top_modules() -> Vec<String> {
    let text = fs_err::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")));
    declared.map(|rest| rest.trim_end_matches(';').to_owned()).collect()
}

/// The library's files without `lib.rs`, `main.rs` and files of tests.
fn sources() -> Vec<Source> {
    let is_code = |path: &str| !["lib.rs", "main.rs"].contains(&path) && !is_test(path);
    files_below("src").into_iter().filter(|source| is_code(&source.path)).collect()
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Every Rust file of the project, with paths from its root.
fn all_files() -> Vec<Source> {
    let folders = ["src", "tests", "benches"];
    let named = folders.into_iter().flat_map(|folder| {
        files_below(folder)
            .into_iter()
            .map(move |source| Source { path: format!("{folder}/{}", source.path), ..source })
    });
    named.collect()
}

fn files_below(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let base = root().join(folder);
    let mut waiting = vec![base.clone()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs_err::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs_err::read_to_string(&path).unwrap();
                let relative = path.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
                found.push(Source { path: relative, text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
