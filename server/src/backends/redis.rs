//! The way to Redis, which queue and registry share.

use tallymark_redis_link::LinkConfig;

use crate::config::Options;

/// How Redis is reached, where the configuration names one.
pub(crate) fn redis_link(options: &Options) -> Option<LinkConfig> {
    let mut link = LinkConfig::new(options.redis_url.clone()?);
    link.password_file.clone_from(&options.redis_password_file);
    link.ca_file.clone_from(&options.redis_ca_file);
    Some(link)
}
