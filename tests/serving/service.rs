//! A tiny random student, and the server of it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use apprentice::chat::{Message, Role};
use apprentice::model::config::QwenConfig;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use apprentice::model::{Student, cpu};
use apprentice::remote::budget::Budget;
use apprentice::remote::{Client, Options};
use serde_json::{Value, json};

/// Positions of the student.
pub(crate) const POSITIONS: usize = 400;

/// A student whose weights are those of a seed.
pub(crate) fn student(seed: u64) -> Student {
    let texts = (0..40).map(|i| format!("fn field_{i}(x: u32) -> u32 {{ x + {i} }} // é 🦀\n"));
    let tokenizer = ChatTokenizer::train(texts, 340, Pieces::Words).unwrap();
    let config = json!({
        "model_type": "qwen2", "vocab_size": tokenizer.vocab_size(), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": POSITIONS, "tie_word_embeddings": true,
    });
    Student::init(QwenConfig::from_json(config).unwrap(), tokenizer, seed, 0.3, &cpu()).unwrap()
}

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// The student's model directory.
pub(crate) fn model() -> PathBuf {
    static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
        let dir = DIRECTORY.path().join("tiny");
        student(3).save(&dir).unwrap();
        dir
    });
    MODEL.clone()
}

/// The program, without what this shell's environment would change.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.args(arguments).env_remove("APPRENTICE_API_KEY").env_remove("RUST_LOG");
    command
}

/// A server, which ends with the test.
pub(crate) struct Service {
    process: Child,
    pub(crate) url: String,
    pub(crate) models: Vec<String>,
}

impl Service {
    /// Serves the tiny student.
    pub(crate) fn start() -> Self {
        Self::of(&model(), &[], None)
    }

    /// Serves a model with more arguments, and a key.
    pub(crate) fn of(model: &Path, more: &[&str], key: Option<&str>) -> Self {
        let mut command = program(&["--json", "model", "serve"]);
        command.arg(model).args(more).stdout(Stdio::piped()).stdin(Stdio::null());
        if let Some(key) = key {
            command.env("APPRENTICE_API_KEY", key);
        }
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`"));
        assert_eq!(said["format"], "apprentice.serve/1");
        let url = said["url"].as_str().unwrap().to_owned();
        let models = said["models"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        Self { process, url, models: models.collect() }
    }

    /// A client of the first model.
    pub(crate) fn client(&self, dialect: &str) -> Client {
        let endpoint = format!("{dialect}:{}#{}", self.url, self.models[0]).parse().unwrap();
        Client::new(endpoint, Options { tries: 2, ..Options::default() }, Budget::default())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(path, body.to_string().as_bytes(), &[("Content-Type", "application/json")])
    }

    pub(crate) fn send(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = agent().post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send(body).unwrap())
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = agent().get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.call().unwrap())
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// How it ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A client that shows every answer as it is.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A conversation that ends with what a user says.
pub(crate) fn conversation(text: &str) -> Vec<Message> {
    vec![Message { role: Role::User, content: text.to_owned() }]
}
