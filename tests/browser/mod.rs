//! Headless Chromium with one page, asked over a pipe.

#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    requests: fs_err::File,
    answers: BufReader<fs_err::File>,
    session: Option<String>,
    asked: u64,
    events: Vec<Value>,
    _dir: tempfile::TempDir,
}

/// The browser's program; none, and a word about it, where there is none.
pub(crate) fn chromium() -> Option<String> {
    let named = std::env::var("APPRENTICE_CHROMIUM").ok();
    let names = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
    let runs = |name: &String| {
        let version =
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let found = named.into_iter().chain(names).find(runs);
    if found.is_none() {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "chromium"), "there is no chromium");
        println!("skipped: there is no chromium");
    }
    found
}

impl Browser {
    pub(crate) fn start(chromium: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = dir.path().join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (requests, answers) = (pipe("requests"), pipe("answers"));
        // The protocol's ends are the descriptors 3 and 4, which a shell can give.
        let flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --window-size=1280,800 --remote-debugging-pipe";
        let script =
            format!("exec \"$0\" {flags} --user-data-dir=\"$1/profile\" about:blank 3<\"$2\" 4>\"$3\"");
        let process = Command::new("sh")
            .args(["-c", &script, chromium])
            .args([dir.path(), &requests, &answers])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Self {
            process,
            requests: fs_err::OpenOptions::new().write(true).open(requests).unwrap(),
            answers: BufReader::new(fs_err::File::open(answers).unwrap()),
            session: None,
            asked: 0,
            events: Vec::new(),
            _dir: dir,
        };
        let targets = browser.ask("Target.getTargets", &json!({}));
        let targets = targets["targetInfos"].as_array().unwrap();
        let id = targets.iter().find(|target| target["type"] == "page").unwrap()["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({"targetId": id, "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Log", "Runtime", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.answers.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser went away");
        serde_json::from_slice(&bytes).unwrap()
    }

    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            request["sessionId"] = session.as_str().into();
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let message = self.message();
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    pub(crate) fn open(&mut self, page: &Path) {
        self.events.clear();
        self.ask("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.message();
            self.events.push(event);
        }
    }

    /// What an expression gives, promises awaited.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Presses a key and waits until what it did is drawn.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.ask("Input.dispatchKeyEvent", &json!({"type": kind, "key": key, "text": key}));
        }
        self.value(DRAWN);
    }

    /// Requests for anything but the page, and what the browser complained about.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        let is_complaint = |event: &&Value| match event["method"].as_str() {
            Some("Log.entryAdded" | "Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
            Some("Network.requestWillBeSent") => event["params"]["type"] != "Document",
            _ => false,
        };
        self.events.iter().filter(is_complaint).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Waits until what was done is drawn.
pub(crate) const DRAWN: &str =
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
