//! What is answered over HTTP is what the student itself says.

use std::sync::Arc;

use apprentice::model::policy::StudentPolicy;
use apprentice::model::{Prompt, SampleOptions};
use apprentice::policy::{Policy, Sample, SampleRequest};
use apprentice::remote::{AdapterVersions, Prompted, Query, RemotePolicy, Sampling};
use serde_json::{Value, json};

use crate::service::{Service, conversation, model, program, student};

fn assert_same(served: &[Sample], own: &[Sample]) {
    assert_eq!(served.len(), own.len());
    for (served, own) in served.iter().zip(own) {
        assert_eq!((&served.tokens, &served.text, served.finished), (&own.tokens, &own.text, own.finished));
        assert_eq!(served.prompt, own.prompt);
        assert_eq!(served.logprobs.len(), own.logprobs.len());
        for (a, b) in served.logprobs.iter().zip(&own.logprobs) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn tokens_and_conversations_get_the_students_own_replies() {
    let (service, student) = (Service::start(), student(3));
    let messages = conversation("fn field_3");
    let tokens: Arc<[u32]> = student.tokenizer().encode_prompt(&messages).unwrap().into();
    for temperature in [0.0, 0.7, 1.0] {
        // A seed that has all 64 bits.
        let (n, seed) = (3, u64::MAX - 5);
        let options = SampleOptions { temperature, max_new_tokens: 24, ..SampleOptions::default() };
        let prompt = Prompt { tokens: Arc::clone(&tokens), n, seed };
        let own = student.generate(&[prompt], &options).unwrap().remove(0);
        let sampling = Sampling { temperature, max_tokens: 24, ..Sampling::default() };
        for prompt in [Prompted::Tokens(&tokens), Prompted::Messages(&messages)] {
            let query = Query { prompt, n, seed, sampling };
            assert_same(&service.client("vllm").replies(&query).unwrap(), &own);
        }
        let query = Query { prompt: Prompted::Messages(&messages), n, seed, sampling };
        let plain = service.client("openai").replies(&query).unwrap();
        let texts =
            |samples: &[Sample]| samples.iter().map(|s| (s.text.clone(), s.finished)).collect::<Vec<_>>();
        assert_eq!(texts(&plain), texts(&own));
    }
}

fn requests() -> Vec<SampleRequest> {
    let request = |attempt: usize| SampleRequest {
        messages: conversation(&"x + 1 ".repeat(attempt * 3 + 1)),
        task: "t".to_owned(),
        attempt,
        step: 0,
        n: 2,
        seed: attempt as u64 * 17,
    };
    (0..12)
        .map(request)
        .chain([SampleRequest { messages: conversation(&"é".repeat(400)), ..request(0) }])
        .collect()
}

#[test]
fn a_policy_behind_the_server_is_the_policy_of_its_checkpoint() {
    let service = Service::start();
    let options = SampleOptions { max_new_tokens: 30, ..SampleOptions::default() };
    let own =
        StudentPolicy { student: student(3), options, name: "own".to_owned() }.sample(&requests()).unwrap();
    assert!(own[12].is_empty(), "the last conversation does not fit");
    let tokenizer = student(3).tokenizer().clone();
    let encode = move |messages: &[_]| Ok(tokenizer.encode_prompt(messages)?);
    for encode in [None, Some(Box::new(encode) as apprentice::remote::Encode)] {
        let mut policy = RemotePolicy {
            client: service.client("vllm"),
            sampling: Sampling { max_tokens: 30, ..Sampling::default() },
            encode,
            // All at once, so that they are drawn together.
            parallel: 13,
            adapters: AdapterVersions::default(),
        };
        let served = policy.sample(&requests()).unwrap();
        for (served, own) in served.iter().zip(&own) {
            assert_same(served, own);
        }
        let count = |of: fn(&Sample) -> usize| own.iter().flatten().map(of).sum::<usize>() as u64;
        let spent = policy.client.budget().spent();
        assert_eq!((spent.prompt * 2, spent.reply), (count(|s| s.prompt.len()), count(|s| s.tokens.len())));
    }
}

#[test]
fn a_stop_ends_the_text_and_is_named() {
    let service = Service::start();
    let mut body =
        json!({"prompt": "fn field_1(", "max_tokens": 40, "temperature": 0, "return_token_ids": true});
    let whole = service.post("/v1/completions", &body).1["choices"][0].clone();
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(5).take(2).collect();
    body["stop"] = json!([stop, "never said"]);
    let (status, answer) = service.post("/v1/completions", &body);
    let choice = &answer["choices"][0];
    assert_eq!(status, 200);
    assert_eq!(choice["text"].as_str().unwrap(), text.split(&stop).next().unwrap());
    assert_eq!((&choice["finish_reason"], &choice["stop_reason"]), (&json!("stop"), &json!(stop)));
    let tokens = choice["token_ids"].as_array().unwrap();
    assert_eq!(tokens[..], whole["token_ids"].as_array().unwrap()[..tokens.len()]);
    assert!(tokens.len() < whole["token_ids"].as_array().unwrap().len());
}

#[test]
fn several_prompts_and_replies_stand_in_order() {
    let service = Service::start();
    let ask = |prompt: Value| {
        let body = json!({"prompt": prompt, "n": 2, "seed": 5, "max_tokens": 6, "return_token_ids": true});
        service.post("/v1/completions", &body).1
    };
    let together = ask(json!([[1, 2, 3], [4]]));
    let choices = together["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|c| c["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for (index, prompt) in [json!([1, 2, 3]), json!([4])].into_iter().enumerate() {
        let alone = ask(prompt.clone());
        for reply in 0..2 {
            let choice = &choices[2 * index + reply];
            assert_eq!(choice["token_ids"], alone["choices"][reply]["token_ids"]);
            assert_eq!(choice["prompt_token_ids"], prompt);
        }
    }
    let tokens: usize = choices.iter().map(|choice| choice["token_ids"].as_array().unwrap().len()).sum();
    let usage = json!({"prompt_tokens": 4, "completion_tokens": tokens, "total_tokens": tokens + 4});
    assert_eq!(together["usage"], usage);
}

#[test]
fn a_check_compares_a_server_with_the_trainer() {
    let service = Service::start();
    let endpoint = format!("{}#{}", service.url, service.models[0]);
    let check = |dir: &std::path::Path| {
        let output =
            program(&["--json", "model", "check"]).arg(dir).args(["--against", &endpoint]).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), said["against"].clone())
    };
    let (code, same) = check(&model());
    assert_eq!((code, &same["is_close"]), (Some(0), &json!(true)), "{same}");
    assert!(
        same["mismatch"]["tokens"].as_u64().unwrap() > 50 && same["mismatch"]["max"].as_f64().unwrap() < 1e-4
    );
    let other = tempfile::tempdir().unwrap();
    student(4).save(other.path()).unwrap();
    let (code, far) = check(other.path());
    assert_eq!((code, &far["is_close"]), (Some(1), &json!(false)), "{far}");
}
