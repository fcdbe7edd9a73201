//! What knows the places of addresses.

use std::sync::Arc;

use anyhow::Context;
use tallymark_collector::Places;

use crate::config::Options;

/// Reads the file of places, where the configuration names one. An empty name, as compose files write it, names none.
pub(crate) async fn open_places(options: &Options) -> anyhow::Result<Arc<Places>> {
    let Some(file) = options.geoip_file.as_deref().filter(|file| !file.as_os_str().is_empty()) else {
        return Ok(Arc::default());
    };
    Ok(Arc::new(Places::by_file(file).await.context("cannot tell places (--geoip-file)")?))
}
