//! The thread that draws a student's replies: those who ask meanwhile join those who are being answered.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::refusal::Refusal;
use super::request::Ask;
use crate::model::decode::engine::{Drawn, Engine, Order, with_engine};
use crate::model::text::ReplyText;
use crate::model::{Prompt, Student};

/// Prompts that wait for a place; more are refused.
const QUEUE: usize = 256;
/// Replies that are drawn together; who asks for more alone gets them.
const LIVE: usize = 64;
/// Tokens of prompts that are read between two tokens of replies; a longer prompt is read alone.
const READ_TOKENS: usize = 8192;

/// Draws the replies of one student, until nobody can ask it any more.
#[derive(Debug)]
pub(super) struct Worker {
    queue: SyncSender<Job>,
    thread: JoinHandle<()>,
}

/// A prompt that waits for its replies.
struct Job {
    prompt: Prompt,
    ask: Arc<Ask>,
    said: UnboundedSender<Said>,
}

/// What is heard of a reply: a token of it, or that there are none.
#[derive(Debug)]
pub(super) enum Said {
    Token(Box<Token>),
    Refused(Refusal),
}

/// A token of a reply.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) drawn: Drawn,
    /// What the reply's text grew by.
    pub(super) text: String,
    pub(super) end: Option<End>,
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// By the end of its turn.
    Turn,
    /// Before this text.
    Stop(String),
    /// By its limit.
    Length,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(student: Student) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("student".to_owned()).spawn(move || work(&student, &jobs))?;
        Ok(Self { queue, thread })
    }

    /// Whether it still draws.
    pub(super) fn is_well(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Asks for the replies to one prompt of a request.
    pub(super) fn ask(&self, ask: &Arc<Ask>, index: usize) -> Result<UnboundedReceiver<Said>, Refusal> {
        let (said, hear) = unbounded_channel();
        let prompt = Prompt { tokens: Arc::clone(&ask.prompts[index]), n: ask.n, seed: ask.seed };
        match self.queue.try_send(Job { prompt, ask: Arc::clone(ask), said }) {
            Ok(()) => Ok(hear),
            Err(TrySendError::Full(_)) => Err(Refusal::new(
                hyper::StatusCode::TOO_MANY_REQUESTS,
                format!("{QUEUE} prompts wait already; ask again later"),
            )),
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }
}

/// What those hear whose student died.
pub(super) fn gone() -> Refusal {
    Refusal::new(
        hyper::StatusCode::INTERNAL_SERVER_ERROR,
        "the student's thread ended; see the server's stderr",
    )
}

fn work(student: &Student, jobs: &Receiver<Job>) {
    let end = student.tokenizer().end();
    let worked = with_engine(student.network(), Some(end), |mut engine| {
        let mut desk = Desk { student, end, asked: BTreeMap::new(), next: 0, waiting: None };
        while desk.receive(jobs, &mut engine) {
            engine.step(|drawn| desk.tell(drawn));
        }
    });
    if let Err(error) = worked {
        tracing::error!("a student cannot be served: {:#}", anyhow::Error::new(error));
    }
}

/// Who asked what, and how far the answers are.
struct Desk<'a> {
    student: &'a Student,
    end: u32,
    asked: BTreeMap<u64, Asked>,
    next: u64,
    /// A job that found no room.
    waiting: Option<Job>,
}

struct Asked {
    texts: Vec<ReplyText>,
    /// Replies that have not ended.
    left: usize,
    said: UnboundedSender<Said>,
}

impl Desk<'_> {
    /// Begins the replies that wait, as far as there is room; sleeps while there is nothing to draw. False when nobody can ask any more.
    fn receive(&mut self, queue: &Receiver<Job>, engine: &mut Engine<'_>) -> bool {
        let mut jobs: Vec<Job> = Vec::new();
        let (mut live, mut tokens) = (engine.live(), 0);
        loop {
            let job = match self.waiting.take() {
                Some(job) => Some(job),
                None if live == 0 => match queue.recv() {
                    Ok(job) => Some(job),
                    Err(_) => return false,
                },
                None => queue.try_recv().ok(),
            };
            let Some(job) = job else { break };
            if job.said.is_closed() {
                continue;
            }
            let has_place = live == 0 || live + job.prompt.n <= LIVE;
            let is_short = jobs.is_empty() || tokens + job.prompt.tokens.len() <= READ_TOKENS;
            if !(has_place && is_short) {
                self.waiting = Some(job);
                break;
            }
            live += job.prompt.n;
            tokens += job.prompt.tokens.len();
            jobs.push(job);
        }
        self.begin(jobs, engine);
        true
    }

    fn begin(&mut self, jobs: Vec<Job>, engine: &mut Engine<'_>) {
        if jobs.is_empty() {
            return;
        }
        let first = self.next;
        self.next += jobs.len() as u64;
        let order = |(id, job): (u64, &Job)| Order {
            id,
            prompt: job.prompt.clone(),
            options: job.ask.options,
            top: job.ask.top,
        };
        let begun = engine.begin((first..).zip(&jobs).map(order).collect()).map_err(Refusal::from);
        for (id, job) in (first..).zip(jobs) {
            let Job { prompt, ask, said } = job;
            match &begun {
                Ok(()) => {
                    let texts = vec![ReplyText::new(ask.stops.clone()); prompt.n];
                    self.asked.insert(id, Asked { texts, left: prompt.n, said });
                }
                // Who does not listen any more needs no answer.
                Err(refusal) => drop(said.send(Said::Refused(refusal.clone()))),
            }
        }
    }

    /// Tells a token to who asked for it; a reply ends when it is whole, or when nobody listens.
    fn tell(&mut self, drawn: Drawn) -> ControlFlow<()> {
        let tokenizer = self.student.tokenizer();
        let id = drawn.id;
        let Some(asked) = self.asked.get_mut(&id) else { return ControlFlow::Break(()) };
        let reply = &mut asked.texts[drawn.reply];
        reply.push(tokenizer, drawn.token);
        let end = match reply.stop() {
            Some(stop) => Some(End::Stop(stop.to_owned())),
            None if drawn.token == self.end => Some(End::Turn),
            None => drawn.is_last.then_some(End::Length),
        };
        let text = if end.is_some() { reply.rest(tokenizer) } else { reply.news() };
        let is_end = end.is_some();
        let is_heard = asked.said.send(Said::Token(Box::new(Token { drawn, text, end }))).is_ok();
        if is_heard && !is_end {
            return ControlFlow::Continue(());
        }
        asked.left -= 1;
        if asked.left == 0 {
            self.asked.remove(&id);
        }
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::config::QwenConfig;
    use crate::model::tokenizer::{ChatTokenizer, Pieces};
    use crate::model::{SampleOptions, cpu};

    fn student() -> Student {
        let tokenizer = ChatTokenizer::train(std::iter::empty(), 300, Pieces::Words).unwrap();
        let config = json!({
            "model_type": "qwen2", "vocab_size": 300, "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 4000, "tie_word_embeddings": true,
        });
        Student::init(QwenConfig::from_json(config).unwrap(), tokenizer, 1, 0.01, &cpu()).unwrap()
    }

    /// Asks for replies that are long because their end is one token of 300.
    fn ask(n: usize, tokens: usize) -> Arc<Ask> {
        let options = SampleOptions { max_new_tokens: tokens, top_k: 1, ..SampleOptions::default() };
        let prompts = vec![Arc::from([1, 2])];
        Arc::new(Ask { prompts, n, seed: 7, options, stops: Vec::new(), top: 0 })
    }

    fn token(hear: &mut UnboundedReceiver<Said>) -> Token {
        match hear.blocking_recv().unwrap() {
            Said::Token(token) => *token,
            Said::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    #[test]
    fn who_asks_for_little_does_not_wait_for_who_asked_for_much() {
        let worker = Worker::start(student()).unwrap();
        let mut much = worker.ask(&ask(2, 3000), 0).unwrap();
        assert!(token(&mut much).end.is_none());
        let mut little = worker.ask(&ask(1, 1), 0).unwrap();
        assert_eq!(token(&mut little).end, Some(End::Length));
        while much.try_recv().is_ok() {}
        assert!(much.blocking_recv().is_some(), "the long replies were whole before the short one began");
        assert!(worker.is_well());
    }

    #[test]
    fn what_nobody_hears_is_not_drawn_on() {
        let worker = Worker::start(student()).unwrap();
        for _ in 0..3 {
            drop(worker.ask(&ask(LIVE, 3000), 0).unwrap());
        }
        // It would wait for a place until the others are whole.
        let mut last = worker.ask(&ask(LIVE, 1), 0).unwrap();
        assert_eq!(token(&mut last).end, Some(End::Length));
    }

    #[test]
    fn more_than_a_queue_is_refused_with_what_to_do() {
        let worker = Worker::start(student()).unwrap();
        let asked: Result<Vec<_>, Refusal> =
            (0..QUEUE + LIVE + 8).map(|_| worker.ask(&ask(LIVE, 3000), 0)).collect();
        let refusal = asked.unwrap_err();
        assert_eq!(refusal.status, hyper::StatusCode::TOO_MANY_REQUESTS);
        assert!(refusal.message.contains("ask again later"), "{}", refusal.message);
    }
}
