//! The buckets of one process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;

use super::{Bucket, RateTokens, Taken, Tokens};

/// Buckets that are held. A full bucket is the same as none: they are dropped first.
const BUCKETS_MAX: usize = 200_000;

/// Tokens in the memory of this process.
#[derive(Debug, Default)]
pub struct LocalRateTokens {
    /// Never held across an await.
    buckets: Mutex<HashMap<Bucket, Level>>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Negative: a debt.
    tokens: f64,
    per_minute: u32,
    at: UnixMs,
}

impl Level {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes, far below 2^52")]
    fn at(self, now: UnixMs, per_minute: u32) -> Self {
        let passed_ms = now.0.saturating_sub(self.at.0).clamp(0, 3_600_000) as f64;
        let tokens = self.tokens + passed_ms * f64::from(per_minute) / 60_000.0;
        Self { tokens: tokens.min(f64::from(per_minute)), per_minute, at: now }
    }
}

impl LocalRateTokens {
    /// Buckets that are all full.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl RateTokens for LocalRateTokens {
    async fn take(&self, wanted: &[Tokens], now: UnixMs) -> Taken {
        let mut buckets = self.buckets.lock().expect("nobody panics while holding the buckets");
        let level = |buckets: &HashMap<Bucket, Level>, of: &Tokens| {
            let full = Level { tokens: f64::from(of.per_minute), per_minute: of.per_minute, at: now };
            buckets.get(&of.bucket).map_or(full, |level| level.at(now, of.per_minute))
        };
        let lacking = wanted.iter().filter_map(|of| {
            let lacks = 1.0 - level(&buckets, of).tokens;
            (lacks > 0.0).then(|| Duration::from_secs_f64(lacks * 60.0 / f64::from(of.per_minute.max(1))))
        });
        if let Some(retry_after) = lacking.max() {
            return Taken::Limited { retry_after };
        }
        for of in wanted {
            let mut level = level(&buckets, of);
            level.tokens -= f64::from(of.tokens);
            buckets.insert(of.bucket, level);
        }
        if buckets.len() > BUCKETS_MAX {
            buckets.retain(|_, level| level.at(now, level.per_minute).tokens < f64::from(level.per_minute));
        }
        Taken::Yes
    }

    async fn charge(&self, wanted: &[Tokens], now: UnixMs) {
        let mut buckets = self.buckets.lock().expect("nobody panics while holding the buckets");
        for of in wanted {
            let full = Level { tokens: f64::from(of.per_minute), per_minute: of.per_minute, at: now };
            let level = buckets.entry(of.bucket).or_insert(full);
            *level = level.at(now, of.per_minute);
            level.tokens -= f64::from(of.tokens);
        }
    }
}
