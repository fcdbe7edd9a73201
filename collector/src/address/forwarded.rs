//! What proxies wrote about whom they forwarded for.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};

use super::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies that are walked back through. Nobody has more in a row; whoever claims to has made them up.
const PROXIES_MAX: usize = 16;

/// The sender of a request that came from the trusted proxy `peer`: read from the right, the first address that
/// is not a trusted proxy's. Where a proxy named nobody, or in a way that hides who it was, the proxy itself stands
/// for its clients: what is further left was written by somebody who is not trusted.
///
/// `X-Forwarded-For` goes before `Forwarded`: nearly every proxy writes the former and passes the latter on as the
/// client sent it.
pub(super) fn sender(headers: &HeaderMap, peer: IpAddr, proxies: &TrustedProxies) -> IpAddr {
    if headers.contains_key(X_FORWARDED_FOR) {
        let elements = lines_from_below(headers, &X_FORWARDED_FOR).flat_map(|line| line.rsplit(','));
        walk(elements.map(address), peer, proxies)
    } else {
        let elements = lines_from_below(headers, &FORWARDED)
            .flat_map(|line| parts_outside_quotes(line, b',').into_iter().rev());
        walk(elements.map(|element| address(forwarded_for(element)?)), peer, proxies)
    }
}

fn walk(hops: impl Iterator<Item = Option<IpAddr>>, peer: IpAddr, proxies: &TrustedProxies) -> IpAddr {
    let mut sender = peer;
    for hop in hops.take(PROXIES_MAX) {
        match hop {
            Some(address) => sender = address,
            None => return sender,
        }
        if !proxies.trusts(sender) {
            return sender;
        }
    }
    sender
}

/// The lines of a header, the last first. Of a line that is no text, what stands behind the last byte that is none: a
/// client must not hide what its proxy wrote behind it.
fn lines_from_below<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h str> + use<'h> {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| text_at_end(line.as_bytes())).collect();
    lines.into_iter().rev()
}

fn text_at_end(line: &[u8]) -> &str {
    let begin = line.iter().rposition(|byte| !byte.is_ascii()).map_or(0, |at| at + 1);
    str::from_utf8(&line[begin..]).expect("ASCII is UTF-8")
}

/// The `for` of one element of `Forwarded`. Named twice, it means nothing.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut values = parts_outside_quotes(element, b';').into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// `203.0.113.7`, `203.0.113.7:4711`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:4711`, each in quotes or
/// not. `None` for `unknown`, `_hidden` and everything else.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The parts of `text` between separators that stand outside quotes. Where a quote stays open, quotes mean nothing:
/// a client must not swallow what its proxy wrote behind it.
fn parts_outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if is_quoted {
        return text.split(char::from(separator)).collect();
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a proxy on 10.0.0.1 is believed, with 10.0.0.0/8 and 2001:db8:ff::/48 trusted.
    fn found(lines: &[(&'static str, &str)]) -> String {
        let proxies = TrustedProxies::parse(["10.0.0.0/8", "2001:db8:ff::/48"]).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        sender(&headers, "10.0.0.1".parse().unwrap(), &proxies).to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        let cases = [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("2001:db8::7, 2001:db8:ff::1", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // What an untrusted client wrote never shows through what a proxy could not name.
            ("203.0.113.7, unknown", "10.0.0.1"),
            ("203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("203.0.113.7,", "10.0.0.1"),
            ("", "10.0.0.1"),
            (",,,,", "10.0.0.1"),
            ("203.0.113.7 198.51.100.1", "10.0.0.1"),
            ("256.1.1.1", "10.0.0.1"),
            ("1", "10.0.0.1"),
            ("0x7f.1", "10.0.0.1"),
            ("<script>", "10.0.0.1"),
            ("fe80::1%eth0", "10.0.0.1"),
            ("\"203.0.113.7\"", "203.0.113.7"),
            ("\", 203.0.113.7", "203.0.113.7"),
        ];
        for (line, expected) in cases {
            assert_eq!(found(&[("x-forwarded-for", line)]), expected, "{line}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let cases = [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=\"[2001:db8::7]\";proto=https;by=10.0.0.1", "2001:db8::7"),
            ("proto=https; for=203.0.113.7", "203.0.113.7"),
            ("for=198.51.100.1, for=203.0.113.7;host=x, for=10.0.0.2", "203.0.113.7"),
            ("for=\"203.0.113.7:47011\"", "203.0.113.7"),
            ("for=203.0.113.7, for=_hidden", "10.0.0.1"),
            ("for=203.0.113.7, for=_hidden, for=10.0.0.2", "10.0.0.2"),
            ("for=unknown", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            ("for=203.0.113.7;for=198.51.100.1", "10.0.0.1"),
            // A comma in quotes does not make an element.
            ("for=198.51.100.1;host=\"x, for=203.0.113.7\"", "198.51.100.1"),
            ("for=198.51.100.1;host=\"x\\\", for=203.0.113.7\"", "198.51.100.1"),
            ("for=\"203.0.113.7", "10.0.0.1"),
            // An open quote swallows nothing that a proxy writes behind it.
            ("for=\", for=203.0.113.7", "203.0.113.7"),
            ("for=\"\\, for=\"[2001:db8::7]\"", "2001:db8::7"),
            ("203.0.113.7", "10.0.0.1"),
        ];
        for (line, expected) in cases {
            assert_eq!(found(&[("forwarded", line)]), expected, "{line}");
        }
    }

    #[test]
    fn several_lines_are_one_list_and_x_forwarded_for_goes_first() {
        let line = |value| ("x-forwarded-for", value);
        assert_eq!(found(&[line("198.51.100.1"), line("203.0.113.7"), line("10.0.0.2")]), "203.0.113.7");
        assert_eq!(found(&[("forwarded", "for=198.51.100.1"), line("203.0.113.7")]), "203.0.113.7");
        assert_eq!(found(&[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_text_hides_nothing_that_a_proxy_wrote_behind_it() {
        let cases: [(&'static str, &[u8], &str); 5] = [
            ("x-forwarded-for", b"\xff, 203.0.113.7", "203.0.113.7"),
            ("x-forwarded-for", b"198.51.100.1\xc3\xa9, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
            ("x-forwarded-for", b"203.0.113.7, \xff", "10.0.0.1"),
            ("forwarded", b"for=\xff, for=203.0.113.7", "203.0.113.7"),
            ("forwarded", b"for=\"\xff\", for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ];
        let proxies = TrustedProxies::parse(["10.0.0.0/8"]).unwrap();
        for (name, line, expected) in cases {
            let line = axum::http::HeaderValue::from_bytes(line).unwrap();
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), line)]);
            let found = sender(&headers, "10.0.0.1".parse().unwrap(), &proxies);
            assert_eq!(found.to_string(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_row_of_proxies_without_end_ends() {
        let many = vec!["10.0.0.2"; 1_000].join(",");
        assert_eq!(found(&[("x-forwarded-for", &format!("203.0.113.7,{many}"))]), "10.0.0.2");
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", axum::http::HeaderValue::from_bytes(b"203.0.113.7, \xff").unwrap());
        let proxies = TrustedProxies::parse(["private"]).unwrap();
        assert_eq!(sender(&headers, "10.0.0.1".parse().unwrap(), &proxies).to_string(), "10.0.0.1");
    }
}
