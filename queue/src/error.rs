//! Why the queue refused, by what the caller can do.

/// A queue's refusal.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The backlog is at its bound: nothing was appended, and nothing unacknowledged is trimmed to make
    /// room. The sender must come again later; an operator must look at the processors.
    #[error("the queue is full: {detail}")]
    Full {
        /// Which bound was met.
        detail: String,
    },
    /// The backend did not answer, or not in time. The call's effect is unknown; trying again is right.
    #[error("the queue is unavailable while trying to {doing}")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was found cannot be understood, or what was given cannot be encoded. Trying again is useless.
    #[error("{detail}")]
    Corrupt {
        /// What, and where.
        detail: String,
    },
    /// The queue was closed by this process.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    pub(crate) fn unavailable(
        doing: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unavailable { doing, source: source.into() }
    }
}
