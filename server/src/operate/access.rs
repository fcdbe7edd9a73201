//! Where the queue is that a command is about.

use std::sync::Arc;

use tallymark_queue::Queue;

use super::socket::Server;
use crate::backends::{open_queue, open_redis};
use crate::config::Options;
use crate::data_dir::OwnedDataDir;

/// A queue to work on, or the running server that has it.
pub(super) enum Access {
    /// In Redis, or in a directory that this command owns for as long as it runs.
    Queue(Arc<dyn Queue>, Option<OwnedDataDir>),
    /// Embedded, in this server.
    Server(Server),
}

impl Access {
    pub(super) async fn open(options: &Options) -> anyhow::Result<Self> {
        if options.redis_url.is_some() {
            return Ok(Self::Queue(Arc::new(open_redis(options)?), None));
        }
        let server = Server::of(&options.data_dir);
        if server.live().await.is_some() {
            return Ok(Self::Server(server));
        }
        anyhow::ensure!(
            options.data_dir.join("queue").is_dir(),
            "there is no queue in {}: give the server's --data-dir, or its --redis-url",
            options.data_dir.display()
        );
        let data_dir = OwnedDataDir::take(&options.data_dir)?;
        let queue = open_queue(options, Some(&data_dir)).await?;
        Ok(Self::Queue(queue, Some(data_dir)))
    }

    /// Lets go of the queue.
    pub(super) async fn close(self) {
        if let Self::Queue(queue, _data_dir) = self {
            queue.close().await;
        }
    }
}
