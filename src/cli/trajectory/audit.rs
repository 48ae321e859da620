//! `apprentice trajectory audit`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::sandbox::block_on;
use super::super::sandboxes::HostArgs;
use super::replay::works;
use crate::audit::{self, Audited, Case, FORMAT};
use crate::replay::Options;
use crate::viewer::visible;

/// Say of recorded trajectories whether their labels and patches are true
///
/// Replays the steps, grades the recorded patch and the replayed one, and compares both with the record. Exit code 1
/// when a record is accused; what cannot be told is no accusation.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of any known format
    file: PathBuf,
    /// Only the trajectory with this id
    #[arg(long)]
    id: Option<String>,
    /// The directory of the tasks
    #[arg(long, value_name = "DIR")]
    tasks: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    block_on(audit_all(args, output))
}

async fn audit_all(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut trajectories = super::read_all(&args.file)?;
    trajectories.retain(|trajectory| args.id.as_ref().is_none_or(|id| *id == trajectory.id));
    if trajectories.is_empty() {
        return Err(Failure::nothing(anyhow::anyhow!("no trajectory has this id")));
    }
    let (benches, works) = works(&args.host, (&args.tasks, trajectories), output).await?;
    benches.lines().for_each(|line| output.say(line));
    let case = |work: crate::replay::Work| Case { spec: Arc::clone(&benches.of(&work.task).spec), work };
    let cases: Vec<Case> = works.into_iter().map(case).collect();
    let options =
        Options { cache: args.host.cache(), ready: args.host.ready(output), parallel: args.host.parallel() };
    let audited = audit::audit(&cases, &options, |line| output.say(line)).await;
    report(&audited, output)?;
    let is_clean = !audited.iter().any(|audited| audited.accused);
    Ok(if is_clean { Answer::Yes } else { Answer::No })
}

fn report(audited: &[Audited], output: Output) -> Result<(), Failure> {
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for audited in audited {
        *verdicts.entry(audited.verdict.name()).or_default() += 1;
    }
    let accused = audited.iter().filter(|audited| audited.accused).count();
    let value = json!({
        "format": FORMAT,
        "trajectories": audited,
        "verdicts": verdicts,
        "accused": accused,
    });
    output.result(&value, &text(audited, &verdicts)).map_err(Failure::host)
}

fn text(audited: &[Audited], verdicts: &BTreeMap<&str, usize>) -> String {
    let width = audited.iter().map(|audited| audited.trajectory.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Audited { trajectory, label, verdict, reason, .. } in audited {
        let label = match label {
            Some(true) => "resolved",
            Some(false) => "unresolved",
            None => "no label",
        };
        text.push_str(&format!("{trajectory:width$}  {label:10}  {:20}  {reason}\n", verdict.name()));
    }
    let counts: Vec<String> = verdicts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    text.push_str(&format!("{} trajectories: {}", audited.len(), counts.join(", ")));
    // Ids and reasons hold a record's words.
    visible(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Verdict;

    #[test]
    fn a_records_words_send_nothing_to_a_terminal() {
        let audited = Audited {
            trajectory: "a\u{1b}[2J".to_owned(),
            task: "t".to_owned(),
            label: Some(true),
            verdict: Verdict::ForeignPatch,
            accused: true,
            reason: "the patch changes `\u{1b}]52;c;eA==\u{7}\r\u{202e}x`".to_owned(),
            grade: None,
            replay: None,
        };
        let text = text(&[audited], &BTreeMap::from([("foreign_patch", 1)]));
        let is_sent = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!text.contains(is_sent), "{text:?}");
        assert!(text.ends_with("\n1 trajectories: 1 foreign_patch"), "{text}");
    }
}
