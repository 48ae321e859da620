//! A backend that waits for its engine, which is away for seconds when it is restarted.
//!
//! Guarantees that a start is refused only when the engine was away for a minute, and that nobody waits for
//! an engine that stayed away. Does not bring back sandboxes that ended with it: they are lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::capacity::Capacity;
use super::{Backend, Sandbox, SandboxError, Start};
use crate::isolation::Protection;

/// How long an engine may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// A backend that was there, and is waited for when it goes away.
pub struct Patient<B> {
    backend: B,
    /// It stayed away.
    is_gone: AtomicBool,
}

impl<B> Patient<B> {
    /// Waits for `backend`, which answers now.
    pub fn new(backend: B) -> Self {
        Self { backend, is_gone: AtomicBool::new(false) }
    }

    /// Asks until the engine answers or has been away too long.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, SandboxError>
    where
        F: Future<Output = Result<T, SandboxError>>,
    {
        let begin = Instant::now();
        loop {
            match ask().await {
                Err(SandboxError::Unavailable { backend, reason, .. })
                    if begin.elapsed() < PATIENCE && !self.is_gone.load(Ordering::Relaxed) =>
                {
                    tracing::warn!(backend, reason, "waiting for the engine");
                    tokio::time::sleep(PERIOD).await;
                }
                answer => {
                    let is_away = matches!(answer, Err(SandboxError::Unavailable { .. }));
                    self.is_gone.store(is_away, Ordering::Relaxed);
                    return answer;
                }
            }
        }
    }
}

#[async_trait]
impl<B: Backend> Backend for Patient<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        self.backend.probe().await
    }

    async fn warm(&self, start: &Start<'_>, count: usize) -> Result<(), SandboxError> {
        self.backend.warm(start, count).await
    }

    async fn made_of(&self, start: &Start<'_>) -> Result<String, SandboxError> {
        self.patiently(|| self.backend.made_of(start)).await
    }

    async fn capacity(&self) -> Result<Capacity, SandboxError> {
        self.backend.capacity().await
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        self.patiently(|| self.backend.start(start)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::sandbox::scripted::ScriptedBackend;
    use crate::sandbox::spec::SandboxSpec;

    /// Refuses the first starts, each time like this.
    struct Refusing {
        refusals: usize,
        error: fn() -> SandboxError,
        n_asked: AtomicUsize,
    }

    impl Refusing {
        fn new(refusals: usize, error: fn() -> SandboxError) -> Self {
            Self { refusals, error, n_asked: AtomicUsize::new(0) }
        }
    }

    #[async_trait]
    impl Backend for Refusing {
        fn name(&self) -> &'static str {
            "refusing"
        }

        async fn probe(&self) -> Result<Protection, SandboxError> {
            Err((self.error)())
        }

        async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
            if self.n_asked.fetch_add(1, Ordering::Relaxed) < self.refusals {
                return Err((self.error)());
            }
            ScriptedBackend::default().start(start).await
        }
    }

    fn away() -> SandboxError {
        SandboxError::Unavailable { backend: "refusing", reason: "away".to_owned(), hint: String::new() }
    }

    fn missing() -> SandboxError {
        SandboxError::Image { image: "i".to_owned(), reason: "missing".to_owned(), hint: String::new() }
    }

    async fn start(backend: &dyn Backend) -> Result<(), SandboxError> {
        let spec = SandboxSpec::load("shell", std::path::Path::new("no directory")).unwrap();
        backend.start(&Start { spec: &spec, tree: None }).await.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_comes_back_is_waited_for() {
        let backend = Patient::new(Refusing::new(20, away));
        start(&backend).await.unwrap();
        assert_eq!(backend.backend.n_asked.into_inner(), 21);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_stays_away_is_waited_for_once() {
        let backend = Patient::new(Refusing::new(usize::MAX, away));
        let begin = Instant::now();
        start(&backend).await.unwrap_err();
        assert_eq!(begin.elapsed(), PATIENCE);
        start(&backend).await.unwrap_err();
        assert_eq!(begin.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_image_is_not_waited_for() {
        let backend = Patient::new(Refusing::new(1, missing));
        start(&backend).await.unwrap_err();
        assert_eq!(backend.backend.n_asked.into_inner(), 1);
    }
}
