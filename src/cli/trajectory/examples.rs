//! `apprentice trajectory examples`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::curation::{Counted, CurationArgs};
use super::each;
use crate::curate::Learning;
use crate::fsio::whole::WholeFile;
use crate::reward::Scope;

/// Write what a student sees before each of the expert's steps, and the expert's reply
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of trajectories
    file: PathBuf,
    /// Where the examples are written
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    curation: CurationArgs,
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut curator = args.curation.curator()?;
    curator.learning(Learning::Reply);
    let scope = curator.scope;
    let mut file = WholeFile::create(&args.out).map_err(Failure::host)?;
    each(&args.file, |trajectory| {
        curator.lessons(&trajectory, |counted| file.push(&line(&counted, scope)).map_err(Failure::host))
    })?;
    if curator.taken() == 0 {
        let failure =
            Failure::nothing(anyhow::anyhow!("no example is left\n{}", curator.described().trim_end()));
        return Err(failure.with_hint("leave out less with `--drop`, or name other trajectories"));
    }
    file.finish().map_err(Failure::host)?;
    let mut value = json!({"format": "apprentice.examples/1", "out": args.out.display().to_string()});
    if let (Value::Object(value), Value::Object(summary)) = (&mut value, curator.summary()) {
        value.extend(summary);
    }
    let human =
        format!("Wrote {} examples to {}\n{}", curator.taken(), args.out.display(), curator.described());
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn line(counted: &Counted<'_>, scope: Scope) -> Value {
    let lesson = &counted.lesson;
    let mut line = json!({
        "format": "apprentice.example/1",
        "trajectory": lesson.trajectory,
        "task": lesson.task,
        "step": lesson.step,
        "messages": lesson.messages,
        "reply": lesson.reply,
        "action": lesson.action,
    });
    if scope == Scope::Wrapped {
        line["compared"] = scope.text(lesson.action.trim()).into();
    }
    if let Some(tokens) = counted.tokens {
        line["prompt_tokens"] = tokens.prompt.into();
        line["reply_tokens"] = tokens.reply.into();
        line["lost_steps"] = tokens.lost.into();
    }
    line
}
