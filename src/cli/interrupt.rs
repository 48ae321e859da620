//! Ctrl-C: the first one asks a run to stop where it can go on later, the second one ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that the first SIGINT or SIGTERM sets.
pub(super) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    // A thread of its own: training blocks the thread that it runs on.
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if wait().await.is_ok() {
                set.store(true, Ordering::Relaxed);
            }
            if wait().await.is_ok() {
                kill();
            }
        });
    });
    flag
}

/// Ends at the first SIGINT or SIGTERM from now on; the second one ends the process. Called within a runtime.
#[cfg(feature = "train")]
pub(super) fn first() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut next = async move || {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            kill();
        });
    })
}

/// Ends the process; what it leaves is swept at the next start.
fn kill() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
}

async fn wait() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
