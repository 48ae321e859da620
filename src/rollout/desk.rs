//! The desk where episodes wait for the policy.
//!
//! A policy is synchronous and answers many at once, so whoever waits while it thinks is asked for together the next
//! time. A slow policy lets those that are about to ask come first, for a small part of its own time: fuller batches for it, and
//! no wait at all for one that is quick. Who is asked for together changes no reply, because a request carries its own
//! seed and a policy's rows do not see each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};

use super::Finished;
use crate::policy::{Policy, Sample, SampleRequest};

/// One of so many parts of the policy's last answer is waited for others.
const PATIENCE: u32 = 8;
/// As long is waited at most.
const MOST: Duration = Duration::from_millis(250);
/// What the first answer is taken to last: 10 ms of patience, in which sandboxes of namespaces start.
const FIRST: Duration = Duration::from_millis(80);
/// The clock of the runtime tells no less.
const TICK: Duration = Duration::from_millis(1);

/// What an episode says to the desk.
pub(super) enum Message {
    Asked(Asked),
    /// An episode is over; nothing of it is left where it panicked.
    Ended(usize, Option<Box<Finished>>),
}

/// A request, and where its replies go.
pub(super) struct Asked {
    place: usize,
    request: SampleRequest,
    replies: oneshot::Sender<Vec<Sample>>,
}

/// The episodes' end of it.
#[derive(Clone)]
pub(super) struct Line(mpsc::UnboundedSender<Message>);

impl Line {
    /// Waits for the policy's replies; none come any more once the rollout is broken off.
    pub(super) async fn ask(&self, place: usize, request: SampleRequest) -> Option<Vec<Sample>> {
        let (replies, answer) = oneshot::channel();
        self.0.send(Message::Asked(Asked { place, request, replies })).ok()?;
        answer.await.ok()
    }

    /// What says that an episode is over when it is let go, however it ends: the desk would wait for it for ever.
    pub(super) fn leaving(&self, place: usize) -> Leaving {
        Leaving { line: self.clone(), place, finished: None }
    }
}

/// An episode's last word.
pub(super) struct Leaving {
    line: Line,
    place: usize,
    pub(super) finished: Option<Box<Finished>>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Who broke the rollout off does not want to know.
        self.line.0.send(Message::Ended(self.place, self.finished.take())).ok();
    }
}

/// Who ended, and as what.
pub(super) type Ended = (usize, Option<Box<Finished>>);

/// The policy's end of it.
pub(super) struct Desk {
    messages: mpsc::UnboundedReceiver<Message>,
    /// By their places, so that a batch is in the order of the jobs.
    waiting: BTreeMap<usize, Asked>,
    /// Episodes that will ask or end.
    working: BTreeSet<usize>,
    /// How many can ask at once; those that have begun beyond it wait for a place.
    places: usize,
    /// How long the policy took for its last answer.
    last: Duration,
}

impl Desk {
    pub(super) fn open(places: usize) -> (Line, Self) {
        let (sender, messages) = mpsc::unbounded_channel();
        let (waiting, working) = (BTreeMap::new(), BTreeSet::new());
        (Line(sender), Self { messages, waiting, working, places, last: FIRST })
    }

    /// An episode has begun.
    pub(super) fn expect(&mut self, place: usize) {
        self.working.insert(place);
    }

    /// Waits until somebody asks or ends, then a little for others; gives who ended.
    pub(super) async fn gather(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        if let Some(first) = self.messages.recv().await {
            self.take(first, &mut ended);
        }
        while let Ok(next) = self.messages.try_recv() {
            self.take(next, &mut ended);
        }
        let patience = (self.last / PATIENCE).min(MOST);
        if patience < TICK {
            return ended;
        }
        let deadline = tokio::time::Instant::now() + patience;
        while !self.waiting.is_empty() && !self.working.is_empty() && self.waiting.len() < self.places {
            match tokio::time::timeout_at(deadline, self.messages.recv()).await {
                Ok(Some(next)) => self.take(next, &mut ended),
                Ok(None) | Err(_) => break,
            }
        }
        ended
    }

    fn take(&mut self, message: Message, ended: &mut Vec<Ended>) {
        match message {
            Message::Asked(asked) => {
                self.working.remove(&asked.place);
                self.waiting.insert(asked.place, asked);
            }
            Message::Ended(place, finished) => {
                self.working.remove(&place);
                ended.push((place, finished));
            }
        }
    }

    /// Lets the policy answer all that wait; gives how many.
    pub(super) fn answer(&mut self, policy: &mut dyn Policy) -> anyhow::Result<u64> {
        if self.waiting.is_empty() {
            return Ok(0);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (requests, answers): (Vec<_>, Vec<_>) =
            waiting.into_values().map(|asked| (asked.request, (asked.place, asked.replies))).unzip();
        let begin = Instant::now();
        let replies = aside(|| policy.sample(&requests))?;
        self.last = begin.elapsed();
        ensure!(replies.len() == requests.len(), "policy `{}` left requests unanswered", policy.name());
        for ((place, answer), samples) in answers.into_iter().zip(replies) {
            self.working.insert(place);
            // An episode that is gone has said so, or will.
            answer.send(samples).ok();
        }
        Ok(requests.len() as u64)
    }
}

/// Thinks on this thread, and lets the runtime's other threads take over what it would have done on this one.
fn aside<T>(think: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(think),
        _ => think(),
    }
}
