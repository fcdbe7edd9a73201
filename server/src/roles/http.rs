//! What a role answers over HTTP, until shutdown.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tallymark_collector::{CollectorConfig, ServeConfig, TrustedProxies, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Options;

/// Where roles that take requests listen when nobody says: on this machine alone, until an operator decides.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// How long requests may take to end once the process is to stop; the rest of the drain comes after.
const REQUESTS_MAX: Duration = Duration::from_secs(4);

/// Listens where the configuration says.
pub(super) async fn listen(options: &Options) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted = options.listen.unwrap_or(LISTEN);
    let listener = TcpListener::bind(wanted).await.with_context(|| {
        format!("cannot listen on {wanted}; choose another address with --listen (port 0 takes a free one)")
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The address under which browsers reach this server.
pub(super) fn public_url(options: &Options, address: SocketAddr) -> String {
    match &options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        None => format!("http://{address}"),
    }
}

/// How a collector works, as far as the configuration says.
pub(super) fn collector_config(options: &Options) -> anyhow::Result<CollectorConfig> {
    let trusted_proxies =
        TrustedProxies::parse(&options.trusted_proxy).context("cannot trust proxies (--trusted-proxy)")?;
    Ok(CollectorConfig { trusted_proxies, ..CollectorConfig::default() })
}

/// Answers requests until shutdown, then finishes those that have begun.
pub(super) async fn answer(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let config = ServeConfig { requests_end_within: REQUESTS_MAX, ..ServeConfig::default() };
    serve(listener, router, &config, shutdown.cancelled_owned()).await;
    Ok(())
}
