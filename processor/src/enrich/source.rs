//! Referrer → source: where a visit came from. For now the referrer's host.

use tallymark_protocol::page;
use url::Url;

/// The source that a referrer names; `None` for a referrer within the site, or one that names no host.
pub(super) fn of(referrer: &str, hostname: Option<&str>) -> Option<String> {
    let url = Url::parse(referrer).ok()?;
    let source = bare(page::hostname(&url)?);
    (!source.is_empty() && hostname.map(bare) != Some(source)).then(|| source.to_owned())
}

fn bare(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_referrers() {
        let cases = [
            ("https://www.search.example/q?x", Some("shop.example"), Some("search.example")),
            ("https://news.example", None, Some("news.example")),
            ("android-app://com.mail.example/", Some("shop.example"), Some("com.mail.example")),
            ("https://shop.example/p/1", Some("www.shop.example"), None),
            ("https://blog.shop.example/", Some("shop.example"), Some("blog.shop.example")),
            ("about:blank", Some("shop.example"), None),
            ("nonsense", Some("shop.example"), None),
        ];
        for (referrer, hostname, source) in cases {
            assert_eq!(of(referrer, hostname).as_deref(), source, "{referrer}");
        }
    }
}
