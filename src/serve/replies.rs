//! Requests for replies: asked of the student, heard token by token, answered whole or in pieces.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::{self, SelectAll};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};

use super::State;
use super::answer::{Heard, Writer};
use super::http::{Answer, json_answer};
use super::models::now;
use super::refusal::Refusal;
use super::request::{Request, Shape};
use super::worker::{Said, Token, gone};

/// Pieces of a stream that wait for a slow client.
const PIECES: usize = 64;

/// The replies to each prompt of a request, as they are heard.
type Hearing = SelectAll<stream::BoxStream<'static, (usize, Said)>>;

/// Answers a request for replies, whole or in pieces.
pub(super) async fn answer(state: &Arc<State>, request: Request) -> Result<Answer, Refusal> {
    let served = state.models.get(request.model.as_deref())?;
    let student = served.student.clone();
    // To encode a long text takes a while, in which others want to be answered.
    let asking = tokio::task::spawn_blocking(move || (request.ask(&student), request));
    let (ask, request) = asking.await.map_err(|_| gone())?;
    let ask = Arc::new(ask?);
    let heard = (0..ask.prompts.len())
        .map(|index| Ok(listen(index, served.worker.ask(&ask, index)?)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let mut hearing: Hearing = stream::select_all(heard);
    let prefix = if request.shape == Shape::Chat { "chatcmpl" } else { "cmpl" };
    let number = state.answers.fetch_add(1, Ordering::Relaxed);
    let (id, created) = (format!("{prefix}-{:08x}{number:08x}", std::process::id()), now());
    let writer = Writer { request, ask, served, id, created };
    if writer.request.stream.is_some() {
        return Ok(stream_answer(writer, hearing));
    }
    let mut replies: Vec<Heard> = Vec::new();
    replies.resize_with(writer.ask.prompts.len() * writer.ask.n, Heard::default);
    while let Some((prompt, said)) = hearing.next().await {
        match said {
            Said::Token(token) => replies[prompt * writer.ask.n + token.drawn.reply].push(*token),
            Said::Refused(refusal) => return Err(refusal),
        }
    }
    if !replies.iter().all(Heard::is_whole) {
        return Err(gone());
    }
    Ok(json_answer(StatusCode::OK, &writer.whole(&replies)))
}

fn listen(index: usize, said: UnboundedReceiver<Said>) -> stream::BoxStream<'static, (usize, Said)> {
    stream::unfold(said, move |mut said| async move { said.recv().await.map(|heard| ((index, heard), said)) })
        .boxed()
}

/// Server-sent events: a piece for each token.
fn stream_answer(writer: Writer, hearing: Hearing) -> Answer {
    let (pieces, sent) = channel(PIECES);
    tokio::spawn(async move {
        // A client that went away needs no more pieces; with `hearing` its replies end too.
        tell(&writer, hearing, &pieces).await.ok();
    });
    let frames = stream::unfold(sent, |mut sent: Receiver<String>| async move {
        sent.recv()
            .await
            .map(|piece| (Ok::<_, Infallible>(Frame::data(Bytes::from(format!("data: {piece}\n\n")))), sent))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// The client is gone.
struct Gone;

async fn tell(writer: &Writer, mut hearing: Hearing, pieces: &Sender<String>) -> Result<(), Gone> {
    let send = async |piece: String| pieces.send(piece).await.map_err(|_| Gone);
    let count = writer.ask.prompts.len() * writer.ask.n;
    // Characters and tokens of each reply that were told, and whether it is whole.
    let mut told = vec![(0, 0, false); count];
    while let Some((prompt, said)) = hearing.next().await {
        let token: Token = match said {
            Said::Token(token) => *token,
            Said::Refused(refusal) => return send(refusal.json().to_string()).await,
        };
        let index = prompt * writer.ask.n + token.drawn.reply;
        let (characters, tokens, is_whole) = &mut told[index];
        if *tokens == 0
            && let Some(piece) = writer.first_piece(index)
        {
            send(piece.to_string()).await?;
        }
        if let Some(piece) = writer.token_piece(index, &token, (*characters, *tokens == 0)) {
            send(piece.to_string()).await?;
        }
        *characters += token.text.chars().count();
        *tokens += 1;
        *is_whole = token.end.is_some();
    }
    if told.iter().any(|(_, _, is_whole)| !is_whole) {
        return send(gone().json().to_string()).await;
    }
    if writer.request.stream.is_some_and(|stream| stream.has_usage) {
        let tokens = told.iter().map(|(_, tokens, _)| tokens).sum();
        send(writer.usage_piece(tokens).to_string()).await?;
    }
    send("[DONE]".to_owned()).await
}
