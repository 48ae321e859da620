//! Asking a registry through the engine: again after trouble that passes, never for ever.
//!
//! Guarantees that those who want the same image at the same moment share one pull and its outcome, that
//! what a registry refuses or does not have is asked once, and that a registry that says nothing for
//! [`FIRST_ANSWER`] is given up. A registry that answered before and is away now is waited for. Which images are
//! pulled, and what is known of them later, is decided in [`super::fetch`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::sandbox::Say;

/// How long a registry may take to start answering.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// How long a pull may take, with all its tries.
const WHOLE: Duration = Duration::from_secs(1800);
/// How long to wait after each try that failed; the try after the last wait is the last.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// How often the user is told how far a pull is.
const NEWS: Duration = Duration::from_secs(5);

/// Words of trouble that passes, of registries and of the way there, in lower case.
const PASSING: [&str; 10] = [
    "toomanyrequests",
    "too many requests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway time",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    "tls handshake timeout",
];

/// Words of a registry that is away. Before it ever answered there is most often no network at all, and
/// nothing to wait for.
const AWAY: [&str; 5] =
    ["connection refused", "no such host", "i/o timeout", "network is unreachable", "eof"];

/// Pulls under way in this process. Of the process and not of a backend, because an embedding program may have
/// several backends, and the engine is one.
static PULLS: Flights = Flights::new();

/// Does `work`, which pulls `image`, or waits for the pull of it that is under way.
///
/// # Errors
/// Why it could not be pulled, for the user.
pub(super) async fn share<Work, Done>(image: &str, work: Work) -> Result<(), String>
where
    Work: FnOnce() -> Done,
    Done: Future<Output = Result<(), String>>,
{
    let outcome = PULLS.join(image, || async {
        let done = timeout(WHOLE, work()).await;
        done.unwrap_or_else(|_| Err(format!("it took more than {} s", WHOLE.as_secs())))
    });
    outcome.await.map_err(|reason| format!("`{image}` could not be pulled: {reason}"))
}

/// The digest that a registry has for `image` now; `None` where the engine cannot ask.
///
/// # Errors
/// Why the registry does not say.
pub(super) async fn digest(docker: &Docker, image: &str) -> Result<Option<String>, String> {
    let ask = || async {
        let Ok(answer) = timeout(FIRST_ANSWER, docker.inspect_registry_image(image, None)).await else {
            return Err(silent());
        };
        match answer {
            Ok(found) => Ok(found.descriptor.digest),
            Err(Error::DockerResponseServerError { status_code: 404, message }) if cannot_ask(&message) => {
                Ok(None)
            }
            Err(error) => Err(fault(&error, Before::Unknown)),
        }
    };
    again(&WAITS, ask).await
}

/// Whether the engine does not know the question, as Podman.
fn cannot_ask(message: &str) -> bool {
    let message = message.trim();
    message.is_empty()
        || ["not found", "page not found", "404 page not found"].contains(&&*message.to_lowercase())
}

/// Pulls `image`, telling how far it is under the name that the user knows; a registry that `answered` before is
/// waited for.
///
/// # Errors
/// Why it could not be pulled.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    answered: Before,
    (name, say): (&str, Say<'_>),
) -> Result<(), String> {
    again(&WAITS, || attempt(docker, image, answered, (name, say))).await
}

/// Whether the registry ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It did.
    Answered,
    /// Nobody asked yet.
    Unknown,
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// Trying again may help.
    Passing(String),
    /// It does not.
    Lasting(String),
}

/// Work under way by name, shared by those who want the same.
struct Flights {
    under_way: Mutex<BTreeMap<String, Arc<Flight>>>,
}

type Flight = OnceCell<Result<(), String>>;

impl Flights {
    const fn new() -> Self {
        Self { under_way: Mutex::new(BTreeMap::new()) }
    }

    /// Does `work`, or waits for the work of this name that is under way; its outcome is everyone's. Work
    /// whose caller gave up is taken over by the next one that waits.
    async fn join<Work, Done>(&self, name: &str, work: Work) -> Result<(), String>
    where
        Work: FnOnce() -> Done,
        Done: Future<Output = Result<(), String>>,
    {
        let flight = self.under_way().entry(name.to_owned()).or_default().clone();
        let outcome = flight.get_or_init(work).await.clone();
        let mut under_way = self.under_way();
        if under_way.get(name).is_some_and(|last| Arc::ptr_eq(last, &flight)) {
            under_way.remove(name);
        }
        outcome
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Flight>>> {
        self.under_way.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

/// Tries until it works, a fault lasts or every wait is over.
async fn again<T, Try, Tried>(waits: &[Duration], mut attempt: Try) -> Result<T, String>
where
    Try: FnMut() -> Tried,
    Tried: Future<Output = Result<T, Fault>>,
{
    for wait in waits {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Fault::Lasting(reason)) => return Err(reason),
            Err(Fault::Passing(reason)) => tracing::info!(reason, ?wait, "a pull failed and is tried again"),
        }
        sleep(*wait).await;
    }
    attempt().await.map_err(|fault| match fault {
        Fault::Lasting(reason) => reason,
        Fault::Passing(reason) => format!("{reason} (tried {} times)", waits.len() + 1),
    })
}

/// Asks the engine to pull `image` once.
async fn attempt(
    docker: &Docker,
    image: &str,
    mut answered: Before,
    (name, say): (&str, Say<'_>),
) -> Result<(), Fault> {
    let options = CreateImageOptions { from_image: Some(image.to_owned()), ..CreateImageOptions::default() };
    let mut progress = docker.create_image(Some(options), None, None);
    // Only the first answer is waited for briefly: a registry that answers may take its time.
    let first = timeout(FIRST_ANSWER, progress.next()).await.map_err(|_| silent())?;
    let (mut next, mut far) = (first, Far::new(name));
    while let Some(said) = next {
        let said = said.map_err(|error| fault(&error, answered))?;
        answered = Before::Answered;
        if let Some(news) = far.hear(&said) {
            say(&news);
        }
        next = progress.next().await;
    }
    Ok(())
}

/// How far a pull is.
struct Far<'a> {
    name: &'a str,
    /// Bytes of each layer that are here, and all of them.
    layers: BTreeMap<String, [i64; 2]>,
    told: Instant,
}

impl<'a> Far<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, layers: BTreeMap::new(), told: Instant::now() }
    }

    /// Takes note of what the engine says; gives a line when it is time for one.
    fn hear(&mut self, said: &CreateImageInfo) -> Option<String> {
        let detail = said.progress_detail.as_ref();
        if said.status.as_deref() == Some("Downloading")
            && let (Some(layer), Some(detail)) = (&said.id, detail)
            && let (Some(current), Some(total)) = (detail.current, detail.total)
        {
            self.layers.insert(layer.clone(), [current, total]);
        }
        if self.told.elapsed() < NEWS || self.layers.is_empty() {
            return None;
        }
        self.told = Instant::now();
        let sum = |which: usize| self.layers.values().map(|layer| layer[which]).sum::<i64>() as f64 / 1e6;
        Some(format!("pulling {}: {:.0} of {:.0} MB", self.name, sum(0), sum(1)))
    }
}

fn silent() -> Fault {
    Fault::Lasting(format!("no answer within {} s", FIRST_ANSWER.as_secs()))
}

/// Whether trying again may help. The engine answers with its own 500 to whatever a registry or the
/// network does, so only its words tell.
fn fault(error: &Error, answered: Before) -> Fault {
    let passes = match error {
        Error::DockerResponseServerError { status_code: 429 | 502..=504, .. } => true,
        Error::DockerResponseServerError { status_code: 400..=499, .. } => false,
        Error::DockerResponseServerError { message, .. } => is_passing(message, answered),
        Error::DockerStreamError { error } => is_passing(error, answered),
        _ => false,
    };
    if passes { Fault::Passing(error.to_string()) } else { Fault::Lasting(error.to_string()) }
}

fn is_passing(message: &str, answered: Before) -> bool {
    let message = message.to_lowercase();
    let away: &[&str] = if answered == Before::Answered { &AWAY } else { &[] };
    PASSING.iter().chain(away).any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn answer(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    fn is_tried_again(error: &Error) -> bool {
        matches!(fault(error, Before::Unknown), Fault::Passing(_))
    }

    #[test]
    fn trouble_that_passes_is_tried_again() {
        for message in [
            "toomanyrequests: You have reached your pull rate limit.",
            "received unexpected HTTP status: 503 Service Unavailable",
            "Get \"https://registry.example/v2/\": net/http: TLS handshake timeout",
            "read tcp 10.0.0.2:443: read: connection reset by peer",
            "unexpected EOF",
        ] {
            assert!(is_tried_again(&answer(500, message)), "{message}");
            assert!(is_tried_again(&Error::DockerStreamError { error: message.to_owned() }), "{message}");
        }
        assert!(is_tried_again(&answer(429, "")) && is_tried_again(&answer(503, "")));
    }

    #[test]
    fn what_lasts_is_asked_once() {
        for (status_code, message) in [
            (404, "manifest for shell:9 not found: manifest unknown: manifest unknown"),
            (404, "pull access denied for x, repository does not exist or may require 'docker login'"),
            (500, "Head \"https://registry.example/v2/x\": unauthorized: authentication required"),
            (500, "Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: no such host"),
            (
                500,
                "Get \"https://registry.example/v2/\": dial tcp 127.0.0.1:443: connect: connection refused",
            ),
        ] {
            assert!(!is_tried_again(&answer(status_code, message)), "{message}");
        }
    }

    #[test]
    fn a_registry_that_answered_before_is_waited_for() {
        let away = answer(
            500,
            "Get \"http://127.0.0.1:443/v2/\": dial tcp 127.0.0.1:443: connect: connection refused",
        );
        assert!(matches!(fault(&away, Before::Answered), Fault::Passing(_)));
        let gone = answer(404, "manifest unknown");
        assert!(matches!(fault(&gone, Before::Answered), Fault::Lasting(_)));
    }

    #[tokio::test]
    async fn tries_end() {
        let tries = Cell::new(0);
        let failed = again(&[Duration::ZERO; 3], || {
            tries.set(tries.get() + 1);
            async { Err::<(), _>(Fault::Passing("busy".to_owned())) }
        });
        assert_eq!(failed.await, Err("busy (tried 4 times)".to_owned()));
        assert_eq!(tries.get(), 4);
        assert!(WAITS.is_sorted() && WAITS.iter().sum::<Duration>() < FIRST_ANSWER);
    }

    #[tokio::test]
    async fn a_try_that_works_or_fails_for_good_is_the_last() {
        for (last, expected) in
            [(Ok(()), Ok(())), (Err(Fault::Lasting("gone".to_owned())), Err("gone".to_owned()))]
        {
            let mut outcomes = vec![last, Err(Fault::Passing("busy".to_owned()))];
            let outcome = again(&[Duration::ZERO], || std::future::ready(outcomes.pop().unwrap())).await;
            assert_eq!((outcome, outcomes.len()), (expected, 0));
        }
    }

    #[tokio::test]
    async fn those_who_want_the_same_share_one_pull() {
        let (flights, pulls) = (Flights::new(), Cell::new(0));
        let pull = |name, outcome: Result<(), String>| {
            flights.join(name, || async {
                pulls.set(pulls.get() + 1);
                tokio::task::yield_now().await;
                outcome
            })
        };
        let busy = || Err("busy".to_owned());
        let all = tokio::join!(pull("a", busy()), pull("a", Ok(())), pull("b", Ok(())));
        assert_eq!(all, (busy(), busy(), Ok(())));
        assert_eq!(pulls.get(), 2);
        assert_eq!(pull("a", Ok(())).await, Ok(()), "a failure is not kept");
        assert!(flights.under_way().is_empty());
    }

    #[tokio::test]
    async fn a_pull_whose_caller_gave_up_is_taken_over() {
        let (flights, pulls) = (Flights::new(), Cell::new(0));
        let pull = || {
            flights.join("a", || async {
                pulls.set(pulls.get() + 1);
                tokio::task::yield_now().await;
                Ok(())
            })
        };
        let (mut first, mut second) = (Box::pin(pull()), Box::pin(pull()));
        for pulled in [&mut first, &mut second] {
            // Each is begun, and neither ends.
            tokio::select! { biased; _ = pulled => panic!("it ended"), () = std::future::ready(()) => {} }
        }
        assert_eq!(pulls.get(), 1);
        drop(first);
        assert_eq!(second.await, Ok(()));
        assert_eq!(pulls.get(), 2);
    }
}
