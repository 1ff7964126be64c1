//! Ctrl-C and SIGTERM.

/// Returns when the process is told to stop, in either way. From the first call
/// on a signal no longer ends the process by itself.
#[cfg(unix)]
pub(super) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Returns when the process is told to stop.
#[cfg(not(unix))]
pub(super) async fn stopped() {
    drop(tokio::signal::ctrl_c().await);
}

/// Ends the process at once, as interrupted.
#[expect(clippy::exit, reason = "nothing is left that must be finished, or it was asked twice")]
pub(super) fn quit() {
    std::process::exit(i32::from(super::EXIT_INTERRUPTED));
}
