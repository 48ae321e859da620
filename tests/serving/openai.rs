//! OpenAI's own Python client, where it is installed.

use std::process::Command;

use crate::service::{Service, model};

#[test]
fn openais_python_client_is_served() {
    let python = std::env::var("APPRENTICE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_client = Command::new(&python).args(["-c", "import openai"]).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.contains("openai"), "`{python}` has no module `openai`");
        println!("skipped: `{python}` has no module `openai`; name another by APPRENTICE_PYTHON");
        return;
    }
    let service = Service::of(&model(), &[], Some("a-key"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serving/client.py");
    let output = Command::new(&python)
        .args([script, &service.url, &service.models[0]])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
