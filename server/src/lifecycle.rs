//! From the first signal to the last byte: stop accepting, finish requests, drain, close; one deadline.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a drain may take. Process managers kill after 10 seconds (Docker) to 90 (systemd).
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(9);

/// A token that is cancelled at SIGTERM or SIGINT. A second signal, or a drain that takes too long, ends the
/// process at once: nothing acknowledged is lost by that.
pub(crate) fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it lives as long as the process: nobody is to wait for it"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining: no new requests, finishing what is under way");
        token.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(DRAIN_MAX) => tracing::warn!("the drain took too long; exiting now"),
        }
        std::process::exit(1);
    });
    Ok(shutdown)
}
