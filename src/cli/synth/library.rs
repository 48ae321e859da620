//! `apprentice task synth --repo DIR`: certified tasks from a library.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::{Value, json};

use super::{Args, failure, hint, languages, parser};
use crate::cli::failure::{Answer, Failure};
use crate::cli::output::Output;
use crate::synth::library::{self, Certified, Reason, Site, Statistics, Wanted};
use crate::synth::{self, Repository};

/// Makes the tasks of the library in `root` and writes them.
pub(super) fn run(args: &Args, root: &Path, output: Output) -> Result<Answer, Failure> {
    let library = open(args, root)?;
    let spec = args.host.backend.spec(&args.sandbox_name)?;
    let cache = args.host.cache();
    fs_err::create_dir_all(&cache).map_err(Failure::host)?;
    let scratch = tempfile::tempdir_in(&cache).map_err(Failure::host)?;
    let begin = Instant::now();
    let made = crate::cli::sandbox::block_on(async {
        let backend = args.host.backend.select(&spec, output).await?.backend;
        let site =
            Site { backend: &*backend, spec: &spec, scratch: scratch.path(), workers: args.host.parallel() };
        output.say(&format!("     Running the tests in {} sandboxes", backend.name()));
        let tell = |statistics: &Statistics| {
            output.say(&format!(
                "{:>12} {} of {} bugs became tasks",
                "Tried", statistics.kept, statistics.tried
            ));
        };
        library::certified(&library, &site, &wanted(args), &tell).await.map_err(failure)
    })?;
    if made.tasks.is_empty() {
        let tried = made.statistics.tried;
        let failure =
            Failure::nothing(anyhow!("of {tried} bugs none became a task: {}", reasons(&made.statistics)));
        return Err(failure.with_hint("choose a library whose tests check what it computes"));
    }
    synth::write(&args.out, &[library], &made.tasks).map_err(Failure::host)?;
    report(&made, &args.out, begin.elapsed(), output)?;
    Ok(Answer::Yes)
}

fn open(args: &Args, root: &Path) -> Result<Repository, Failure> {
    let mut library = synth::open(root, &args.test_command).map_err(Failure::input)?;
    library.parser = parser(args);
    library.setup.clone_from(&args.setup);
    Ok(library)
}

fn wanted(args: &Args) -> Wanted {
    Wanted {
        seed: args.seed,
        count: args.count,
        languages: languages(args),
        hint: hint(args),
        sandbox: args.sandbox_name.clone(),
    }
}

fn reasons(statistics: &Statistics) -> String {
    let told = |(reason, count): (&Reason, &usize)| format!("{count} {}", reason.name());
    statistics.dropped.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn report(made: &Certified, out: &Path, wall: Duration, output: Output) -> Result<(), Failure> {
    let (statistics, tasks) = (&made.statistics, made.tasks.len());
    let per_hour = tasks as f64 * 3600.0 / wall.as_secs_f64();
    let kinds = statistics
        .kinds
        .iter()
        .map(|(kind, (kept, tried))| (kind.name().to_owned(), json!({"kept": kept, "tried": tried})));
    let value = json!({
        "format": "apprentice.synth/2",
        "tasks": tasks,
        "tried": statistics.tried,
        "dropped": statistics.dropped,
        "kinds": kinds.collect::<serde_json::Map<String, Value>>(),
        "flaky": statistics.flaky,
        "wall_seconds": wall.as_secs_f64(),
        "tasks_per_hour": per_hour,
        "out": out,
    });
    let flaky = match statistics.flaky.len() {
        0 => String::new(),
        count => format!("; {count} flaky tests decide nothing"),
    };
    let human = format!(
        "Wrote {tasks} certified tasks and their experts to {}: {} bugs tried, dropped: {}{flaky}; {per_hour:.0} tasks an hour",
        out.display(),
        statistics.tried,
        reasons(statistics),
    );
    output.result(&value, &human).map_err(Failure::host)
}
