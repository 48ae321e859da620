//! `apprentice reward --answers`.

use assert_cmd::Command;
use serde_json::Value;

fn reward(profile: &str, lines: &str) -> std::process::Output {
    let mut command = Command::cargo_bin("apprentice").unwrap();
    command.args(["reward", "--answers", profile]).write_stdin(lines).output().unwrap()
}

#[test]
fn a_line_has_our_verdict_and_those_of_the_other_graders() {
    let pairs = "{\"gold\": \"27\", \"reply\": \"\\\\boxed{2700}\"}\n{\"gold\": \"4.5e33\", \"reply\": \"\\\\boxed{4.52e33}\"}\n";
    let output = reward("minerva", pairs);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["verdict"], "not-equal");
    assert_eq!(lines[0]["extracted"], "2700");
    assert_eq!(lines[0]["compat"]["qwen"]["accepted"], true, "a hundredfold passes there");
    assert_eq!(lines[0]["compat"]["math-verify"]["accepted"], false);
    assert_eq!(lines[1]["verdict"], "equal");
    assert_eq!(lines[1]["rule"], "significant-digits");
    assert_eq!(lines[1]["profile"], "minerva-significant-digits");
}

#[test]
fn a_line_that_is_no_pair_is_named() {
    let output =
        reward("exact", "{\"gold\": \"1\", \"reply\": \"1\"}\n{\"expert\": \"a\", \"student\": \"b\"}\n");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2 of stdin") && said.contains("hint"), "{said}");
}
