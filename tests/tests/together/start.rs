//! Processes that start while Redis or PostgreSQL is away: what they knew, they know.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use reqwest::StatusCode;
use tallymark_tests::databases::on_empty_postgres;
use tallymark_tests::patience::until;
use tallymark_tests::product::Role;
use tallymark_tests::redis::PrivateRedis;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Cluster, Project, project};

async fn until_kept(data: &Path) -> anyhow::Result<()> {
    until("what is known is kept", async || Ok(data.join("registry").exists())).await
}

async fn ensure_known_is_taken(address: &str, known: &Project) -> anyhow::Result<()> {
    let answer = known.capture(address, "a-1").await?.status();
    ensure!(answer == StatusCode::ACCEPTED, "{answer}");
    let answer = Project::unknown().capture(address, "a-1").await?.status();
    ensure!(answer == StatusCode::SERVICE_UNAVAILABLE, "who cannot look must not say no: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_starts_without_redis_takes_what_is_counted_later() {
    on_empty_postgres(async |test| {
        let mut redis = PrivateRedis::start().await?;
        let cluster = Cluster::over(&redis, &test.address)?;
        let processor = cluster.role("process")?;
        let mut collector = cluster.collector("one")?;
        let site = project(&cluster, "Site", &[])?;
        let address = collector.address()?;
        ensure!(site.capture(&address, "a-1").await?.status() == StatusCode::ACCEPTED);
        until_kept(&cluster.folder().join("one")).await?;
        collector.stop()?;
        redis.kill()?;

        let mut collector = cluster.collector("one")?;
        ensure_known_is_taken(&collector.address()?, &site).await?;
        redis.start_again().await?;
        let mut sql = test.sql().await?;
        until("both are counted", async || Ok(sql.number("select count(*) from event").await? == 2)).await?;
        collector.stop()?;
        processor.stop()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_without_postgresql_takes_what_is_counted_later() {
    on_empty_postgres(async |test| {
        let folder = tempfile::tempdir()?;
        let mut wire = Wire::to(&test.address).await?;
        let site = Project::printed(
            folder.path(),
            &["project", "create", "Site", "--json", "--database-url", &test.address],
        )?;
        let url = wire.url.clone();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--database-url", &url];
        let mut server = Role::start(folder.path(), &arguments)?;
        let address = server.address()?;
        ensure!(site.capture(&address, "a-1").await?.status() == StatusCode::ACCEPTED);
        until_kept(&folder.path().join("data")).await?;
        server.stop()?;
        wire.cut().await;

        let mut server = Role::start(folder.path(), &arguments)?;
        ensure_known_is_taken(&server.address()?, &site).await?;
        wire.mend().await?;
        let mut sql = test.sql().await?;
        until("both are counted", async || Ok(sql.number("select count(*) from event").await? == 2)).await?;
        server.stop()
    })
    .await;
}

/// A way to a server that can be cut.
struct Wire {
    /// The server at the other end, as others are to know it.
    url: String,
    server: String,
    address: SocketAddr,
    tasks: JoinSet<()>,
}

impl Wire {
    async fn to(url: &str) -> anyhow::Result<Self> {
        let mut url: url::Url = url.parse()?;
        let server =
            format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().context("it has a port")?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(address.port())).map_err(|()| anyhow::anyhow!("{url} has no port"))?;
        let mut wire = Self { url: url.into(), server, address, tasks: JoinSet::new() };
        wire.serve(listener);
        Ok(wire)
    }

    fn serve(&mut self, listener: TcpListener) {
        let server = self.server.clone();
        self.tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((mut inner, _)) = listener.accept().await {
                let server = server.clone();
                pipes.spawn(async move {
                    let Ok(mut outer) = TcpStream::connect(server).await else { return };
                    // Ends with either side; the test sees what comes of it.
                    let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                });
            }
        });
    }

    async fn cut(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn mend(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener);
        Ok(())
    }
}
