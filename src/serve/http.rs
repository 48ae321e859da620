//! HTTP: connections, routes, bounds, and an end that lets answers be finished.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::body::Body;
use super::models::Served;
use super::refusal::Refusal;
use super::request::Request;
use super::worker::gone;
use super::{State, replies};

/// Bytes of a request's body.
const BODY: usize = 16 << 20;
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// What a client has to send a request's head, and then its body.
const SENDING: Duration = Duration::from_secs(30);
/// What answers have to be finished in once the end has come.
const ENDING: Duration = Duration::from_secs(30);

/// What a client receives.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Answers until `end`, and then those who asked before it.
pub(super) async fn run(listener: TcpListener, state: Arc<State>, end: impl Future<Output = ()>) {
    let (tell_end, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(end);
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, Arc::clone(&state), ended.clone()))),
                // No descriptor is left, or the client went away: others go on.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = &mut end => break,
        }
    }
    drop(listener);
    tell_end.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(ENDING, finish).await.is_err() {
        tracing::warn!("{} answers were not finished", connections.len());
    }
}

/// One connection.
async fn converse(stream: TcpStream, state: Arc<State>, mut ended: watch::Receiver<bool>) {
    // Pieces of a stream are small and are waited for.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SENDING)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let is_over = tokio::select! {
        _ = connection.as_mut() => true,
        _ = ended.wait_for(|is_ended| *is_ended) => false,
    };
    if !is_over {
        connection.as_mut().graceful_shutdown();
        connection.await.ok();
    }
}

async fn answer(state: &Arc<State>, request: HttpRequest<Incoming>) -> Answer {
    route(state, request).await.unwrap_or_else(|refusal| refused(&refusal))
}

async fn route(state: &Arc<State>, request: HttpRequest<Incoming>) -> Result<Answer, Refusal> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    check_host(state, &request)?;
    if path != "/health" {
        check_key(state, &request)?;
    }
    match (&method, path.as_str()) {
        (&Method::GET, "/health") => health(state),
        (&Method::GET, "/v1/models") => Ok(json_answer(StatusCode::OK, &models(state))),
        (&Method::POST, "/v1/completions") => {
            replies::answer(state, Request::completion(&body(request).await?)?).await
        }
        (&Method::POST, "/v1/chat/completions") => {
            replies::answer(state, Request::chat(&body(request).await?)?).await
        }
        (&Method::POST, "/v1/load_lora_adapter") => load(state, &body(request).await?).await,
        (&Method::POST, "/v1/unload_lora_adapter") => unload(state, &body(request).await?),
        (_, "/health" | "/v1/models" | "/v1/completions" | "/v1/chat/completions") => {
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} is not asked by {method}")))
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no {path}"))),
    }
}

/// A page in a browser may have given us a name of its own to read what we answer; it cannot do so with a number.
fn check_host(state: &State, request: &HttpRequest<Incoming>) -> Result<(), Refusal> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let name = host.parse::<SocketAddr>().map(|address| address.ip().to_string());
    let name = name.unwrap_or_else(|_| host.split(':').next().unwrap_or(host).to_owned());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_number = name.parse::<IpAddr>().is_ok() || bare.parse::<IpAddr>().is_ok();
    if state.key.is_some() || !state.is_loopback || is_number || name.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::FORBIDDEN, format!("`{host}` is not a name of this server; use localhost")))
}

fn check_key(state: &State, request: &HttpRequest<Incoming>) -> Result<(), Refusal> {
    let Some(key) = &state.key else { return Ok(()) };
    let shown = request.headers().get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or(b"");
    // Digests, so that the time of the comparison says nothing about the key.
    if Sha256::digest(shown) == Sha256::digest(key.bytes()) {
        return Ok(());
    }
    Err(Refusal {
        code: Some("invalid_api_key"),
        ..Refusal::new(StatusCode::UNAUTHORIZED, "this is not the server's API key")
    })
}

/// The body of a request, which says that it is JSON: a page of another origin cannot, without asking first.
async fn body(request: HttpRequest<Incoming>) -> Result<Bytes, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if !kind.trim().to_ascii_lowercase().starts_with("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json`",
        ));
    }
    let read = tokio::time::timeout(SENDING, Limited::new(request.into_body(), BODY).collect()).await;
    match read {
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {BODY} bytes")))
        }
        Ok(Err(error)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")))
        }
    }
}

fn health(state: &State) -> Result<Answer, Refusal> {
    if state.models.list().iter().all(|served| served.worker.is_well()) {
        return Ok(json_answer(StatusCode::OK, &json!({"status": "ok"})));
    }
    Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, ..gone() })
}

fn models(state: &State) -> Value {
    let model = |served: &Arc<Served>| {
        json!({
            "id": served.name, "object": "model", "created": served.created, "owned_by": "apprentice",
            "root": served.parent.as_ref().unwrap_or(&served.name), "parent": served.parent,
            "max_model_len": served.student.config().max_positions,
        })
    };
    json!({"object": "list", "data": state.models.list().iter().map(model).collect::<Vec<_>>()})
}

/// The words of vLLM's requests for adapters.
fn adapter(bytes: &[u8], has_path: bool) -> Result<(String, PathBuf), Refusal> {
    let mut body = Body::new(bytes)?;
    let name = body.need("lora_name")?;
    let path = if has_path { body.need("lora_path")? } else { PathBuf::new() };
    body.only("load_inplace", &[json!(false)])?;
    body.ignore("lora_int_id");
    body.finish()?;
    Ok((name, path))
}

async fn load(state: &Arc<State>, bytes: &[u8]) -> Result<Answer, Refusal> {
    let (name, path) = adapter(bytes, true)?;
    let (state, loaded) = (Arc::clone(state), name.clone());
    let load = tokio::task::spawn_blocking(move || state.models.load_for_client(&loaded, &path));
    load.await.map_err(|_| gone())??;
    Ok(json_answer(StatusCode::OK, &json!({"status": "loaded", "lora_name": name})))
}

fn unload(state: &State, bytes: &[u8]) -> Result<Answer, Refusal> {
    let (name, _) = adapter(bytes, false)?;
    state.models.unload(&name)?;
    Ok(json_answer(StatusCode::OK, &json!({"status": "unloaded", "lora_name": name})))
}

/// An answer that is one value.
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn refused(refusal: &Refusal) -> Answer {
    let mut answer = json_answer(refusal.status, &refusal.json());
    if refusal.status == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
