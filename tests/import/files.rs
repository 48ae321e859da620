//! Files: every container of records is streamed, and what is broken costs itself only.

use std::ops::ControlFlow;

use apprentice::import::{self, Options};
use serde_json::json;

use super::written;

/// A small record of SWE-agent whose only command is `action`.
fn record(action: &str) -> String {
    let step = json!({"action": action, "observation": "", "thought": "", "response": "", "state": {}});
    json!({"trajectory": [step], "history": [], "info": {}}).to_string()
}

fn ids_and_actions(name: &str, content: impl AsRef<[u8]>) -> Vec<(String, String)> {
    let (found, rejects) = written(name, content);
    assert_eq!(rejects, [], "{name}");
    found.iter().map(|t| (t.id.clone(), t.steps[0].action.text().into_owned())).collect()
}

fn pair(id: &str, action: &str) -> (String, String) {
    (id.to_owned(), action.to_owned())
}

#[test]
fn the_same_records_are_read_from_every_container() {
    let (a, b) = (record("a"), record("b"));
    let pretty = |text: &str| {
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
    };
    assert_eq!(ids_and_actions("r.jsonl", format!("{a}\n\n{b}")), [pair("r:1", "a"), pair("r:3", "b")]);
    assert_eq!(
        ids_and_actions("r.jsonl", format!("\u{feff}{a}\r\n{b}\r\n")),
        [pair("r:1", "a"), pair("r:2", "b")]
    );
    assert_eq!(ids_and_actions("r.json", format!("{a}\n{b}")), [pair("r:1", "a"), pair("r:2", "b")]);
    assert_eq!(ids_and_actions("r.json", format!("[\n{a},\n{b}\n]\n")), [pair("r:2", "a"), pair("r:3", "b")]);
    assert_eq!(ids_and_actions("r.traj", pretty(&a)), [pair("r", "a")]);
    let lines = pretty(&a).lines().count();
    assert_eq!(
        ids_and_actions("r.json", format!("{}\n{}", pretty(&a), pretty(&b))),
        [pair("r:1", "a"), pair(&format!("r:{}", lines + 1), "b")]
    );
}

#[test]
fn a_long_file_is_read_in_order_by_several_threads() {
    let count = 3000;
    let text: String =
        (0..count).map(|index| record(&format!("echo {index} {}", "x".repeat(2000))) + "\n").collect();
    let found = ids_and_actions("r.jsonl", text);
    assert_eq!(found.len(), count);
    for (index, (id, action)) in found.iter().enumerate() {
        assert_eq!(*id, format!("r:{}", index + 1));
        assert!(action.starts_with(&format!("echo {index} ")));
    }
}

#[test]
fn reading_stops_when_its_reader_has_enough() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    fs_err::write(&path, (record(&"x".repeat(1000)) + "\n").repeat(20_000)).unwrap();
    let mut taken = 0;
    import::each(&path, Options::default(), &mut |_| {
        taken += 1;
        if taken < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    assert_eq!(taken, 5);
}

#[test]
fn what_is_broken_costs_itself_only() {
    let good = record("a");
    let deep = "[".repeat(1_000_000);
    let mut bytes = Vec::new();
    for line in [
        good.as_bytes(),
        b"{\"a\": ",
        b"\xff\xfe{}",
        b"\0\0",
        deep.as_bytes(),
        b"{\"trajectory\": 1e99999}",
        b"null",
        b"[]",
        b"7",
        good.as_bytes(),
    ] {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    let (found, rejects) = written("r.jsonl", bytes);
    assert_eq!(found.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["r:1", "r:10"]);
    assert_eq!(rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), (2..=9).collect::<Vec<_>>());
    assert!(rejects[1].reason.contains("not UTF-8"), "{}", rejects[1]);
    assert!(rejects[3].reason.contains("levels"), "{}", rejects[3]);
    assert!(rejects.iter().all(|reject| !reject.remedy.is_empty()));
}

#[test]
fn halves_of_surrogate_pairs_and_numbers_that_are_none_do_not_lose_a_record() {
    let text = record("a").replace("\"a\"", "\"a\\ud800\"").replace("\"info\":{}", "\"info\":{\"x\":NaN}");
    assert_eq!(ids_and_actions("r.jsonl", text), [pair("r:1", "a\u{fffd}")]);
}

#[test]
fn a_broken_value_among_values_does_not_swallow_the_next() {
    let (found, rejects) = written("r.json", format!("{{\"a\": \"cut\n{}\n]\n{}", record("a"), record("b")));
    assert_eq!(found.len(), 2);
    assert_eq!(rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_file_of_nothing_gives_nothing() {
    for (name, content) in [("r.jsonl", ""), ("r.json", " \n\n"), ("r.jsonl", "\n\n")] {
        let (found, rejects) = written(name, content);
        assert_eq!((found.len(), rejects.len()), (0, 0), "{name}");
    }
}

/// Writes the rows of a SWE-smith-like table, `messages` a list of structs, in row groups of two.
#[cfg(feature = "parquet")]
fn table(path: &std::path::Path, rows: i64) {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{BoolType, ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let schema = "message m { optional binary instance_id (UTF8); optional boolean resolved;
        optional group messages (LIST) { repeated group list { optional group element {
            optional binary role (UTF8); optional binary content (UTF8); } } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let file = fs_err::File::create(path).unwrap().into_file();
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    for first in (0..rows).step_by(2) {
        let count = 2.min(rows - first) as usize;
        let mut group = writer.next_row_group().unwrap();
        let text =
            |texts: Vec<String>| texts.iter().map(|text| ByteArray::from(text.as_str())).collect::<Vec<_>>();
        let ids = text((0..count).map(|index| format!("o__r-{}", first + index as i64)).collect());
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&ids, Some(&vec![1; count]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<BoolType>().write_batch(&vec![true; count], Some(&vec![1; count]), None).unwrap();
        column.close().unwrap();
        let said = [
            ("user", "It breaks."),
            ("assistant", "Look.\n\n<function=bash>\n<parameter=command>ls</parameter>\n</function>"),
            ("user", "OBSERVATION:\na"),
        ];
        let repeated: Vec<i16> = (0..count).flat_map(|_| [0, 1, 1]).collect();
        for pick in [0, 1] {
            let values = text(
                (0..count)
                    .flat_map(|_| said.map(|(role, content)| [role, content][pick].to_owned()))
                    .collect(),
            );
            let mut column = group.next_column().unwrap().unwrap();
            column
                .typed::<ByteArrayType>()
                .write_batch(&values, Some(&vec![4; count * 3]), Some(&repeated))
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[cfg(feature = "parquet")]
#[test]
fn rows_of_parquet_are_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    table(&path, 5);
    let found = super::read(&path);
    assert_eq!(
        found.iter().map(|t| t.task.as_str()).collect::<Vec<_>>(),
        ["o__r-0", "o__r-1", "o__r-2", "o__r-3", "o__r-4"]
    );
    assert_eq!(
        (found[4].id.as_str(), found[4].source.record, found[4].resolved),
        ("t:5", Some(5), Some(true))
    );
    assert_eq!(found[0].steps[0].action.text(), "ls");
    assert_eq!(found[0].steps[0].observation.as_ref().unwrap().output, "a");
}

#[cfg(feature = "parquet")]
#[test]
fn a_broken_parquet_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    fs_err::write(&path, b"PAR1 and then nothing").unwrap();
    let error = import::read_file(&path, Options::default()).unwrap_err();
    assert!(format!("{error:#}").contains("t.parquet"), "{error:#}");
}

fn apprentice() -> assert_cmd::Command {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_apprentice"))
}

#[test]
fn a_failed_import_leaves_the_last_one_and_ids_stay_distinct() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("a")).unwrap();
    fs_err::create_dir_all(dir.path().join("b")).unwrap();
    fs_err::write(dir.path().join("a/r.traj"), record("a")).unwrap();
    fs_err::write(dir.path().join("b/r.traj"), record("b")).unwrap();
    let import = |sources: &[&str]| {
        let mut command = apprentice();
        command.current_dir(dir.path()).args(["trajectory", "import", "--out", "all.jsonl"]).args(sources);
        command.output().unwrap().status.code()
    };
    assert_eq!(import(&["a", "b"]), Some(0));
    let all = fs_err::read_to_string(dir.path().join("all.jsonl")).unwrap();
    let ids: Vec<String> = all
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids, ["r", "r#2"]);
    fs_err::write(dir.path().join("b/r.traj"), "{\"broken\"").unwrap();
    assert_eq!(import(&["a", "b"]), Some(3));
    assert_eq!(fs_err::read_to_string(dir.path().join("all.jsonl")).unwrap(), all);
    let left = fs_err::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 3, "no half file is left behind");
}
