//! Where a Redis is and how to get in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a Redis is reached.
#[derive(Clone)]
pub struct LinkConfig {
    /// `redis://[user:password@]host[:port][/db]`, or `rediss://…` for TLS.
    pub url: String,
    /// Holds the password, which goes over the one in the URL. Read at every connect, so that a new password needs
    /// no restart of ours. A line break at its end does not count.
    pub password_file: Option<PathBuf>,
    /// Holds the certificates, as PEM, of those who may vouch for the server; without it the public ones that browsers
    /// trust. Read at every connect.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take. Redis answers in under a millisecond; what takes far longer is gone, and its
    /// connection is replaced.
    pub response_timeout: Duration,
}

impl LinkConfig {
    /// A Redis at `url`, with no files beside it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let response_timeout = Duration::from_secs(5);
        Self { url: url.into(), password_file: None, ca_file: None, response_timeout }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkConfig")
            .field("url", &"***")
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
            .field("response_timeout", &self.response_timeout)
            .finish()
    }
}
