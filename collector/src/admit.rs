//! Everything that is checked before a body is looked at: whose key, from which page, how much.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::ORIGIN;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::ProjectSettings;

use crate::Collector;
use crate::intake::Arrived;
use crate::rate::Limits;
use crate::refusal::Refusal;

/// A request that was let in, and what it costs.
pub(crate) struct Admitted {
    /// Whose events it brings.
    pub(crate) project: Arc<ProjectSettings>,
    limits: Limits,
    /// Tokens that were taken already.
    paid: u32,
}

impl Collector {
    /// Lets a request in that carries `write_key`, and takes `tokens` for it.
    ///
    /// # Errors
    /// In this order: the key is unknown, the page's origin may not send, the rate limit is met.
    pub(crate) async fn admit(
        &self,
        arrived: &Arrived<'_>,
        write_key: &str,
        tokens: u32,
    ) -> Result<Admitted, Refusal> {
        let project = self.project(write_key).await?;
        check_origin(arrived.headers, &project)?;
        let mut limits = self.limits(&project, arrived.whence.address, arrived.received_at);
        self.take(&mut limits, tokens, arrived.received_at).await?;
        Ok(Admitted { project, limits, paid: tokens })
    }

    /// Takes what an envelope of `events` costs beyond what was paid.
    pub(crate) async fn charge_rest(&self, admitted: &mut Admitted, events: usize, now: UnixMs) {
        let rest = u32::try_from(events).unwrap_or(u32::MAX).saturating_sub(admitted.paid);
        self.charge(&mut admitted.limits, rest, now).await;
    }
}

/// Servers and pixels send no `Origin`, and pass.
fn check_origin(headers: &HeaderMap, project: &ProjectSettings) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    if project.allows_origin(origin) {
        return Ok(());
    }
    Err(Refusal::OriginNotAllowed { project_id: project.project_id, origin: origin.to_owned() })
}
