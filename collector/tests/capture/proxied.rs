//! Whose address counts, seen by what it is good for: buckets of its own, and being kept where the owner says so.

use reqwest::RequestBuilder;
use tallymark_collector::{CollectorConfig, TrustedProxies};

use crate::event;
use crate::world::{Setup, World};

async fn world(proxies: &[&str]) -> World {
    let mut setup = Setup::default();
    setup.config =
        CollectorConfig { trusted_proxies: TrustedProxies::parse(proxies).unwrap(), ..setup.config };
    setup.project.keep_addresses = true;
    World::with(setup).await
}

async fn kept(world: &World, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> String {
    let response = with(world.capture(event().to_string())).send().await.unwrap();
    assert_eq!(response.status(), 202);
    world.queued().await.remove(0).address.unwrap().to_string()
}

#[tokio::test]
async fn headers_count_only_behind_a_trusted_proxy() {
    let hostile = [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("cf-connecting-ip", "203.0.113.7"),
        ("true-client-ip", "203.0.113.7"),
    ];
    let (nobody, elsewhere) = (world(&[]).await, world(&["10.0.0.0/8"]).await);
    for (name, value) in hostile {
        assert_eq!(kept(&nobody, |request| request.header(name, value)).await, "127.0.0.1", "{name}");
        assert_eq!(kept(&elsewhere, |request| request.header(name, value)).await, "127.0.0.1", "{name}");
    }
}

#[tokio::test]
async fn behind_trusted_proxies_the_first_from_the_right_that_is_none_counts() {
    let world = world(&["loopback", "10.0.0.0/8"]).await;
    let cases = [
        ("x-forwarded-for", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("x-forwarded-for", "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("x-forwarded-for", "nonsense", "127.0.0.1"),
        ("forwarded", "for=\"[2001:db8::7]:4711\";proto=https, for=10.1.2.3", "2001:db8::7"),
        ("forwarded", "for=203.0.113.7, for=_hidden", "127.0.0.1"),
        ("x-real-ip", "203.0.113.7", "127.0.0.1"),
    ];
    for (name, value, address) in cases {
        assert_eq!(kept(&world, |request| request.header(name, value)).await, address, "{name}: {value}");
    }
}

#[tokio::test]
async fn each_address_has_a_bucket_of_its_own() {
    let mut setup = Setup::default();
    setup.config =
        CollectorConfig { trusted_proxies: TrustedProxies::parse(["loopback"]).unwrap(), ..setup.config };
    setup.project.address_rate_limit_per_minute = Some(2);
    let world = World::with(setup).await;
    let status = async |address: &str| {
        let request = world.capture(event().to_string()).header("x-forwarded-for", address.to_owned());
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..2 {
        assert_eq!(status("203.0.113.7").await, 202);
    }
    assert_eq!(status("203.0.113.7").await, 429);
    assert_eq!(status("203.0.113.8").await, 202);
    // A household has a network of IPv6 addresses: it is one sender.
    assert_eq!((status("2001:db8:0:1::7").await, status("2001:db8:0:1:a::8").await), (202, 202));
    assert_eq!(status("2001:db8:0:1:b::9").await, 429);
    assert_eq!(status("2001:db8:0:2::7").await, 202);
    world.clock.advance(30_000);
    assert_eq!(status("203.0.113.7").await, 202);
    assert!(
        world.queued().await.iter().all(|envelope| envelope.address.is_none()),
        "never, unless it is wished"
    );
}
