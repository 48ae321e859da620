//! Our backends as contenders, through the traits that the program itself uses.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apprentice::isolation::Isolation;
use apprentice::sandbox::select::{BackendKind, Choice};
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Exec, Sandbox, Session, Start};
use apprentice::trajectory::Exit;
use futures_util::future::try_join_all;
use tokio::runtime::Runtime;

use crate::contender::{Contender, Crowd, Entry, Mode, Side, Work};

/// More than any command here prints, so that nothing is left out.
const OUTPUT_BYTES: usize = 1 << 20;
const TRUE: Work = Work { script: "true", prints: 0 };

/// Both backends, each with a session and without, and Docker with sandboxes made ready. A backend that does not work here is left out.
pub(crate) fn entries() -> Result<Vec<Entry>> {
    let runtime = Arc::new(Runtime::new()?);
    let mut entries = Vec::new();
    for kind in [BackendKind::Docker, BackendKind::Namespaces] {
        match Ground::new(kind, &runtime) {
            Ok(ground) => entries.extend(modes(kind, &ground)),
            Err(error) => println!("skipped: {kind}: {error:#}"),
        }
    }
    Ok(entries)
}

fn modes(kind: BackendKind, ground: &Arc<Ground>) -> Vec<Entry> {
    let entry = |name: &str, mode, session, is_warm: bool| Entry {
        name: name.to_owned(),
        side: Side::Ours,
        mode,
        forks: mode == Mode::Session && !is_warm,
        contender: Box::new(Ours { ground: ground.clone(), session, is_warm, open: None }),
    };
    let name = ground.backend.name();
    let mut entries = vec![
        entry(name, Mode::Session, Session::Carried, false),
        entry(name, Mode::Stateless, Session::Fresh, false),
    ];
    if kind == BackendKind::Docker {
        entries.push(entry("docker, warm", Mode::Stateless, Session::Fresh, true));
    }
    entries
}

/// A backend and what its sandboxes are made of.
struct Ground {
    runtime: Arc<Runtime>,
    backend: Arc<dyn Backend>,
    spec: SandboxSpec,
    empty: tempfile::TempDir,
}

impl Ground {
    fn new(kind: BackendKind, runtime: &Arc<Runtime>) -> Result<Arc<Self>> {
        let spec = SandboxSpec::load("shell", Path::new("only what is shipped"))?;
        let exe = env!("CARGO_BIN_EXE_apprentice").into();
        let choice = Choice::of(kind, Isolation::AcceptWeaker, exe);
        let selection = runtime.block_on(choice.backend(&spec))?;
        println!("{}", selection.line);
        let empty = tempfile::tempdir()?;
        Ok(Arc::new(Self { runtime: runtime.clone(), backend: selection.backend, spec, empty }))
    }

    async fn start(&self, tree: &Path) -> Result<Box<dyn Sandbox>> {
        Ok(self.backend.start(&Start { spec: &self.spec, tree: Some(tree) }).await?)
    }
}

/// One backend in one mode.
struct Ours {
    ground: Arc<Ground>,
    session: Session,
    /// Whether sandboxes were made ready before they are asked for.
    is_warm: bool,
    open: Option<Box<dyn Sandbox>>,
}

impl Contender for Ours {
    fn start(&mut self) -> Result<f64> {
        self.warm(1)?;
        let (sandbox, seconds) = self.ground.runtime.block_on(started(&self.ground, self.session))?;
        self.open = Some(sandbox);
        Ok(seconds)
    }

    fn run(&mut self, work: &Work, times: usize) -> Result<Vec<f64>> {
        let sandbox = self.open.as_mut().context("no sandbox is open")?;
        self.ground.runtime.block_on(repeated(sandbox, work, self.session, times))
    }

    fn stop(&mut self) -> Result<()> {
        match self.open.take() {
            Some(sandbox) => Ok(self.ground.runtime.block_on(sandbox.stop())?),
            None => Ok(()),
        }
    }

    fn crowd(&mut self, size: usize, work: &Work, times: usize) -> Result<Crowd> {
        self.warm(size)?;
        self.ground.runtime.block_on(crowd(&self.ground, self.session, size, (*work, times)))
    }

    fn hold(&mut self, repository: &Path, changes: &str) -> Result<()> {
        self.ground.runtime.block_on(async {
            let sandbox = self.open.insert(self.ground.start(repository).await?);
            succeed(sandbox, changes, 0, self.session).await.map(drop)
        })
    }

    fn fork(&mut self, check: &str) -> Result<f64> {
        let parent = self.open.as_mut().context("no sandbox is open")?;
        self.ground.runtime.block_on(async {
            let begin = Instant::now();
            let mut child = parent.fork().await?;
            succeed(&mut child, check, 0, self.session).await?;
            let seconds = begin.elapsed().as_secs_f64();
            child.stop().await?;
            Ok(seconds)
        })
    }
}

impl Ours {
    fn warm(&self, count: usize) -> Result<()> {
        if !self.is_warm {
            return Ok(());
        }
        let start = Start { spec: &self.ground.spec, tree: Some(self.ground.empty.path()) };
        Ok(self.ground.runtime.block_on(self.ground.backend.warm(&start, count))?)
    }
}

async fn started(ground: &Ground, session: Session) -> Result<(Box<dyn Sandbox>, f64)> {
    let begin = Instant::now();
    let mut sandbox = ground.start(ground.empty.path()).await?;
    succeed(&mut sandbox, TRUE.script, TRUE.prints, session).await?;
    Ok((sandbox, begin.elapsed().as_secs_f64()))
}

async fn crowd(
    ground: &Arc<Ground>,
    session: Session,
    size: usize,
    (work, times): (Work, usize),
) -> Result<Crowd> {
    let starting = (0..size).map(|_| {
        let ground = ground.clone();
        tokio::spawn(async move { started(&ground, session).await })
    });
    let started: Vec<_> = try_join_all(starting).await?.into_iter().collect::<Result<_>>()?;
    let (sandboxes, starts): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    let begin = Instant::now();
    let working = sandboxes.into_iter().map(|mut sandbox| {
        tokio::spawn(async move {
            repeated(&mut sandbox, &work, session, times).await?;
            Ok(sandbox)
        })
    });
    let sandboxes: Vec<_> = try_join_all(working).await?.into_iter().collect::<Result<_>>()?;
    let seconds = begin.elapsed().as_secs_f64();
    try_join_all(sandboxes.into_iter().map(Sandbox::stop)).await?;
    Ok(Crowd::new(&starts, seconds, times))
}

async fn repeated(
    sandbox: &mut Box<dyn Sandbox>,
    work: &Work,
    session: Session,
    times: usize,
) -> Result<Vec<f64>> {
    let mut seconds = Vec::with_capacity(times);
    for _ in 0..times {
        seconds.push(succeed(sandbox, work.script, work.prints, session).await?);
    }
    Ok(seconds)
}

/// Runs a script that must succeed and print so many bytes; gives the seconds.
async fn succeed(
    sandbox: &mut Box<dyn Sandbox>,
    script: &str,
    prints: usize,
    session: Session,
) -> Result<f64> {
    let exec = Exec { session, ..Exec::new(script, Duration::from_secs(60), OUTPUT_BYTES) };
    let begin = Instant::now();
    let observation = sandbox.exec(&exec).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let is_done = observation.exit.is_some_and(Exit::is_success) && prints <= observation.output.len();
    ensure!(is_done, "`{script}` gave {observation:?}");
    Ok(seconds)
}
