//! Tests of run directories.

use serde_json::json;

use super::*;
use crate::fsio::sha256_hex;

fn manifest() -> Manifest {
    let mut manifest = Manifest::new(
        ["apprentice".to_owned(), "train".to_owned()],
        json!({"train": {"lr": 0.5, "steps": 3}}),
    );
    manifest.seeds.insert("run".to_owned(), 7);
    manifest.digests.data.insert("experts.jsonl".to_owned(), sha256_hex(b"1"));
    manifest
}

fn note(text: &str) -> Event {
    Event::Note { text: text.to_owned() }
}

#[test]
fn a_run_directory_reads_back_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run");
    let run = RunDir::create(&path, manifest()).unwrap();
    let mut events = run.events().unwrap();
    events.emit(&note("a")).unwrap();
    events.emit(&note("b")).unwrap();
    assert_eq!(read_events(&path).unwrap(), [note("a"), note("b")]);
    assert_eq!(read_manifest(&path).unwrap(), manifest());
}

#[test]
fn every_event_line_opens_with_its_format_and_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path(), manifest()).unwrap();
    run.events().unwrap().emit(&note("a")).unwrap();
    let line = fs_err::read_to_string(directory.path().join("events.jsonl")).unwrap();
    assert!(line.starts_with("{\"format\":\"apprentice.event/1\",\"at\":\"2"), "{line}");
}

#[test]
fn a_directory_with_something_in_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let refused = RunDir::create(directory.path(), manifest()).unwrap_err();
    assert!(matches!(refused, RunError::Taken { .. }));
}

#[test]
fn a_directory_of_a_process_that_was_killed_before_it_began_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join(".lock"), "").unwrap();
    fs_err::write(directory.path().join(".apprentice-Xy12Zz"), "{\"form").unwrap();
    RunDir::create(directory.path(), manifest()).unwrap();
}

#[test]
fn two_processes_do_not_write_to_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let first = RunDir::create(directory.path(), manifest()).unwrap();
    assert!(matches!(RunDir::open(directory.path()), Err(RunError::InUse { .. })));
    drop(first);
    RunDir::open(directory.path()).unwrap();
}

#[test]
fn a_resumed_run_appends_after_the_last_whole_line() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path(), manifest()).unwrap();
    run.events().unwrap().emit(&note("a")).unwrap();
    drop(run);
    let file = directory.path().join("events.jsonl");
    let mut bytes = fs_err::read(&file).unwrap();
    bytes.extend(b"{\"format\":\"apprent");
    fs_err::write(&file, bytes).unwrap();

    let run = RunDir::resume(directory.path(), &manifest()).unwrap();
    run.events().unwrap().emit(&note("b")).unwrap();
    assert_eq!(read_events(directory.path()).unwrap(), [note("a"), note("b")]);
}

#[test]
fn a_resume_with_another_recipe_or_data_is_refused_and_names_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    drop(RunDir::create(directory.path(), manifest()).unwrap());
    let mut other = manifest();
    other.recipe["train"]["lr"] = json!(0.25);
    other.recipe["train"]["warmup"] = json!(1);
    other.seeds.insert("run".to_owned(), 8);
    other.digests.data.insert("experts.jsonl".to_owned(), sha256_hex(b"2"));
    let refused = RunDir::resume(directory.path(), &other).unwrap_err();
    let RunError::Differs { differences, .. } = refused else { panic!("{refused}") };
    assert_eq!(
        differences,
        [
            "`recipe.train.lr` was 0.5, now 0.25",
            "`recipe.train.warmup` was absent, now 1",
            "`seeds.run` was 7, now 8",
            "`digests.data.experts.jsonl` was \"6b86b273ff34…\", now \"d4735e3a265e…\"",
        ]
    );
}

#[test]
fn another_command_line_may_resume() {
    let directory = tempfile::tempdir().unwrap();
    drop(RunDir::create(directory.path(), manifest()).unwrap());
    let mut other = manifest();
    other.argv.push("--resume".to_owned());
    let run = RunDir::resume(directory.path(), &other).unwrap();
    assert_eq!(run.manifest(), &manifest());
}

#[test]
fn a_manifest_of_a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("manifest.json"), "{\"format\": \"apprentice.manifest/2\"}").unwrap();
    let refused = RunDir::open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("apprentice.manifest/2"), "{refused}");
}

#[test]
fn a_free_path_is_the_first_that_is_absent_or_empty() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("quickstart");
    assert_eq!(free_path(&base).unwrap(), base);
    drop(RunDir::create(&base, manifest()).unwrap());
    assert_eq!(free_path(&base).unwrap(), directory.path().join("quickstart-2"));
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path(), manifest()).unwrap();
    std::os::unix::fs::symlink("/dev/full", directory.path().join("events.jsonl")).unwrap();
    let failed = run.events().unwrap().emit(&note("a")).unwrap_err();
    let shown = format!("{failed:#}");
    assert!(shown.contains("events.jsonl") && shown.contains("No space left"), "{shown}");
}
