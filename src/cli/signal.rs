//! Ctrl-C and SIGTERM.

/// Waits until the process is told to stop, in either way. From this call on a signal no
/// longer ends the process by itself.
#[cfg(unix)]
pub(super) fn stopped() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    async {
        match signals {
            [Ok(mut terminated), Ok(mut interrupted)] => {
                tokio::select! {
                    _ = terminated.recv() => {}
                    _ = interrupted.recv() => {}
                }
            }
            _ => drop(tokio::signal::ctrl_c().await),
        }
    }
}

/// Waits until the process is told to stop.
#[cfg(not(unix))]
pub(super) async fn stopped() {
    drop(tokio::signal::ctrl_c().await);
}

/// Ends the process at once, as interrupted.
#[expect(clippy::exit, reason = "nothing is left that must be finished, or it was asked twice")]
pub(super) fn quit() {
    std::process::exit(i32::from(super::EXIT_INTERRUPTED));
}
