//! `apprentice task synth`.

mod library;
mod math;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use serde_json::json;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::sandboxes::{HostArgs, host};
use crate::mutate::Language;
use crate::sandbox::SandboxError;
use crate::synth::{self, Bench, Hint, Options, Style, Synthesis};
use crate::task::Parser;

/// Plant bugs in a repository and write the expert that repairs each
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A directory of sources whose tests pass (default: the small repositories inside the program)
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Make problems of mathematics with worked steps instead: N to train on, and a quarter as many of known templates
    /// with new numbers and of templates that are never trained on
    #[arg(long, conflicts_with = "repo")]
    math: bool,
    /// How many tasks to make of each repository at most, of as many kinds of bug as there are
    #[arg(long, value_name = "N", default_value_t = 40)]
    count: usize,
    /// Where task directories and `trajectories.jsonl` are written; must be empty or new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The command that runs the tests of DIR, in DIR
    #[arg(long, value_name = "CMD", default_value = "sh tests/run.sh", requires = "repo")]
    test_command: String,
    /// Who reads the tests' output
    #[arg(long, value_name = "PARSER", default_value = "tap", requires = "repo")]
    parser: ParserName,
    /// A command that prepares DIR once, such as building it (repeatable)
    #[arg(long, value_name = "CMD", requires = "repo")]
    setup: Vec<String>,
    /// Plant bugs in files of this language only (repeatable; default: all that are known)
    #[arg(long, value_name = "LANGUAGE", requires = "repo")]
    language: Vec<LanguageName>,
    /// Decides which bugs are planted and how each expert works
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How much a problem gives away
    #[arg(long, value_name = "HINT", default_value = "example")]
    hint: HintName,
    /// How much the experts of the small repositories vary
    #[arg(long, value_name = "STYLE", default_value = "varied")]
    style: StyleName,
    /// The sandbox that tries the bugs and that the tasks name
    #[arg(long, value_name = "NAME", default_value = "shell")]
    sandbox_name: String,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ParserName {
    /// The Test Anything Protocol
    Tap,
    /// `pytest -rA`
    Pytest,
    /// `cargo test`
    Cargo,
    /// `go test -v`
    Go,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LanguageName {
    Python,
    Rust,
    Go,
    Javascript,
    C,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HintName {
    /// The line to repair, and a failing example
    Line,
    /// A failing example
    Example,
    /// The name of what misbehaves
    Name,
    /// Only that tests fail
    Suite,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StyleName {
    /// One way of working, in few words
    Plain,
    /// Orders, commands and repairs change from task to task
    Varied,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command's `run` owns its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    check_empty(&args.out)?;
    if args.math {
        return math::run(&args, output);
    }
    if let Some(root) = &args.repo {
        return library::run(&args, root, output);
    }
    let repositories = synth::repositories();
    let spec = args.host.backend.spec(&args.sandbox_name)?;
    let synthesis = super::sandbox::block_on(async {
        let backend = args.host.backend.select(&spec, output).await?.backend;
        let bench = Bench { workers: args.host.parallel(), ..Bench::new(&*backend, &spec) };
        output.say(&format!("     Trying bugs in {} sandboxes", backend.name()));
        synth::synthesise(&repositories, &bench, &options(&args), &|_, _| ()).await.map_err(failure)
    })?;
    if synthesis.tasks.is_empty() {
        let failure = Failure::nothing(anyhow!("the tests noticed none of {} bugs", synthesis.counts.tried));
        return Err(failure.with_hint("choose a repository whose tests check what it computes"));
    }
    synth::write(&args.out, &repositories, &synthesis.tasks).map_err(Failure::host)?;
    report(&synthesis, &args.out, output)?;
    Ok(Answer::Yes)
}

fn check_empty(out: &Path) -> Result<(), Failure> {
    let is_used = out.is_dir() && fs_err::read_dir(out).map_err(Failure::host)?.next().is_some();
    if is_used {
        let failure = Failure::usage(anyhow!("`{}` is not empty", out.display()));
        return Err(failure.with_hint("name a new directory with `--out`"));
    }
    Ok(())
}

fn hint(args: &Args) -> Hint {
    match args.hint {
        HintName::Line => Hint::Line,
        HintName::Example => Hint::Example,
        HintName::Name => Hint::Name,
        HintName::Suite => Hint::Suite,
    }
}

fn parser(args: &Args) -> Parser {
    match args.parser {
        ParserName::Tap => Parser::Tap,
        ParserName::Pytest => Parser::Pytest,
        ParserName::Cargo => Parser::Cargo,
        ParserName::Go => Parser::Go,
    }
}

fn languages(args: &Args) -> Vec<Language> {
    let language = |name: &LanguageName| match name {
        LanguageName::Python => Language::Python,
        LanguageName::Rust => Language::Rust,
        LanguageName::Go => Language::Go,
        LanguageName::Javascript => Language::JavaScript,
        LanguageName::C => Language::C,
    };
    args.language.iter().map(language).collect()
}

fn options(args: &Args) -> Options {
    let style = match args.style {
        StyleName::Plain => Style::plain(),
        StyleName::Varied => Style::default(),
    };
    Options {
        seed: args.seed,
        count: Some(args.count),
        style: Style { hint: hint(args), ..style },
        sandbox: args.sandbox_name.clone(),
    }
}

/// A lost sandbox is the host's failure; tests that fail by themselves are the input's.
fn failure(error: anyhow::Error) -> Failure {
    match error.downcast::<SandboxError>() {
        Ok(error) => host(error),
        Err(error) => Failure::input(error)
            .with_hint("check `--test-command` and `--parser`: without a bug, tests must pass"),
    }
}

fn report(synthesis: &Synthesis, out: &Path, output: Output) -> Result<(), Failure> {
    let (counts, tasks) = (synthesis.counts, synthesis.tasks.len());
    let value = json!({
        "format": "apprentice.synth/1",
        "tasks": tasks,
        "tried": counts.tried,
        "caught": counts.caught,
        "unnoticed": counts.unnoticed,
        "broken": counts.broken,
        "out": out,
    });
    let human = format!(
        "Wrote {tasks} tasks and their experts to {}: {} bugs tried, {} caught by the tests, {} not noticed, \
         {} that kept the tests from running",
        out.display(),
        counts.tried,
        counts.caught,
        counts.unnoticed,
        counts.broken
    );
    output.result(&value, &human).map_err(Failure::host)
}
