//! Files of rows, of every kind, and rows as they were published.

use super::*;

/// An id, or where and why there is none.
type Found = Result<String, (u64, Option<String>, String)>;

/// What a file gave.
fn read(name: &str, content: &[u8]) -> Vec<Found> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs_err::write(&path, content).unwrap();
    let mut found = Vec::new();
    each(&path, &Options::default(), &mut |outcome| {
        found.push(outcome.map(|(task, _)| task.id).map_err(|no| (no.line, no.id, no.reason)));
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

#[test]
fn files_of_all_kinds_give_the_same_tasks_and_a_bad_row_costs_itself_only() {
    let row = Value::Object(with(classic(), &json!({}))).to_string();
    let empty = Value::Object(with(classic(), &json!({"FAIL_TO_PASS": []}))).to_string();
    let id = || Ok("psf__requests-7".to_owned());
    assert_eq!(read("a.json", row.as_bytes()), [id()]);
    assert_eq!(read("a.json", format!("[{row},\n{row}]").as_bytes()), [id(), id()]);
    let refused = (
        3,
        Some("psf__requests-7".to_owned()),
        "FAIL_TO_PASS is empty: nothing would tell a repair".to_owned(),
    );
    let lines = read("a.jsonl", format!("{row}\n\n{empty}\n{{\"a\"\n[1]\n{row}\n").as_bytes());
    assert_eq!((&lines[0], &lines[1], &lines[4]), (&id(), &Err(refused), &id()));
    let (line, _, reason) = lines[2].as_ref().unwrap_err();
    assert!(*line == 4 && reason.starts_with("not JSON: EOF while parsing an object"), "{line}: {reason}");
    assert_eq!(lines[3], Err((5, None, "a row must be an object, found a list".to_owned())));
}

#[test]
fn real_rows_become_tasks() {
    let Some(marshmallow) = crate::testlog::fixture("tasks/marshmallow-code__marshmallow-1867.json") else {
        return;
    };
    let sample = crate::testlog::fixture("tasks/swe-bench-lite-sample.json").unwrap();
    let rows = |text: &str| -> Vec<Map<String, Value>> { serde_json::from_str(text).unwrap() };
    let tasks: Vec<Task> = rows(&marshmallow).iter().chain(&rows(&sample)).map(import).collect();
    let parsers = tasks.iter().map(|task| String::from(task.tests.as_ref().unwrap().parser.clone()));
    assert_eq!(
        parsers.collect::<Vec<_>>(),
        ["swebench.parse_log_pytest", "swebench.parse_log_pytest_v2", "swebench.parse_log_django"]
    );
    assert!(tasks[0].tests.as_ref().unwrap().pass_to_pass.len() > 100);
    assert!(tasks[2].tests.as_ref().unwrap().command.contains("--parallel 1 user_commands.tests\n"));
}

/// Writes one row, its second list a list and the first a text.
#[cfg(feature = "parquet")]
fn table(path: &std::path::Path, row: &Map<String, Value>, list: &[&str]) {
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let texts: Vec<(&String, &str)> = row
        .iter()
        .filter(|(key, _)| *key != "PASS_TO_PASS")
        .map(|(key, value)| (key, value.as_str().unwrap()))
        .collect();
    let columns: String = texts.iter().map(|(key, _)| format!("required binary {key} (UTF8);")).collect();
    let schema = format!(
        "message m {{ {columns} required group PASS_TO_PASS (LIST) {{ repeated group list {{ \
         required binary element (UTF8); }} }} }}"
    );
    let file = fs_err::File::create(path).unwrap().into_file();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, text) in texts {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[ByteArray::from(text)], None, None).unwrap();
        column.close().unwrap();
    }
    let items: Vec<ByteArray> = list.iter().map(|item| ByteArray::from(*item)).collect();
    let repeated: Vec<i16> = (0..list.len()).map(|index| i16::from(0 < index)).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&items, Some(&vec![1; items.len()]), Some(&repeated))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[cfg(feature = "parquet")]
#[test]
fn rows_of_parquet_are_rows_with_lists() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.parquet");
    table(&path, &with(classic(), &json!({})), &["tests/test_m.py::p", "tests/test_m.py::q"]);
    let mut tasks = Vec::new();
    each(&path, &Options::default(), &mut |outcome| {
        tasks.push(outcome.unwrap().0);
        ControlFlow::Continue(())
    })
    .unwrap();
    let tests = tasks[0].tests.as_ref().unwrap();
    assert_eq!((tasks.len(), tests.fail_to_pass.len()), (1, 1));
    assert_eq!(tests.pass_to_pass, ["tests/test_m.py::p", "tests/test_m.py::q"]);
}
