//! Event names that are Tallymark's own. They start with `$`; all others are the site's.

/// A page was shown: a load, or a navigation within a single-page application.
pub const PAGEVIEW: &str = "$pageview";
/// A page was left; carries `engaged_ms`.
pub const PAGELEAVE: &str = "$pageleave";
/// An interactive element was clicked.
pub const CLICK: &str = "$click";
/// The same place was clicked again and again.
pub const RAGE_CLICK: &str = "$rage_click";
/// A link to another host was followed.
pub const OUTBOUND: &str = "$outbound";
/// A link to a file was followed.
pub const DOWNLOAD: &str = "$download";
/// A form was begun.
pub const FORM_START: &str = "$form_start";
/// A form was sent.
pub const FORM_SUBMIT: &str = "$form_submit";
/// A form was begun and left.
pub const FORM_ABANDON: &str = "$form_abandon";
/// A script failed.
pub const ERROR: &str = "$error";
/// A measured web vital.
pub const WEB_VITAL: &str = "$web_vital";
/// A visitor was identified as a person.
pub const IDENTIFY: &str = "$identify";
/// Two person ids are one person.
pub const ALIAS: &str = "$alias";
/// A visitor belongs to a group.
pub const GROUP: &str = "$group";
/// A visitor declined to be counted.
pub const OPT_OUT: &str = "$opt_out";
/// What a tab could not send.
pub const GAP: &str = "$gap";

/// Events that happen without the visitor doing anything: a session of one pageview and only these
/// beside it is a bounce.
pub const PASSIVE: [&str; 5] = [PAGELEAVE, WEB_VITAL, GAP, IDENTIFY, ERROR];

/// The property of [`PAGELEAVE`] that holds visible, active milliseconds.
pub const ENGAGED_MS_PROP: &str = "engaged_ms";
