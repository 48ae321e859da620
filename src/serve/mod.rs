//! A student behind HTTP, in the words of OpenAI's completions and vLLM's additions to them.
//!
//! Guarantees that a reply is the one that [`Student::generate`](crate::model::Student::generate) gives for the same tokens, seed and
//! options, whoever else asks at the time; that what a request asks for is done or refused, never left out in silence; and that
//! bodies, connections and what waits are bounded. Listens on loopback unless there is a key.

mod answer;
mod body;
mod http;
mod models;
mod refusal;
mod replies;
mod request;
mod worker;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;

use crate::model::Student;
use crate::model::error::ModelError;
use crate::remote::Key;
use models::Models;

/// What is served, and where.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients must show as `Authorization: Bearer KEY`.
    pub key: Option<Key>,
    /// The student's name in requests.
    pub name: String,
    /// Directory below which adapters may be loaded while it runs; none may without.
    pub adapter_root: Option<PathBuf>,
}

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Others could reach it, and nothing would stop them.
    #[error("will not listen on {address} without an API key: others can reach that address")]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("could not listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No thread can be had for a student.
    #[error("could not start the student's thread")]
    Thread(#[source] std::io::Error),
    /// An adapter that does not fit.
    #[error("could not load adapter `{name}`")]
    Adapter {
        /// The adapter's name.
        name: String,
        /// Why.
        #[source]
        source: ModelError,
    },
    /// A name that is taken or cannot be one.
    #[error("adapter `{name}`: {problem}")]
    Name {
        /// The adapter's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<State>,
}

/// What all connections share.
#[derive(Debug)]
struct State {
    models: Models,
    key: Option<Key>,
    /// Whether only this machine can connect.
    is_loopback: bool,
    /// Answers so far, by which they are told apart.
    answers: AtomicU64,
}

impl Server {
    /// Listens; connections wait until [`Server::run`].
    ///
    /// # Errors
    /// When the address cannot be had, or is not loopback and there is no key.
    pub async fn bind(student: Student, options: Options) -> Result<Self, ServeError> {
        let Options { address, key, name, adapter_root } = options;
        if !address.ip().is_loopback() && key.is_none() {
            return Err(ServeError::Open { address });
        }
        let failed = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let models = Models::new(name, student, adapter_root).map_err(ServeError::Thread)?;
        let (is_loopback, answers) = (address.ip().is_loopback(), AtomicU64::new(0));
        Ok(Self { listener, address: bound, state: Arc::new(State { models, key, is_loopback, answers }) })
    }

    /// Merges an adapter into a second student that is served under a name of its own.
    ///
    /// # Errors
    /// When the adapter does not fit, or the name is taken.
    pub fn load_adapter(&self, name: &str, dir: &Path) -> Result<(), ServeError> {
        self.state.models.load(name, dir)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names that requests may ask for, the student's own first.
    pub fn names(&self) -> Vec<String> {
        self.state.models.list().iter().map(|served| served.name.clone()).collect()
    }

    /// Answers until `end`; then nobody new, and those who wait have half a minute.
    pub async fn run(self, end: impl Future<Output = ()>) {
        http::run(self.listener, self.state, end).await;
    }
}
