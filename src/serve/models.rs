//! The students that are served: the base, and one for each adapter that was merged into it.
//!
//! Guarantees that a name means the same weights for as long as it is served. Whoever trains gives each version of a policy
//! a name of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use hyper::StatusCode;

use super::ServeError;
use super::refusal::Refusal;
use super::worker::Worker;
use crate::model::Student;
use crate::model::error::ModelError;
use crate::model::merge::merge;

/// Adapters that are served at once: each takes the memory of the whole student.
const MAX_ADAPTERS: usize = 4;

/// A student that is served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) name: String,
    /// The base of an adapter.
    pub(super) parent: Option<String>,
    /// When it was loaded, in seconds since 1970.
    pub(super) created: u64,
    pub(super) student: Student,
    pub(super) worker: Worker,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Models {
    base: Arc<Served>,
    adapters: RwLock<BTreeMap<String, Arc<Served>>>,
    adapter_root: Option<PathBuf>,
}

impl Served {
    fn start(name: String, parent: Option<String>, student: Student) -> std::io::Result<Self> {
        let worker = Worker::start(student.clone())?;
        Ok(Self { name, parent, created: now(), student, worker })
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Models {
    pub(super) fn new(
        name: String,
        student: Student,
        adapter_root: Option<PathBuf>,
    ) -> std::io::Result<Self> {
        let base = Arc::new(Served::start(name, None, student)?);
        Ok(Self { base, adapters: RwLock::default(), adapter_root })
    }

    /// The student of a name; the base where none is given.
    pub(super) fn get(&self, name: Option<&str>) -> Result<Arc<Served>, Refusal> {
        let Some(name) = name.filter(|name| *name != self.base.name) else {
            return Ok(Arc::clone(&self.base));
        };
        let found = self.adapters().get(name).cloned();
        found.ok_or_else(|| {
            let names: Vec<String> = self.list().iter().map(|served| served.name.clone()).collect();
            Refusal::no_model(name, &names)
        })
    }

    /// All, the base first.
    pub(super) fn list(&self) -> Vec<Arc<Served>> {
        std::iter::once(&self.base).chain(self.adapters().values()).cloned().collect()
    }

    /// Merges an adapter into the base and serves the result; takes as long as reading the weights does.
    pub(super) fn load(&self, name: &str, dir: &Path) -> Result<(), ServeError> {
        self.check_name(name)?;
        let failed = |source| ServeError::Adapter { name: name.to_owned(), source };
        let base = &self.base.student;
        let merged = merge(base.network(), dir).map_err(failed)?;
        let student = Student::new(merged, base.tokenizer().clone()).map_err(failed)?;
        let served = Served::start(name.to_owned(), Some(self.base.name.clone()), student)
            .map_err(|e| failed(ModelError::Io(e)))?;
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        if adapters.contains_key(name) || adapters.len() >= MAX_ADAPTERS {
            // Another request was faster.
            drop(adapters);
            return self.check_name(name);
        }
        adapters.insert(name.to_owned(), Arc::new(served));
        Ok(())
    }

    /// As [`Models::load`], for a client: only from below the directory that was opened for it.
    pub(super) fn load_for_client(&self, name: &str, dir: &Path) -> Result<(), Refusal> {
        let Some(root) = &self.adapter_root else {
            let message = "no adapter is loaded at run time; start the server with `--adapter-root DIR`";
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        };
        let outside = || {
            let message = format!("`{}` is no directory below `{}`", dir.display(), root.display());
            Refusal::key("lora_path", message)
        };
        let root = fs_err::canonicalize(root).map_err(|_| outside())?;
        // Joining leaves an absolute path as it is.
        let dir = fs_err::canonicalize(root.join(dir)).map_err(|_| outside())?;
        if !(dir.starts_with(&root) && dir.is_dir()) {
            return Err(outside());
        }
        self.load(name, &dir).map_err(|error| {
            let param = if matches!(error, ServeError::Name { .. }) { "lora_name" } else { "lora_path" };
            Refusal::key(param, format!("{:#}", anyhow::Error::new(error)))
        })
    }

    /// Serves an adapter no longer; replies that are being drawn are finished.
    pub(super) fn unload(&self, name: &str) -> Result<(), Refusal> {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        match adapters.remove(name) {
            Some(_) => Ok(()),
            None => Err(Refusal {
                status: StatusCode::NOT_FOUND,
                ..Refusal::key("lora_name", format!("there is no adapter `{name}`"))
            }),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), ServeError> {
        let adapters = self.adapters();
        let problem = if name.is_empty() || name.len() > 200 {
            "its name has 1 to 200 bytes".to_owned()
        } else if name == self.base.name || adapters.contains_key(name) {
            "the name is already taken; give each version of a policy a name of its own".to_owned()
        } else if adapters.len() >= MAX_ADAPTERS {
            format!("{MAX_ADAPTERS} adapters are served already; unload one first")
        } else {
            return Ok(());
        };
        Err(ServeError::Name { name: name.to_owned(), problem })
    }

    fn adapters(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Served>>> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner)
    }
}
