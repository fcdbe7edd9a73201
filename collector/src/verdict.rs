//! What a project's owner does not want counted, taken out of an envelope. Such an event is refused for good, with a
//! reason of its own, and keeps its place in its tab's numbering.
//!
//! An event that several rules keep out has the first of these reasons: it is too late for the project; its event
//! source is switched off; a shield keeps out its address, its host, its path, its user agent; the quota is used up.
//! So `quota_exceeded` counts what a larger quota would have counted, and nothing else.

use tallymark_protocol::page::Page;
use tallymark_protocol::settings::{ProjectSettings, Shield, ShieldKind};
use tallymark_protocol::{Decoded, DiscardReason, Event, Rejected, Rejection, UnixMs, limits};

use crate::sender::Sender;

/// Takes out of `decoded` the events that the project's rules keep out, and puts them among the rejected, in their
/// order. Costs next to nothing where the project has no rules.
pub(crate) fn apply(
    project: &ProjectSettings,
    sender: &Sender<'_>,
    received_at: UnixMs,
    decoded: &mut Decoded,
) {
    let rules = Rules::of(project, sender, received_at);
    if !rules.can_keep_out() || decoded.events.is_empty() {
        return;
    }
    let indices = decoded.events.len() + decoded.rejected.len();
    let rejections = std::mem::take(&mut decoded.rejections);
    let mut refused_before = rejections.into_iter().zip(std::mem::take(&mut decoded.rejected)).peekable();
    let mut events = std::mem::take(&mut decoded.events).into_iter();
    for index in 0..indices {
        if let Some((rejection, rejected)) = refused_before.next_if(|(before, _)| before.index == index) {
            decoded.rejections.push(rejection);
            decoded.rejected.push(rejected);
            continue;
        }
        let event = events.next().expect("every index is of an event or of a rejection");
        let Some((reason, detail)) = rules.on(&event) else {
            decoded.events.push(event);
            continue;
        };
        decoded.rejections.push(Rejection { index, reason, detail });
        decoded.rejected.push(Rejected { reason, tab_id: event.tab_id, seq: event.seq });
    }
}

/// A project's rules, as they are for one request.
struct Rules<'a> {
    project: &'a ProjectSettings,
    received_at: UnixMs,
    is_address_shielded: bool,
    is_user_agent_shielded: bool,
    is_quota_used: bool,
    /// Pages have shields: only then are URLs read here.
    has_page_shields: bool,
}

impl<'a> Rules<'a> {
    fn of(project: &'a ProjectSettings, sender: &Sender<'_>, received_at: UnixMs) -> Self {
        let any = |is_met: &dyn Fn(&Shield) -> bool| project.shields.iter().any(is_met);
        Self {
            project,
            received_at,
            is_address_shielded: sender
                .address
                .is_some_and(|address| any(&|shield| shield.keeps_out_address(address))),
            is_user_agent_shielded: sender
                .user_agent
                .as_deref()
                .is_some_and(|agent| any(&|shield| shield.keeps_out_user_agent(agent))),
            is_quota_used: project.quota_exceeded_until.is_some_and(|until| received_at < until),
            has_page_shields: any(&|shield| matches!(shield.kind(), ShieldKind::Hostname | ShieldKind::Path)),
        }
    }

    fn can_keep_out(&self) -> bool {
        self.is_address_shielded
            || self.is_user_agent_shielded
            || self.is_quota_used
            || self.has_page_shields
            || !self.project.event_sources_off.is_empty()
            || self.project.late_days_max < limits::LATE_DAYS_MAX
    }

    /// Why an event is not taken, for programs and for a person. The order is the precedence.
    fn on(&self, event: &Event) -> Option<(DiscardReason, String)> {
        let late_days = i64::from(self.received_at.utc_day()) - i64::from(event.key_at.utc_day());
        let late_days_max = self.project.late_days_max;
        if late_days > late_days_max {
            let detail =
                format!("the event is {late_days} days old; this project takes at most {late_days_max}");
            return Some((DiscardReason::TooLate, detail));
        }
        let source = event.event_source.as_ref();
        if let Some(source) = source.filter(|source| self.project.event_sources_off.contains(source)) {
            let detail = format!("the event source {source:?} is switched off in this project");
            return Some((DiscardReason::EventSourceOff, detail));
        }
        if let Some(kind) = self.shield(event) {
            return Some((kind.reason(), detail(kind).to_owned()));
        }
        let detail = "this project has used its quota of events for this month";
        self.is_quota_used.then(|| (DiscardReason::QuotaExceeded, detail.to_owned()))
    }

    /// The first kind of shield that keeps an event out, in the order of [`ShieldKind::ALL`].
    fn shield(&self, event: &Event) -> Option<ShieldKind> {
        if self.is_address_shielded {
            return Some(ShieldKind::Address);
        }
        let of_sender = self.is_user_agent_shielded.then_some(ShieldKind::UserAgent);
        self.page_shield(event).or(of_sender)
    }

    fn page_shield(&self, event: &Event) -> Option<ShieldKind> {
        if !self.has_page_shields {
            return None;
        }
        let page = Page::of(event.url.as_deref()?);
        let any = |is_met: &dyn Fn(&Shield) -> bool| self.project.shields.iter().any(is_met);
        if page.hostname.is_some_and(|host| any(&|shield| shield.keeps_out_hostname(&host))) {
            return Some(ShieldKind::Hostname);
        }
        let is_path_shielded = page.path.is_some_and(|path| any(&|shield| shield.keeps_out_path(&path)));
        is_path_shielded.then_some(ShieldKind::Path)
    }
}

/// It says nothing of the shield itself: whoever sent the event reads it, and an owner's networks are theirs.
const fn detail(kind: ShieldKind) -> &'static str {
    match kind {
        ShieldKind::Address => "this project does not count events from this address",
        ShieldKind::Hostname => "this project does not count events of pages on this host",
        ShieldKind::Path => "this project does not count events of pages at this path",
        ShieldKind::UserAgent => "this project does not count events from this user agent",
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
