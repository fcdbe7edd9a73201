//! Requests of every kind, from addresses that occur nowhere by chance.

use std::net::IpAddr;

use anyhow::ensure;
use reqwest::header::{ORIGIN, USER_AGENT};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::forms::Forms;

/// A browser's, behind the proxy that the collector trusts.
const BEHIND_PROXY: &str = "203.0.113.77";
/// The same, of the other kind.
const BEHIND_PROXY_V6: &str = "2001:db8:5c3e:9d11:7a42:e6b8:13f5:c09d";
/// What a proxy that listens on both kinds writes of an IPv4 client.
const MAPPED: &str = "::ffff:198.51.100.93";
/// One that connects by itself: all of 127.0.0.0/8 is this machine.
const PEER: &str = "127.77.13.201";
/// Of the network that the owner keeps out.
const SHIELDED: &str = "192.0.2.249";
/// The network that the owner keeps out: it is theirs to write down.
pub(crate) const SHIELDED_NETWORK: &str = "192.0.2.0/24";

/// Whoever sends. `behind` is told by the proxy on 127.0.0.1; without it the sender connects from [`PEER`].
#[derive(Clone, Copy)]
struct From {
    behind: Option<&'static str>,
}

/// Addresses that are kept where an owner keeps them, and one that is kept nowhere: its events are not counted.
pub(crate) struct Sent {
    pub(crate) counted: Vec<Forms>,
    pub(crate) shielded: Forms,
}

pub(crate) fn sent() -> Sent {
    let forms = |text: &str| Forms::of(text.parse::<IpAddr>().expect("an address").to_canonical());
    let counted = [BEHIND_PROXY, BEHIND_PROXY_V6, MAPPED, PEER].map(forms).into();
    Sent { counted, shielded: forms(SHIELDED) }
}

/// A collector, and who sends to it.
pub(crate) struct Traffic {
    address: String,
    write_key: String,
    now_ms: i64,
}

impl Traffic {
    pub(crate) fn to(address: &str, write_key: &str) -> Self {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        Self { address: address.to_owned(), write_key: write_key.to_owned(), now_ms }
    }

    fn client(from: From) -> anyhow::Result<Client> {
        let local: Option<IpAddr> = from.behind.is_none().then(|| PEER.parse()).transpose()?;
        Ok(Client::builder().local_address(local).build()?)
    }

    fn capture(&self, from: From, body: &Value) -> anyhow::Result<RequestBuilder> {
        let url = format!("{}/capture?write_key={}", self.address, self.write_key);
        let request = Self::client(from)?.post(url).body(body.to_string()).header(USER_AGENT, "Test/1.0");
        Ok(match from.behind {
            Some(address) => request.header("x-forwarded-for", format!("10.9.8.7, {address}")),
            None => request,
        })
    }

    /// Events of every kind from every address. Answers how many are counted.
    pub(crate) async fn send(&self) -> anyhow::Result<i64> {
        let senders = [Some(BEHIND_PROXY), Some(BEHIND_PROXY_V6), Some(MAPPED), None];
        let mut counted = 0;
        for from in senders.map(|behind| From { behind }) {
            counted += self.send_from(from).await?;
        }
        ensure!(self.is_shielded().await?);
        Ok(counted)
    }

    /// Whether the address that the owner keeps out is refused for it.
    pub(crate) async fn is_shielded(&self) -> anyhow::Result<bool> {
        let from = From { behind: Some(SHIELDED) };
        let refused = self.capture(from, &json!({"name": "kept out", "anonymous_id": "v-3"}))?.send().await?;
        let answer: Value = refused.json().await?;
        Ok(answer["rejected"][0]["reason"] == "shielded_address")
    }

    /// One event of a visitor without a name.
    pub(crate) async fn cookieless(&self) -> anyhow::Result<u16> {
        let request = self.capture(From { behind: Some(BEHIND_PROXY) }, &json!({"name": "a"}))?;
        Ok(request.header(ORIGIN, "https://x.example").send().await?.status().as_u16())
    }

    async fn send_from(&self, from: From) -> anyhow::Result<i64> {
        let browser =
            |body: &Value| anyhow::Ok(self.capture(from, body)?.header(ORIGIN, "https://x.example"));
        let now_ms = self.now_ms;
        let tracker = json!({
            "sent_at": now_ms, "context": {"timezone": "Europe/Berlin"},
            "events": [
                {"name": "$pageview", "anonymous_id": "v-1", "session_id": "s-1", "tab_id": "t", "seq": 0, "url": "https://x.example/"},
                {"name": "", "tab_id": "t", "seq": 1},
                {"name": "old", "occurred_at": now_ms - 40 * 86_400_000, "tab_id": "t", "seq": 2},
            ],
        });
        let taken = answer(browser(&tracker)?, 202).await?;
        ensure!(taken["accepted"] == 1, "{taken}");
        let cookieless = answer(browser(&json!([{"name": "$pageview"}, {"name": "b"}]))?, 202).await?;
        ensure!(cookieless["accepted"] == 2, "{cookieless}");
        answer(self.capture(from, &json!({"name": "from a backend"}))?, 202).await?;
        let broken = self.capture(from, &Value::Null)?.body("{\"events\": [");
        answer(broken, 400).await?;
        let nobodys = Self {
            write_key: "wk_00000000000000000000000000000000".to_owned(),
            address: self.address.clone(),
            now_ms,
        };
        answer(nobodys.capture(from, &json!({"name": "a"}))?, 401).await?;
        self.pixel(from).await?;
        Ok(1 + 2 + 1 + 1)
    }

    async fn pixel(&self, from: From) -> anyhow::Result<()> {
        let url = format!("{}/capture.gif?write_key={}&name=opened", self.address, self.write_key);
        let request = Self::client(from)?.get(url);
        let request = match from.behind {
            Some(address) => request.header("forwarded", format!("for=\"{}\"", bracketed(address))),
            None => request,
        };
        let status = request.send().await?.status();
        ensure!(status.as_u16() == 200, "the pixel: {status}");
        Ok(())
    }

    /// One event of the tracker's, from behind the proxy.
    pub(crate) async fn one(&self) -> anyhow::Result<u16> {
        let from = From { behind: Some(BEHIND_PROXY) };
        let event = json!({"name": "one", "anonymous_id": "v-2"});
        Ok(self.capture(from, &event)?.send().await?.status().as_u16())
    }
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

async fn answer(request: RequestBuilder, status: u16) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let (found, text) = (response.status().as_u16(), response.text().await?);
    ensure!(found == status, "{found} instead of {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}
