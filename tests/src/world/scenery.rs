//! What the world is made of: devices, pages, places that visitors come from. Beside each text as it is
//! sent stands what must become of it, written by hand.

use std::net::IpAddr;

/// A browser on a device.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) user_agent: Option<&'static str>,
    pub(super) browser: Option<&'static str>,
    pub(super) os: Option<&'static str>,
    pub(super) device: Option<&'static str>,
}

pub(super) const DEVICES: [Device; 6] = [
    Device {
        user_agent: Some(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
        browser: Some("Chrome"),
        os: Some("Windows"),
        device: Some("Desktop"),
    },
    Device {
        user_agent: Some("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"),
        browser: Some("Firefox"),
        os: Some("Windows"),
        device: Some("Desktop"),
    },
    Device {
        user_agent: Some(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        ),
        browser: Some("Safari"),
        os: Some("macOS"),
        device: Some("Desktop"),
    },
    Device {
        user_agent: Some(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        ),
        browser: Some("Safari"),
        os: Some("iOS"),
        device: Some("Mobile"),
    },
    Device {
        user_agent: Some(
            "Mozilla/5.0 (Linux; Android 14; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
        browser: Some("Chrome"),
        os: Some("Android"),
        device: Some("Tablet"),
    },
    Device { user_agent: None, browser: None, os: None, device: None },
];

/// A backend: no browser is behind it.
pub(super) const BACKEND: Device = Device { user_agent: None, browser: None, os: None, device: None };

/// Where a sender is, as its address tells.
#[derive(Debug)]
pub(super) struct Spot {
    address: Option<&'static str>,
    pub(super) country: Option<&'static str>,
    pub(super) region: Option<&'static str>,
    pub(super) city: Option<&'static str>,
}

impl Spot {
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address.map(|address| address.parse().expect("the world's addresses are addresses"))
    }
}

pub(super) const SPOTS: [Spot; 5] = [
    Spot { address: Some("192.0.2.17"), country: Some("DE"), region: Some("DE-BE"), city: Some("Berlin") },
    Spot {
        address: Some("2001:db8::1:0:7"),
        country: Some("IN"),
        region: Some("IN-MH"),
        city: Some("Mumbai"),
    },
    Spot { address: Some("203.0.113.255"), country: Some("DE"), region: Some("DE-HH"), city: None },
    Spot { address: Some("198.51.100.1"), country: Some("PT"), region: None, city: None },
    NOWHERE,
];

/// Nothing is known.
pub(super) const NOWHERE: Spot = Spot { address: None, country: None, region: None, city: None };

/// A path as it is sent, and as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) sent: &'static str,
    pub(super) stored: &'static str,
}

pub(super) const PAGES: [Page; 6] = [
    Page { sent: "/", stored: "/" },
    Page { sent: "/a", stored: "/a" },
    Page { sent: "/b?utm_campaign=x#top", stored: "/b" },
    Page { sent: "/pricing", stored: "/pricing" },
    Page { sent: "/straße", stored: "/stra%C3%9Fe" },
    Page { sent: "/a/long/way/down?q=1", stored: "/a/long/way/down" },
];

/// A referrer as it is sent, and the source it names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) referrer: &'static str,
    pub(super) source: Option<&'static str>,
}

pub(super) const ORIGINS: [Origin; 4] = [
    Origin { referrer: "https://www.search.example/?q=shop", source: Some("search.example") },
    Origin { referrer: "https://news.example/today", source: Some("news.example") },
    Origin { referrer: "android-app://com.mail.example/", source: Some("com.mail.example") },
    Origin { referrer: "about:blank", source: None },
];

/// The site's own events, with their category. None of them is passive.
pub(super) const DEEDS: [(&str, Option<&str>); 5] = [
    ("signup", Some("growth")),
    ("add_to_cart", Some("shop")),
    ("$click", None),
    ("Größe gewählt", None),
    ("$form_submit", None),
];

/// Events that happen without the visitor doing anything.
pub(super) const PASSIVE: [&str; 2] = ["$web_vital", "$error"];

/// Zones of the projects, in turn.
pub(super) const ZONES: [&str; 3] = ["Europe/Berlin", "Asia/Kolkata", "UTC"];

/// Session timeouts of the projects, in turn. The first is the one that projects have when nobody says otherwise.
pub(super) const TIMEOUTS_MINUTES: [i32; 3] = [30, 4, 300];
