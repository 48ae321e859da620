//! Our own dialect: what an edit changes, what it leaves alone, what it says.

use apprentice::editor::{self, Outcome, State};
use apprentice::trajectory::{Dialect, EditorCall};

use crate::host_files::HostFiles;

struct Desk {
    files: HostFiles,
    state: State,
}

impl Desk {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let desk = Self { files: HostFiles::new("/work-here"), state: State::default() };
        for (path, bytes) in files {
            desk.files.put(path, Some(bytes));
        }
        desk
    }

    async fn call(&mut self, arguments: serde_json::Value) -> Outcome {
        let call = EditorCall {
            dialect: Dialect::Ours,
            text: "str_replace_editor".to_owned(),
            arguments: arguments.as_object().unwrap().clone(),
        };
        editor::perform(&mut self.files, &mut self.state, &call).await.unwrap()
    }

    async fn view(&mut self, path: &str) -> String {
        self.call(serde_json::json!({"command": "view", "path": path})).await.output
    }

    async fn range(&mut self, path: &str, first: i64, last: i64) -> Outcome {
        self.call(serde_json::json!({"command": "view", "path": path, "view_range": [first, last]})).await
    }

    async fn replace(&mut self, path: &str, old: &str, new: &str) -> Outcome {
        self.call(serde_json::json!({"command": "str_replace", "path": path, "old_str": old, "new_str": new}))
            .await
    }

    async fn insert(&mut self, path: &str, line: i64, new: &str) -> Outcome {
        self.call(serde_json::json!({"command": "insert", "path": path, "insert_line": line, "new_str": new}))
            .await
    }

    async fn create(&mut self, path: &str, text: &str) -> Outcome {
        self.call(serde_json::json!({"command": "create", "path": path, "file_text": text})).await
    }

    async fn undo(&mut self, path: &str) -> Outcome {
        self.call(serde_json::json!({"command": "undo_edit", "path": path})).await
    }
}

#[tokio::test]
async fn a_replacement_changes_nothing_else() {
    let mut desk = Desk::new(&[
        ("Makefile", b"all:\n\techo  a\tb\n\tls\n"),
        ("last", b"one\ntwo"),
        ("latin", b"caf\xe9\nx\n"),
    ]);
    let said = desk.replace("Makefile", "ls", "dir").await;
    assert_eq!(
        said.output,
        "Edited /work-here/Makefile (3 lines)\n     1\tall:\n     2\t\techo  a\tb\n     3\t\tdir\n"
    );
    assert_eq!(desk.files.get("Makefile"), b"all:\n\techo  a\tb\n\tdir\n");
    desk.replace("last", "one", "1").await;
    assert_eq!(desk.files.get("last"), b"1\ntwo");
    let said = desk.replace("latin", "x", "y").await;
    assert_eq!(desk.files.get("latin"), b"caf\xe9\ny\n");
    assert!(said.output.starts_with("Edited /work-here/latin (2 lines, not UTF-8)\n"), "{}", said.output);
}

#[tokio::test]
async fn line_ends_of_windows_stay() {
    let mut desk = Desk::new(&[("a", b"one\r\ntwo\r\nthree\r\n")]);
    desk.replace("a", "one\ntwo", "1\n2").await;
    assert_eq!(desk.files.get("a"), b"1\r\n2\r\nthree\r\n");
    desk.insert("a", 1, "x\ny").await;
    assert_eq!(desk.files.get("a"), b"1\r\nx\r\ny\r\n2\r\nthree\r\n");
    let view = desk.view("a").await;
    assert_eq!(view.lines().next(), Some("/work-here/a (5 lines, line ends are CRLF)"));
    assert!(!view.contains('\r'));
}

#[tokio::test]
async fn an_insertion_comes_after_its_line_and_leaves_the_last_line_as_it_was() {
    let mut desk = Desk::new(&[("a", b"one\ntwo"), ("b", b"one\ntwo\n"), ("c", b"")]);
    let said = desk.insert("a", 2, "three\n").await;
    assert_eq!(said.output.lines().nth(3), Some("     3\tthree"));
    assert_eq!(desk.files.get("a"), b"one\ntwo\nthree");
    desk.insert("a", 0, "zero").await;
    assert_eq!(desk.files.get("a"), b"zero\none\ntwo\nthree");
    desk.insert("b", 1, "one and a half").await;
    assert_eq!(desk.files.get("b"), b"one\none and a half\ntwo\n");
    desk.insert("c", 0, "x").await;
    assert_eq!(desk.files.get("c"), b"x\n");
    assert_eq!(
        desk.insert("b", 4, "x").await.output,
        "error: `--insert_line` is 4, and `/work-here/b` has 3 lines. Give 0 (before the first) to 3.\n"
    );
}

#[tokio::test]
async fn every_edit_can_be_taken_back_a_creation_too() {
    let mut desk = Desk::new(&[("a", b"one\r\ntwo")]);
    desk.replace("a", "one", "1").await;
    desk.insert("a", 2, "three").await;
    desk.create("deep/new/file", "x\n").await;
    assert_eq!(desk.undo("a").await.code, 0);
    assert_eq!(desk.files.get("a"), b"1\r\ntwo");
    desk.undo("a").await;
    assert_eq!(desk.files.get("a"), b"one\r\ntwo");
    let said = desk.undo("a").await;
    assert_eq!(said.output, "error: no edit of `/work-here/a` is left to take back. Edit it, or use git.\n");
    assert_eq!(
        desk.undo("deep/new/file").await.output,
        "Took back the creation of /work-here/deep/new/file\n"
    );
    assert!(!desk.files.has("deep/new/file"));
}

#[tokio::test]
async fn a_fork_takes_its_own_edits_back() {
    let mut desk = Desk::new(&[("a", b"one\n")]);
    desk.replace("a", "one", "two").await;
    let mut branch = Desk { files: HostFiles::new("/work-here"), state: desk.state.clone() };
    branch.files.put("a", Some(b"two\n"));
    branch.replace("a", "two", "three").await;
    branch.undo("a").await;
    branch.undo("a").await;
    assert_eq!(branch.files.get("a"), b"one\n");
    assert_eq!(desk.files.get("a"), b"two\n");
    assert_eq!(desk.undo("a").await.code, 0);
    assert_eq!(desk.files.get("a"), b"one\n");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let mut desk = Desk::new(&[
        ("a", b"def f():\n\treturn 1\nx\nx\n"),
        ("d/b", b""),
        ("bin", b"a\0b"),
        ("aaa", b"aaa\n"),
    ]);
    let many = "error: `--old_str` occurs 2 times in `/work-here/a`, at lines 3, 4. Add lines around it until it occurs once.\n";
    assert_eq!(desk.replace("a", "x", "y").await.output, many);
    let near = desk.replace("a", "    return 1\n", "    return 2\n").await;
    assert!(
        near.output.contains("line 2 and what follows differ from it in white space only"),
        "{}",
        near.output
    );
    assert!(
        desk.replace("a", "nowhere", "y").await.output.contains("does not occur in `/work-here/a`. Look at")
    );
    assert!(desk.replace("aaa", "aa", "b").await.output.contains("occurs 2 times"));
    assert!(desk.replace("a", "", "y").await.output.contains("is empty"));
    assert!(desk.replace("a", "x\nx", "x\nx").await.output.contains("are the same"));
    assert!(desk.replace("d", "x", "y").await.output.contains("is a directory. Name a file in it"));
    assert!(desk.replace("none", "x", "y").await.output.contains("does not exist. Check the path"));
    assert!(desk.view("bin").await.contains("is binary. Look at it with"));
    assert!(desk.create("a", "").await.output.contains("exists. Change it with str_replace"));
    assert!(
        desk.call(serde_json::json!({"command": "edit", "path": "a"}))
            .await
            .output
            .contains("Use view, create")
    );
    assert_eq!(desk.files.get("a"), b"def f():\n\treturn 1\nx\nx\n");
}

#[tokio::test]
async fn a_file_is_replaced_as_a_whole_and_keeps_mode_and_link() {
    let mut desk = Desk::new(&[("run.sh", b"old\n")]);
    desk.files.mode("run.sh", 0o750);
    desk.files.link("link", "run.sh");
    desk.replace("link", "old", "new").await;
    assert_eq!((desk.files.get("run.sh"), desk.files.mode_of("run.sh")), (b"new\n".to_vec(), 0o750));
    assert!(desk.files.is_link("link"));
    assert_eq!(desk.files.names(), ["link", "run.sh"]);
}

#[tokio::test]
async fn views_show_what_fits_and_name_the_rest() {
    let long: String = (1..=2000).map(|line| format!("line {line} of a long file\n")).collect();
    let mut desk = Desk::new(&[
        ("long", long.as_bytes()),
        ("empty", b""),
        ("d/.hid", b""),
        ("d/x/y/z", b""),
        ("d/a", b""),
    ]);
    let view = desk.view("long").await;
    let last = view.lines().last().unwrap();
    let shown = view.lines().count() - 2;
    assert_eq!(
        last,
        format!("(lines {0} to 2000 are not shown; see them with `--view_range {0} 2000`)", shown + 1)
    );
    let range = desk.range("long", 1999, -1).await.output;
    assert_eq!(
        range,
        "/work-here/long (2000 lines)\n  1999\tline 1999 of a long file\n  2000\tline 2000 of a long file\n"
    );
    assert_eq!(desk.range("long", 1999, 9999).await.output, range);
    assert!(
        desk.range("long", 2001, 2002).await.output.contains("has 2000 lines. Start the range at 1 to 2000.")
    );
    assert!(desk.range("long", 5, 4).await.output.contains("Swap its ends"));
    // An empty file has an end, and nothing before it.
    for last in [-2, -3, i64::MIN] {
        assert!(desk.range("empty", 1, last).await.output.contains("Swap its ends"), "{last}");
        assert!(desk.range("long", 1, last).await.output.contains("Swap its ends"), "{last}");
    }
    assert_eq!(desk.range("empty", 1, -1).await.output, "/work-here/empty (0 lines)\n");
    assert_eq!(desk.view("empty").await, "/work-here/empty (0 lines)\n");
    assert_eq!(desk.range("empty", 1, -1).await.output, "/work-here/empty (0 lines)\n");
    assert_eq!(
        desk.view("d").await,
        "/work-here/d/ (3 entries two levels deep, 1 hidden ones left out)\na\nx/\nx/y/\n"
    );
}
