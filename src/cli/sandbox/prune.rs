//! `apprentice sandbox prune`: what killed processes left, what nothing names or used any more, and images that we
//! pulled while the engine's disk is too full.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::sandboxes::cache_dir;
use super::failure;
use crate::sandbox::kept::Starts;
use crate::sandbox::rootfs::Shelf;

/// What a set-up left is kept this long after its last use.
const KEEP_STARTS: Duration = Duration::from_secs(14 * 24 * 3600);

/// Remove what killed processes left in Docker, root file systems that nothing names any more, what set-ups left
/// that no command used for two weeks, and images that this program pulled while the engine's disk is too full
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove unused images that this program pulled until this much of the engine's disk is free: a size such as
    /// 20GiB, a part such as 10%, or off (default: APPRENTICE_KEEP_FREE, else 10% and at most 20GiB)
    #[cfg(feature = "docker")]
    #[arg(long, value_name = "ROOM")]
    keep_free: Option<crate::sandbox::docker::disk::KeepFree>,
    /// Where what set-ups left is kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

/// What was or would be removed: values for `--json`, and lines.
#[derive(Default)]
struct Removed {
    values: Vec<serde_json::Value>,
    lines: Vec<String>,
}

impl Removed {
    fn push(&mut self, args: &Args, what: &str, value: &impl Serialize) -> Result<(), Failure> {
        let verb = if args.dry_run { "Would remove" } else { "Removed" };
        self.lines.push(format!("{verb} {what}"));
        self.values.push(serde_json::to_value(value).map_err(Failure::host)?);
        Ok(())
    }
}

pub(super) async fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut removed = Removed::default();
    roots(args, output, &mut removed)?;
    starts(args, output, &mut removed)?;
    docker(args, output, &mut removed).await?;
    if removed.lines.is_empty() {
        removed.lines.push("Nothing to remove".to_owned());
    }
    let value = serde_json::json!({
        "format": "apprentice.prune/1", "dry_run": args.dry_run, "removed": removed.values,
    });
    output.result(&value, &removed.lines.join("\n")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn roots(args: &Args, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    let Some(shelf) = Shelf::of_user() else { return Ok(()) };
    for stale in shelf.stale(&args.sandboxes).map_err(failure)? {
        if args.dry_run || shelf.remove(&stale).map_err(failure)? {
            let value = serde_json::json!({"kind": "rootfs", "id": stale.id, "sandbox": stale.sandbox});
            removed.push(args, &format!("rootfs {} ({})", stale.id, stale.sandbox), &value)?;
        } else {
            output.say(&format!("rootfs {} ({}) is in use and stays", stale.id, stale.sandbox));
        }
    }
    Ok(())
}

fn starts(args: &Args, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    let starts = Starts::below(&cache_dir(args.cache.as_ref()));
    for stale in starts.stale(KEEP_STARTS).map_err(failure)? {
        let task = if stale.task.is_empty() { "half made" } else { &stale.task };
        let what = format!("set-up {} ({task})", stale.id);
        if args.dry_run || starts.remove(&stale).map_err(failure)? {
            let value = serde_json::json!({"kind": "set-up", "id": stale.id, "task": stale.task});
            removed.push(args, &what, &value)?;
        } else {
            output.say(&format!("{what} is in use and stays"));
        }
    }
    Ok(())
}

#[cfg(feature = "docker")]
async fn docker(args: &Args, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    use crate::isolation::Isolation;
    use crate::sandbox::docker::DockerBackend;

    let backend = match DockerBackend::connect(Isolation::Full).await {
        Ok(backend) => backend,
        Err(error) => {
            // A host without a daemon has root file systems all the same.
            output.say(&format!("Docker was not looked at: {error}"));
            return Ok(());
        }
    };
    let backend = match args.keep_free {
        Some(keep) => backend.keeping_free(keep),
        None => backend,
    };
    orphans(args, &backend, removed).await?;
    for stale in backend.stale().await.map_err(failure)? {
        if args.dry_run || backend.remove_stale(&stale).await.map_err(failure)? {
            let value = serde_json::json!({"kind": "prepared", "id": stale.id, "names": stale.names});
            removed.push(
                args,
                &format!("prepared image {} ({})", stale.id, stale.names.join(", ")),
                &value,
            )?;
        }
    }
    if !args.dry_run {
        backend.clear_volumes().await.map_err(failure)?;
    }
    pulled(args, &backend, output, removed).await
}

/// What killed processes left.
#[cfg(feature = "docker")]
async fn orphans(
    args: &Args,
    backend: &crate::sandbox::docker::DockerBackend,
    removed: &mut Removed,
) -> Result<(), Failure> {
    use crate::sandbox::docker::{LOOKS, leftovers, remove};

    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let all = leftovers(backend.docker()).await.map_err(failure)?;
        for orphan in
            all.iter().filter(|leftover| args.dry_run && leftover.is_orphan || leftover.is_removable(pause))
        {
            if !args.dry_run && !remove(backend.docker(), orphan).await.map_err(failure)? {
                continue;
            }
            removed.push(args, &format!("{} {} ({})", orphan.kind, orphan.id, orphan.sandbox), orphan)?;
        }
        // More may come where something was.
        if args.dry_run || !all.iter().any(|leftover| leftover.is_orphan) {
            break;
        }
    }
    Ok(())
}

/// Images that we pulled, while the engine's disk is too full.
#[cfg(feature = "docker")]
async fn pulled(
    args: &Args,
    backend: &crate::sandbox::docker::DockerBackend,
    output: Output,
    removed: &mut Removed,
) -> Result<(), Failure> {
    let missing = match backend.missing_room().await.map_err(failure)? {
        Ok(missing) => missing,
        Err(reason) => {
            output.say(&format!("No pulled image is removed for room: {reason}"));
            return Ok(());
        }
    };
    let gone = if args.dry_run {
        backend.would_evict(missing).await.map_err(failure)?
    } else {
        backend.make_room().await.map_err(failure)?
    };
    for image in gone {
        let mut value = serde_json::to_value(&image).map_err(Failure::host)?;
        value["kind"] = "pulled".into();
        let made_ready = match image.prepared.len() {
            0 => String::new(),
            n => format!(" and {n} made ready from it"),
        };
        let size = image.bytes as f64 / 1e6;
        removed.push(args, &format!("pulled image {} ({size:.0} MB){made_ready}", image.title()), &value)?;
    }
    Ok(())
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn docker(_args: &Args, _output: Output, _removed: &mut Removed) -> Result<(), Failure> {
    Ok(())
}
