//! Requests that are refused, answers in pieces, and the end.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::service::{POSITIONS, Service, agent, model, program};

fn refusal(service: &Service, path: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = service.post(path, body);
    (status, answer["error"].clone())
}

#[test]
fn a_request_that_cannot_be_answered_says_why() {
    let service = Service::start();
    let chat = |more: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("/v1/chat/completions", body)
    };
    let completion = |body: Value| ("/v1/completions", body);
    for ((path, body), status, param, words) in [
        (chat(json!({"temprature": 1})), 400, "temprature", "the nearest known one is `temperature`"),
        (chat(json!({"model": "gpt"})), 404, "model", "served are: tiny"),
        (chat(json!({"tools": [{"type": "function"}]})), 400, "tools", "not supported"),
        (chat(json!({"max_tokens": POSITIONS})), 400, "max_tokens", "maximum context length is 400"),
        (chat(json!({"n": 1000})), 400, "n", "not in 1..=128"),
        (chat(json!({"temperature": -1})), 400, "temperature", "not in 0..=100"),
        (chat(json!({"top_logprobs": 2})), 400, "top_logprobs", "needs `logprobs: true`"),
        (chat(json!({"messages": [{"role": "tool", "content": "x"}]})), 400, "messages", "role `tool`"),
        (chat(json!({"stop": [""]})), 400, "stop", "1 to 256 bytes"),
        (completion(json!({})), 400, "prompt", "missing"),
        (completion(json!({"prompt": []})), 400, "prompt", "no tokens"),
        (completion(json!({"prompt": [99_999]})), 400, "", "token 99999"),
        (completion(json!({"prompt": "x", "echo": true})), 400, "echo", "not supported"),
        (completion(json!({"prompt": "x", "logprobs": 21})), 400, "logprobs", "at most 20"),
        (completion(json!({"prompt": "x", "top_k": -7})), 400, "top_k", "count of tokens"),
        (completion(json!({"prompt": "x", "max_tokens": 0})), 400, "max_tokens", "at least 1"),
    ] {
        let (found, error) = refusal(&service, path, &body);
        assert_eq!(found, status, "{body}: {error}");
        assert_eq!(error["param"].as_str().unwrap_or(""), param, "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{body}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(service.post("/v1/nothing", &json!({})).0, 404);
    assert_eq!(service.get("/v1/completions", &[]).0, 405);
    assert_eq!(service.get("/health", &[]), (200, json!({"status": "ok"})));
    let (_, models) = service.get("/v1/models", &[]);
    assert_eq!(models["data"][0]["id"], "tiny");
    assert_eq!(models["data"][0]["max_model_len"], POSITIONS);
}

#[test]
fn bodies_are_bounded_and_are_json() {
    let service = Service::start();
    let json = ("Content-Type", "application/json");
    assert_eq!(service.send("/v1/completions", b"{", &[json]).0, 400);
    assert_eq!(service.send("/v1/completions", b"{}", &[("Content-Type", "text/plain")]).0, 415);
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(service.send("/v1/completions", &large, &[json]).0, 413);
    // It goes on.
    assert_eq!(service.post("/v1/completions", &json!({"prompt": "x", "max_tokens": 1})).0, 200);
}

#[test]
fn a_name_that_another_gave_this_machine_is_refused() {
    let service = Service::start();
    assert_eq!(service.get("/v1/models", &[("Host", "evil.example.org")]).0, 403);
    assert_eq!(service.get("/v1/models", &[("Host", "localhost:80")]).0, 200);
    assert_eq!(service.get("/v1/models", &[("Host", "[::1]:80")]).0, 200);
}

#[test]
fn a_key_is_asked_for_where_there_is_one() {
    let service = Service::of(&model(), &[], Some("a-key"));
    for header in ["Bearer another", "a-key", "Bearer "] {
        let (status, answer) = service.get("/v1/models", &[("Authorization", header)]);
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("invalid_api_key")));
    }
    assert_eq!(service.get("/v1/models", &[("Authorization", "Bearer a-key")]).0, 200);
    assert_eq!(service.get("/health", &[]).0, 200);
}

#[test]
fn another_address_than_loopback_needs_a_key() {
    let output = program(&["model", "serve"]).arg(model()).args(["--host", "0.0.0.0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("without an API key") && said.contains("APPRENTICE_API_KEY"), "{said}");
}

/// The pieces of an answer, as they come.
fn pieces(service: &Service, path: &str, body: &Value) -> impl Iterator<Item = String> + use<> {
    let request = agent().post(format!("{}{path}", service.url)).content_type("application/json");
    let response = request.send(body.to_string()).unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let lines = BufReader::new(response.into_body().into_reader()).lines();
    lines.filter_map(|line| line.unwrap().strip_prefix("data: ").map(str::to_owned))
}

#[test]
fn the_pieces_of_a_stream_are_the_whole_answer() {
    let service = Service::start();
    for (path, prompt) in [
        ("/v1/completions", json!({"prompt": "fn f"})),
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "fn"}]}]}),
        ),
    ] {
        let mut body = prompt;
        for (key, value) in [
            ("seed", json!(8)),
            ("n", json!(2)),
            ("max_tokens", json!(25)),
            ("return_token_ids", json!(true)),
        ] {
            body[key] = value;
        }
        let whole = service.post(path, &body).1;
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let mut all: Vec<String> = pieces(&service, path, &body).collect();
        assert_eq!(all.pop().unwrap(), "[DONE]");
        let mut all: Vec<Value> = all.iter().map(|piece| serde_json::from_str(piece).unwrap()).collect();
        assert_eq!(all.pop().unwrap()["usage"], whole["usage"]);
        for (index, whole) in whole["choices"].as_array().unwrap().iter().enumerate() {
            let of_reply =
                || all.iter().map(|piece| &piece["choices"][0]).filter(|choice| choice["index"] == index);
            let text: String = of_reply()
                .filter_map(|choice| choice["text"].as_str().or(choice["delta"]["content"].as_str()))
                .collect();
            assert_eq!(text, whole["text"].as_str().or(whole["message"]["content"].as_str()).unwrap());
            let tokens: Vec<Value> =
                of_reply().filter_map(|choice| choice["token_ids"].as_array()).flatten().cloned().collect();
            assert_eq!(json!(tokens), whole["token_ids"]);
            assert_eq!(of_reply().next_back().unwrap()["finish_reason"], whole["finish_reason"]);
        }
    }
}

#[test]
fn log_probabilities_come_in_both_shapes() {
    let service = Service::start();
    let body = json!({"prompt": "fn f", "max_tokens": 4, "temperature": 0, "logprobs": 2, "return_tokens_as_token_ids": true,
        "return_token_ids": true});
    let choice = service.post("/v1/completions", &body).1["choices"][0].clone();
    let logprobs = &choice["logprobs"];
    for (index, token) in choice["token_ids"].as_array().unwrap().iter().enumerate() {
        let name = format!("token_id:{token}");
        assert_eq!(logprobs["tokens"][index], name);
        // The most probable token was taken.
        let number = |value: &Value| value.as_f64().unwrap();
        let (best, drawn) = (&logprobs["top_logprobs"][index][&name], &logprobs["token_logprobs"][index]);
        assert!((number(best) - number(drawn)).abs() < 1e-5, "{best} {drawn}");
        assert_eq!(logprobs["top_logprobs"][index].as_object().unwrap().len(), 2);
    }
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "logprobs": true, "top_logprobs": 3});
    let choice = service.post("/v1/chat/completions", &body).1["choices"][0].clone();
    let content = choice["logprobs"]["content"].as_array().unwrap();
    assert!(content.iter().all(|entry| entry["logprob"].as_f64().unwrap() <= 0.0));
    assert!(content.iter().all(|entry| entry["top_logprobs"].as_array().unwrap().len() == 3));
}

#[test]
fn the_end_lets_an_answer_be_finished() {
    let service = Service::start();
    let body =
        json!({"prompt": "fn f", "max_tokens": 390, "stream": true, "logit_bias": {}, "temperature": 2});
    let mut all = pieces(&service, "/v1/completions", &body);
    all.next().unwrap();
    service.terminate();
    assert_eq!(all.last().unwrap(), "[DONE]");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn a_client_that_goes_away_leaves_the_server_to_others() {
    let service = Service::start();
    for _ in 0..3 {
        let body = json!({"prompt": "fn f", "n": 64, "max_tokens": 390, "stream": true, "temperature": 2});
        pieces(&service, "/v1/completions", &body).next().unwrap();
    }
    let (status, _) = service.post("/v1/completions", &json!({"prompt": "x", "max_tokens": 2}));
    assert_eq!(status, 200);
}
