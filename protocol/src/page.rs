//! URL → host and path: where an event happened. Collectors shield by it, processors store it, and both mean the same.

use url::Url;

use crate::limits;

/// Where an event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The host, where the URL has one of a length that DNS knows.
    pub hostname: Option<String>,
    /// The path, without query and fragment.
    pub path: Option<String>,
}

impl Page {
    /// Reads an absolute URL, or the path alone that a backend may send. What is neither is no page.
    #[must_use]
    pub fn of(url: &str) -> Self {
        match Url::parse(url) {
            Ok(url) => Self {
                hostname: hostname(&url).map(str::to_owned),
                path: Some(bounded(url.path()).to_owned()),
            },
            Err(_) if url.starts_with('/') => {
                let end = url.find(['?', '#']).unwrap_or(url.len());
                Self { hostname: None, path: Some(bounded(&url[..end]).to_owned()) }
            }
            Err(_) => Self::default(),
        }
    }
}

/// The URL's host, if there can be one of this name.
#[must_use]
pub fn hostname(url: &Url) -> Option<&str> {
    url.host_str().filter(|host| host.len() <= limits::HOST_BYTES_MAX)
}

fn bounded(path: &str) -> &str {
    &path[..path.floor_char_boundary(limits::PATH_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_urls() {
        let cases = [
            ("https://Shop.Example/p/1?utm_source=x#top", Some("shop.example"), Some("/p/1")),
            ("https://shop.example", Some("shop.example"), Some("/")),
            ("https://münchen.example/straße", Some("xn--mnchen-3ya.example"), Some("/stra%C3%9Fe")),
            ("http://[::1]:8080/x", Some("[::1]"), Some("/x")),
            ("app://settings/profile", Some("settings"), Some("/profile")),
            ("/checkout?step=2", None, Some("/checkout")),
            ("not a url", None, None),
            ("", None, None),
        ];
        for (url, hostname, path) in cases {
            let page = Page { hostname: hostname.map(str::to_owned), path: path.map(str::to_owned) };
            assert_eq!(Page::of(url), page, "{url}");
        }
    }
}
