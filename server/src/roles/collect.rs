//! `tallymark collect`: HTTP in, Redis out; with a database URL also the query API.

use std::sync::Arc;

use axum::Router;
use tallymark_collector::{Collector, Surroundings, SystemClock, router};

use super::http;
use crate::admin::api;
use crate::backends::{open_places, open_queue, open_registry, open_salts, open_tokens, reach_store};
use crate::config::{Options, RoleOptions};
use crate::data_dir::OwnedDataDir;
use crate::operate::AdminSocket;
use crate::probes::{self, Metrics, Probed};
use crate::{demo, lifecycle, web};

/// Runs a collector until a signal.
pub(crate) async fn collect(options: Options, role: RoleOptions) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.redis_url.is_some(),
        "a collector hands events to processors through Redis: give --redis-url, or run `tallymark serve`, which \
         needs nothing beside it"
    );
    let metrics = Metrics::start()?;
    // Where envelopes wait while Redis is away. Two collectors on one machine need one each.
    let data_dir = OwnedDataDir::take(&options.data_dir)?;
    let queue = open_queue(&options, Some(&data_dir)).await?;
    let registry = open_registry(&options, None)?;
    let store = match options.database_url {
        Some(_) => Some(reach_store(&options).await?),
        None => None,
    };
    let surroundings = Surroundings {
        queue: Arc::clone(&queue),
        registry,
        tokens: open_tokens(&options)?,
        salts: open_salts(&options)?,
        places: open_places(&options).await?,
        clock: Arc::new(SystemClock),
    };
    let collector = Collector::new(http::collector_config(&options)?, surroundings);
    let (listener, address) = http::listen(&options).await?;
    let public_url = http::public_url(&options, address);
    let shutdown = lifecycle::shutdown_on_signals()?;
    let admin = AdminSocket::listen(&options.data_dir, "collect", Arc::clone(&queue), shutdown.clone());
    let demo = match &store {
        Some(store) => demo::prepare(role, &options, store, &*queue).await?,
        None => {
            anyhow::ensure!(!role.demo, "--demo makes a project, and so needs --database-url");
            None
        }
    };
    let probed = Probed {
        collector: Some(collector.clone()),
        store: store.clone(),
        queue: Some(Arc::clone(&queue)),
        lag_max: None,
        shutdown: shutdown.clone(),
        metrics: metrics.clone(),
    };
    let mut app = Router::new()
        .merge(router(collector.clone()))
        .merge(probes::router(probed))
        .merge(web::router(demo.as_ref()));
    if let Some(store) = &store {
        app = app.merge(tallymark_query::router(api(&options, store)));
    }
    web::announce(&public_url, demo.as_ref());
    http::answer(listener, app, shutdown).await?;
    collector.drain().await;
    admin.end().await;
    queue.close().await;
    if let Some(store) = store {
        store.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}
