//! What a client does with what servers answer: a server of ours says what is written down, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::budget::{Budget, Limits};
use super::*;
use crate::chat::Role;
use crate::policy::{Policy, Sample, SampleRequest};

/// What a client sent.
struct Asked {
    line: String,
    head: Vec<String>,
    body: Value,
}

/// Says the answers one after the other; the last one goes on.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn new(answers: Vec<(u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                keep.lock().unwrap().push(Asked::read(&stream));
                let (status, body) = &answers[number.min(answers.len() - 1)];
                let body = body.to_string();
                write!(
                    stream,
                    "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: 0\r\n\
                     Location: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        Self { address, asked }
    }

    fn endpoint(&self, dialect: &str) -> Endpoint {
        format!("{dialect}:http://{}#m", self.address).parse().unwrap()
    }

    fn client(&self, dialect: &str) -> Client {
        Client::new(self.endpoint(dialect), options(), Budget::default())
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap()
    }
}

impl Asked {
    fn read(stream: &std::net::TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let length =
            lines.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let line = lines.remove(0);
        Self { line, head: lines, body: serde_json::from_slice(&body).unwrap() }
    }
}

fn options() -> Options {
    Options { tries: 3, call: Duration::from_secs(20), ..Options::default() }
}

fn messages() -> Vec<Message> {
    vec![Message { role: Role::User, content: "hello".to_owned() }]
}

fn chat_answer(finish: &str) -> Value {
    json!({
        "choices": [
            {"index": 1, "message": {"content": "two"}, "finish_reason": finish, "token_ids": [3],
             "logprobs": {"content": [{"token": "two", "logprob": -0.5}]}},
            {"index": 0, "message": {"content": "one"}, "finish_reason": "length", "token_ids": [1, 2],
             "logprobs": {"content": [{"token": "o", "logprob": -1.0}, {"token": "ne", "logprob": -2.0}]}},
        ],
        "prompt_token_ids": [7, 8], "usage": {"prompt_tokens": 2, "completion_tokens": 3},
    })
}

/// One reply.
fn short_answer() -> Value {
    json!({"choices": [{"index": 0, "message": {"content": "one"}, "finish_reason": "stop"}]})
}

fn ask(client: &Client) -> Result<Vec<Sample>, RemoteError> {
    ask_for(client, 2)
}

fn ask_for(client: &Client, n: usize) -> Result<Vec<Sample>, RemoteError> {
    let messages = messages();
    let sampling = Sampling { temperature: 0.5, ..Sampling::default() };
    client.replies(&Query { prompt: Prompted::Messages(&messages), n, seed: u64::MAX, sampling })
}

#[test]
fn a_chat_gives_replies_in_order_with_their_tokens() {
    let server = Server::new(vec![(200, chat_answer("stop"))]);
    let samples = ask(&server.client("vllm")).unwrap();
    let expected = |tokens: Vec<u32>, logprobs: Vec<f32>, text: &str, finished| Sample {
        prompt: Arc::from([7, 8]),
        tokens,
        logprobs,
        finished,
        ..Sample::from_text(text)
    };
    assert_eq!(
        samples,
        [expected(vec![1, 2], vec![-1.0, -2.0], "one", false), expected(vec![3], vec![-0.5], "two", true)]
    );
    let asked = server.asked();
    assert!(asked[0].line.starts_with("POST /v1/chat/completions "), "{}", asked[0].line);
    assert_eq!(
        asked[0].body,
        json!({"model": "m", "n": 2, "temperature": 0.5, "top_p": 1.0, "seed": -1, "return_token_ids": true,
            "messages": [{"role": "user", "content": "hello"}], "max_tokens": 512, "logprobs": true})
    );
}

#[test]
fn openai_is_asked_in_its_own_words_only() {
    let answer = json!({"choices": [
        {"index": 0, "message": {"content": "a", "reasoning_content": "b"}, "finish_reason": "stop"},
        {"index": 1, "message": {"content": "c"}, "finish_reason": "stop"},
    ]});
    let server = Server::new(vec![(200, answer)]);
    let samples = ask(&server.client("openai")).unwrap();
    assert_eq!(samples, [Sample::from_text("<think>b</think>a"), Sample::from_text("c")]);
    let asked = server.asked();
    let keys: Vec<&String> = asked[0].body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["model", "n", "temperature", "top_p", "seed", "messages", "max_completion_tokens"]);
}

#[test]
fn token_ids_go_to_sglang_one_reply_a_call() {
    let answer = json!({"text": "x", "output_ids": [4, 5], "meta_info": {
        "finish_reason": {"type": "stop", "matched": 5}, "prompt_tokens": 2, "completion_tokens": 2,
        "output_token_logprobs": [[-0.25, 4, null], [-0.5, 5, null]]}});
    let server = Server::new(vec![(200, answer)]);
    let client = server.client("sglang");
    let query = Query { prompt: Prompted::Tokens(&[1, 2]), n: 2, seed: 3, sampling: Sampling::default() };
    let samples = client.replies(&query).unwrap();
    assert_eq!(samples.len(), 2);
    assert_eq!((&samples[0].tokens, &samples[0].logprobs), (&vec![4, 5], &vec![-0.25, -0.5]));
    assert_eq!(client.budget().spent(), budget::Usage { prompt: 4, reply: 4 });
    let asked = server.asked();
    assert!(asked[1].line.starts_with("POST /generate "));
    assert_eq!(asked[0].body["input_ids"], json!([1, 2]));
    let seeds =
        [0, 1].map(|index: usize| asked[index].body["sampling_params"]["sampling_seed"].as_u64().unwrap());
    assert!(seeds[0] != seeds[1] && seeds.iter().all(|seed| *seed < 1 << 31), "{seeds:?}");
}

#[test]
fn dialects_without_token_ids_say_so() {
    let server = Server::new(vec![(200, json!({}))]);
    for dialect in ["openai", "mistralrs"] {
        let query = Query { prompt: Prompted::Tokens(&[1]), n: 1, seed: 0, sampling: Sampling::default() };
        let error = server.client(dialect).replies(&query).unwrap_err();
        assert!(matches!(error, RemoteError::Cannot { .. }), "{error}");
        assert!(error.to_string().contains(dialect) && error.hint().is_some());
    }
    assert!(server.asked().is_empty());
}

#[test]
fn what_may_pass_is_tried_again() {
    let busy = json!({"error": {"message": "busy"}});
    let answers = [(503, busy.clone()), (429, busy), (200, chat_answer("abort")), (200, chat_answer("stop"))];
    let server = Server::new(answers.to_vec());
    let client = Client::new(server.endpoint("vllm"), Options { tries: 4, ..options() }, Budget::default());
    assert_eq!(ask(&client).unwrap().len(), 2);
    assert_eq!(server.asked().len(), 4);
    assert_eq!(client.budget().spent(), budget::Usage { prompt: 2, reply: 3 });
}

#[test]
fn a_server_that_stays_away_is_an_error_with_its_last_words() {
    let server = Server::new(vec![(500, json!({"detail": "out of memory"}))]);
    let error = ask(&server.client("vllm")).unwrap_err();
    let shown = error.to_string();
    assert!(shown.ends_with("gave no answer in 3 tries: status 500: out of memory"), "{shown}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for (status, body) in [
        (400, json!({"error": {"message": "unknown key"}})),
        (401, json!({"error": {"message": "no"}})),
        (307, json!("elsewhere")),
        (429, json!({"error": {"message": "pay", "code": "insufficient_quota"}})),
        (200, json!({"object": "list"})),
        (200, chat_answer("function_call")),
    ] {
        let server = Server::new(vec![(status, body)]);
        let error = ask(&server.client("vllm")).unwrap_err();
        assert!(matches!(error, RemoteError::Refused { .. } | RemoteError::Unusable { .. }), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_prompt_that_does_not_fit_has_no_replies() {
    for body in [
        json!({"error": {"message": "no", "code": "context_length_exceeded"}}),
        json!({"error": {"message": "This model's maximum context length is 8 tokens", "code": 400}}),
    ] {
        assert_eq!(ask(&Server::new(vec![(400, body)]).client("vllm")).unwrap(), []);
    }
}

#[test]
fn the_key_is_sent_and_shown_to_nobody() {
    let server = Server::new(vec![(401, json!({"error": {"message": "incorrect key: s3cret-key"}}))]);
    let options = Options { key: Some(Key::new("s3cret-key".to_owned())), ..options() };
    let client = Client::new(server.endpoint("openai"), options, Budget::default());
    let error = ask(&client).unwrap_err();
    for shown in [error.to_string(), format!("{error:?}"), format!("{client:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    let asked = server.asked();
    assert!(asked[0].head.iter().any(|line| line.to_lowercase() == "authorization: bearer s3cret-key"));
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}#m", listener.local_addr().unwrap()).parse().unwrap();
    let options = Options { tries: 1, call: Duration::from_millis(300), ..options() };
    let error = ask(&Client::new(endpoint, options, Budget::default())).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { tries: 1, .. }), "{error}");
}

fn policy(client: Client) -> RemotePolicy {
    let (sampling, adapters) = (Sampling::default(), AdapterVersions::default());
    RemotePolicy { client, sampling, encode: None, parallel: 4, adapters }
}

fn requests(count: usize) -> Vec<SampleRequest> {
    let request = |attempt| SampleRequest {
        messages: messages(),
        task: "t".to_owned(),
        attempt,
        step: 0,
        n: 2,
        seed: attempt as u64,
    };
    (0..count).map(request).collect()
}

#[test]
fn an_endpoint_that_is_down_fails_the_policy_and_is_no_reply() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("openai:http://{closed}#m").parse().unwrap();
    let client = Client::new(endpoint, Options { tries: 1, ..options() }, Budget::default());
    let error = policy(client).sample(&requests(5)).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RemoteError::Unreachable { .. })), "{error}");
}

#[test]
fn a_policy_asks_everything_and_accounts_for_it() {
    let server = Server::new(vec![(200, chat_answer("stop"))]);
    let mut policy = policy(server.client("vllm"));
    let replies = policy.sample(&requests(9)).unwrap();
    assert!(replies.len() == 9 && replies.iter().all(|replies| replies.len() == 2));
    assert_eq!(policy.account().unwrap(), "the endpoint read 18 tokens and wrote 27");
    let mut seeds: Vec<i64> =
        server.asked().iter().map(|asked| asked.body["seed"].as_i64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_budget_ends_the_run_before_it_is_exceeded() {
    let server = Server::new(vec![(200, chat_answer("stop"))]);
    // Room for the most that one call can take, so they wait for each other.
    let budget = Budget::new(Limits { tokens: Some(1620), ..Limits::default() });
    let mut policy = policy(Client::new(server.endpoint("vllm"), options(), budget));
    let error = policy.sample(&requests(9)).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RemoteError::Budget { .. })), "{error}");
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn an_adapter_answers_under_its_name_and_the_one_before_goes() {
    for (dialect, load, model) in
        [("vllm", "/v1/load_lora_adapter", "p-v2"), ("sglang", "/load_lora_adapter", "m:p-v2")]
    {
        let server = Server::new(vec![
            (200, json!("Success")),
            (200, json!("Success")),
            (200, json!({"success": true})),
            (200, short_answer()),
        ]);
        let mut client = server.client(dialect);
        let mut versions = AdapterVersions::default();
        versions.swap(&mut client, "p-v1", std::path::Path::new("/a")).unwrap();
        versions.swap(&mut client, "p-v2", std::path::Path::new("/b")).unwrap();
        ask_for(&client, 1).unwrap();
        let asked = server.asked();
        assert!(asked[0].line.contains(&format!(" {load} ")), "{}", asked[0].line);
        assert_eq!(asked[1].body, json!({"lora_name": "p-v2", "lora_path": "/b"}));
        assert!(asked[2].line.contains("unload_lora_adapter"));
        assert_eq!(asked[2].body, json!({"lora_name": "p-v1"}));
        assert_eq!(asked[3].body["model"], model);
    }
}

#[test]
fn an_adapter_that_is_refused_leaves_the_one_before() {
    let refused = json!({"success": false, "error_message": "rank 512"});
    let server = Server::new(vec![(200, json!({"success": true})), (200, refused), (200, short_answer())]);
    let mut client = server.client("sglang");
    let mut versions = AdapterVersions::default();
    versions.swap(&mut client, "p-v1", std::path::Path::new("/a")).unwrap();
    let error = versions.swap(&mut client, "p-v2", std::path::Path::new("/b")).unwrap_err();
    assert!(error.to_string().contains("rank 512"), "{error}");
    ask_for(&client, 1).unwrap();
    assert_eq!(server.asked()[2].body["model"], "m:p-v1");
}

#[test]
fn an_adapters_name_holds_its_version_and_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    let first = adapter_name("srl", 3, dir.path()).unwrap();
    assert!(first.starts_with("srl-v3-") && first.len() == "srl-v3-".len() + 12, "{first}");
    fs_err::write(dir.path().join("adapter_config.json"), "{ }").unwrap();
    assert_ne!(adapter_name("srl", 3, dir.path()).unwrap(), first);
}
