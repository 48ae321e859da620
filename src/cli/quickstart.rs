//! `apprentice quickstart`: the whole loop on embedded data.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::failure::{Answer, Failure};
use super::interrupt;
use super::output::Output;
use super::progress::Progress;
use crate::event::{Event, EventSink as _, MethodRow, Tee};
use crate::quickstart::{Domain, Ending, Quickstart};
use crate::report;
use crate::run::{Manifest, RunDir, RunError};
use crate::sandbox::select::BackendKind;

mod code;
mod math;

/// Run the whole loop on embedded data: tasks, experts, a small student, SFT and SRL, a table
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is learned: bugs in repositories, or problems of mathematics
    #[arg(long, value_name = "DOMAIN", value_enum, default_value_t = Subject::Code)]
    domain: Subject,
    /// Run directory; an interrupted run in it goes on [default: runs/quickstart, with --domain math runs/quickstart-math]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run sandboxes in: auto, docker, namespaces or landlock (code)
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Auto)]
    kind: BackendKind,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Change a number of the plan, such as srl.rate=1e-4 (recipes/quickstart.yaml, recipes/quickstart-math.yaml)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    changes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    Code,
    Math,
}

/// What was chosen of a domain before the run begins.
trait Setting {
    fn domain(&self) -> Box<dyn Domain + '_>;

    /// Adds what it depends on; the recipe is its plan.
    fn manifest(&self) -> Result<Manifest, Failure>;

    /// What a user should know first.
    fn note(&self) -> Option<&str>;
}

#[derive(Serialize)]
struct Table<'a> {
    format: &'static str,
    rows: &'a [MethodRow],
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// A wrong `--set`, a run directory of another run, or a host that cannot run sandboxes.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let started = std::time::Instant::now();
    let setting: Box<dyn Setting> = match args.domain {
        Subject::Code => Box::new(code::Bench::choose(&args)?),
        Subject::Math => Box::new(math::Paper::choose(&args)?),
    };
    let out = args.out();
    let run_dir = open(&args, &out, setting.manifest()?)?;
    let Ending::Done(rows) = go(&args, &*setting, &run_dir, output)? else {
        return Err(Failure::interrupted(anyhow::anyhow!("interrupted; what is done is kept"))
            .with_hint(format!("continue with `{}`", args.again(&out))));
    };
    let page = out.join("report.html");
    report::gather(std::slice::from_ref(&out))?.write(&page, report::EPISODES).map_err(Failure::host)?;
    output.say(&format!("{:>12} {}", "Wrote", page.display()));
    let seconds = started.elapsed().as_secs_f64();
    let table = Table { format: "apprentice.quickstart/1", rows: &rows, seconds };
    output.result(&table, &report::table::table(&rows)).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn go(args: &Args, setting: &dyn Setting, run_dir: &RunDir, output: Output) -> Result<Ending, Failure> {
    let mut events = Tee::new().with(run_dir.events().map_err(Failure::host)?).with(Progress::new(output));
    if let Some(text) = setting.note() {
        events.emit(&Event::Note { text: text.to_owned() }).map_err(Failure::host)?;
    }
    let stop = interrupt::flag();
    let quickstart = Quickstart { seed: args.seed, dir: run_dir.path(), stop: &stop };
    quickstart.run(&*setting.domain(), &mut events).map_err(Failure::host)
}

impl Args {
    fn out(&self) -> PathBuf {
        let default = match self.domain {
            Subject::Code => "runs/quickstart",
            Subject::Math => "runs/quickstart-math",
        };
        self.out.clone().unwrap_or_else(|| default.into())
    }

    /// The command that goes on with the run.
    fn again(&self, out: &Path) -> String {
        let domain = match self.domain {
            Subject::Code => "",
            Subject::Math => " --domain math",
        };
        format!("apprentice quickstart{domain} --out {} --seed {}", out.display(), self.seed)
    }
}

fn wrong_change(error: anyhow::Error, file: &str) -> Failure {
    Failure::usage(error).with_hint(format!("see {file} for the keys and their values"))
}

/// Begins a run, or goes on with the same one.
fn open(args: &Args, out: &Path, mut manifest: Manifest) -> Result<RunDir, Failure> {
    manifest.seeds.insert("run".to_owned(), args.seed);
    let begun = out.join("manifest.json").exists();
    let opened = if begun { RunDir::resume(out, &manifest) } else { RunDir::create(out, manifest) };
    opened.map_err(|error: RunError| {
        let hint = error.hint();
        Failure::usage(error).with_hint(hint)
    })
}
