//! User agent → browser, operating system, kind of device. Unknown stays unknown.

use tallymark_store::model::VisitAttributes;
use woothee::parser::Parser;

/// Reads a user agent.
pub(super) fn parse(user_agent: &str) -> VisitAttributes {
    let Some(found) = Parser::new().parse(user_agent) else { return VisitAttributes::default() };
    let device = match found.category {
        "smartphone" if is_tablet(user_agent, found.os) => Some("Tablet"),
        "smartphone" | "mobilephone" => Some("Mobile"),
        "pc" => Some("Desktop"),
        "appliance" => Some("Appliance"),
        _ => None,
    };
    VisitAttributes {
        browser: known(found.name).map(str::to_owned),
        os: known(found.os).map(|os| family(os).to_owned()),
        device: device.map(str::to_owned),
        ..VisitAttributes::default()
    }
}

fn known(value: &str) -> Option<&str> {
    (value != "UNKNOWN" && !value.is_empty()).then_some(value)
}

fn is_tablet(user_agent: &str, os: &str) -> bool {
    os == "iPad" || (os == "Android" && !user_agent.contains("Mobile"))
}

fn family(os: &str) -> &str {
    match os {
        "iPhone" | "iPad" | "iPod" | "iOS" => "iOS",
        "Mac OSX" | "Mac OS Classic" => "macOS",
        os if os.starts_with("Windows Phone") => "Windows Phone",
        os if os.starts_with("Windows") => "Windows",
        os => os,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_user_agents() {
        let cases = [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
                "Chrome",
                "Linux",
                "Desktop",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge",
                "Windows",
                "Desktop",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "Safari",
                "macOS",
                "Desktop",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
                "Mobile",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
                "Safari",
                "iOS",
                "Tablet",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
                "Chrome",
                "Android",
                "Mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                "Chrome",
                "Android",
                "Tablet",
            ),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
                "Firefox",
                "Linux",
                "Desktop",
            ),
        ];
        for (user_agent, browser, os, device) in cases {
            let text = |text: &str| Some(text.to_owned());
            let (browser, os, device) = (text(browser), text(os), text(device));
            let want = VisitAttributes { browser, os, device, ..VisitAttributes::default() };
            assert_eq!(parse(user_agent), want, "{user_agent}");
        }
    }

    #[test]
    fn nonsense_is_unknown() {
        assert_eq!(parse(""), VisitAttributes::default());
        assert_eq!(parse("x").browser, None);
    }
}
