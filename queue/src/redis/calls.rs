//! Scripts, over a link that may be new each time and with groups and script texts that may have to be made again.

use redis::streams::StreamInfoConsumersReply;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ScriptInvocation, ServerErrorKind,
};
use tallymark_redis_link::{Link, LinkConfig};

use super::GROUP;
use super::scripts::{Keys, Scripts};
use crate::QueueError;

/// What appenders, readers and the queue itself share.
pub(super) struct Calls {
    pub(super) link: Link,
    pub(super) scripts: Scripts,
}

impl Calls {
    pub(super) fn new(config: LinkConfig) -> RedisResult<Self> {
        Ok(Self { link: Link::new(config)?, scripts: Scripts::new() })
    }

    /// Runs a script of one partition, once more after making its group where that is missing. Every script here may
    /// run twice.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        doing: &'static str,
        keys: &Keys,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let answer = match self.try_run(script).await {
            Err(error) if error.code() == Some("NOGROUP") => match self.make_group(keys).await {
                Ok(()) => self.try_run(script).await,
                Err(error) => Err(error),
            },
            answer => answer,
        };
        answer.map_err(|error| to_queue_error(doing, error))
    }

    pub(super) async fn try_run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        self.link.call(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    /// Runs `script` by a command that was put together before: its arguments are not copied again.
    pub(super) async fn run_command<T: FromRedisValue>(
        &self,
        script: &Script,
        command: &Cmd,
    ) -> RedisResult<T> {
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        let call = self.link.call(|mut connection| async move {
            match command.query_async(&mut connection).await {
                Err(error) if error.kind() == unknown => {
                    script.load_async(&mut connection).await?;
                    command.query_async(&mut connection).await
                }
                answer => answer,
            }
        });
        call.await
    }

    /// Makes stream and group. From the beginning: what is in the stream is not acked.
    async fn make_group(&self, keys: &Keys) -> RedisResult<()> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&keys.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        match self.query::<()>(&command).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()), // somebody was faster
            made => made,
        }
    }

    pub(super) async fn consumers(&self, keys: &Keys) -> RedisResult<StreamInfoConsumersReply> {
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(&keys.stream).arg(GROUP);
        self.query(&command).await
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        self.link.call(|mut connection| async move { command.query_async(&mut connection).await }).await
    }
}

pub(super) fn to_queue_error(doing: &'static str, error: RedisError) -> QueueError {
    if error.code() == Some("OOM") {
        return QueueError::Full { detail: "Redis is at its maxmemory".to_owned() };
    }
    QueueError::unavailable(doing, error)
}
