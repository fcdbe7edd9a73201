//! `tallymark serve`: every stage in one process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tallymark_collector::{Collector, Surroundings, SystemClock, router};
use tokio_util::task::TaskTracker;

use super::http;
use super::processing::Processing;
use crate::admin::api;
use crate::backends::{
    open_places, open_queue, open_registry, open_salts, open_store_when_there, open_tokens,
};
use crate::config::{Options, RoleOptions};
use crate::data_dir::OwnedDataDir;
use crate::operate::AdminSocket;
use crate::probes::{self, Metrics, Probed};
use crate::{demo, lifecycle, web};

/// Runs everything until a signal.
pub(crate) async fn serve(options: Options, role: RoleOptions) -> anyhow::Result<()> {
    let metrics = Metrics::start()?;
    let data_dir = OwnedDataDir::take(&options.data_dir)?;
    let (store, late_schema) = open_store_when_there(&options).await?;
    let queue = open_queue(&options, Some(&data_dir)).await?;
    let registry = open_registry(&options, Some(&store))?;
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

    let admin = AdminSocket::listen(&options.data_dir, "serve", Arc::clone(&queue), shutdown.clone());
    let late = TaskTracker::new();
    if let Some(schema) = late_schema {
        late.spawn(shutdown.clone().run_until_cancelled_owned(schema.bring_up_to_date()));
    }
    let processing = Processing::start(&options, &store, &queue, shutdown.clone())?;
    let demo = demo::prepare(role, &options, &store, &*queue).await?;
    let probed = Probed {
        collector: Some(collector.clone()),
        store: Some(store.clone()),
        queue: Some(Arc::clone(&queue)),
        lag_max: Some(Duration::from_secs(options.ready_lag_seconds)),
        shutdown: shutdown.clone(),
        metrics: metrics.clone(),
    };
    let app = Router::new()
        .merge(router(collector.clone()))
        .merge(tallymark_query::router(api(&options, &store)))
        .merge(probes::router(probed))
        .merge(web::router(demo.as_ref()));
    web::announce(&public_url, demo.as_ref());
    http::answer(listener, app, shutdown).await?;

    // What was acknowledged is in the queue; what is read from it is committed; then the files are closed.
    collector.drain().await;
    late.close();
    late.wait().await;
    admin.end().await;
    processing.end(&*queue, &store).await?;
    tracing::info!("stopped");
    Ok(())
}
