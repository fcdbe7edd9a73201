//! `GET /capture.gif`.

use reqwest::{Method, Response};
use serde_json::json;
use tallymark_protocol::settings::OriginPattern;

use crate::world::{KEY, World};

/// Asserts that an image came, readable from anywhere, and what is said of the event.
async fn assert_image(response: Response, status: u16, error: Option<&str>) {
    assert_eq!(response.status(), status);
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("image/gif"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(header("access-control-expose-headers").as_deref(), Some("Retry-After"));
    assert_eq!(header("cross-origin-resource-policy").as_deref(), Some("cross-origin"));
    assert_eq!(header("tallymark-error").as_deref(), error);
    let image = response.bytes().await.unwrap();
    assert_eq!((&image[..6], image[image.len() - 1], image.len()), (&b"GIF89a"[..], b';', 42));
}

#[tokio::test]
async fn a_pixel_is_an_event_of_a_browser() {
    let world = World::new().await;
    let path = format!(
        "/capture.gif?write_key={KEY}&name=mail%20opened&title=Gr%C3%BC%C3%9Fe&referrer=https://a.example/&anonymous_id=v-1\
         &user_id=42&category=mail&event_source=newsletter&props=%7B%22n%22%3A1%7D&props.plan=pro"
    );
    let request = world.request(Method::GET, &path).header("referer", "https://shop.example/p/1");
    assert_image(request.header("user-agent", "Mail/1").send().await.unwrap(), 200, None).await;
    let envelope = world.queued().await.remove(0);
    assert!(envelope.from_browser);
    assert_eq!((envelope.received, envelope.user_agent.as_deref()), (1, Some("Mail/1")));
    let event = &envelope.events[0];
    assert_eq!(event.name, "mail opened");
    let texts = [
        &event.title,
        &event.referrer,
        &event.anonymous_id,
        &event.user_id,
        &event.category,
        &event.event_source,
    ];
    assert_eq!(
        texts.map(|text| text.as_deref().unwrap()),
        ["Grüße", "https://a.example/", "v-1", "42", "mail", "newsletter"]
    );
    assert_eq!(event.url.as_deref(), Some("https://shop.example/p/1"), "the page that shows it");
    let props: serde_json::Value = serde_json::from_str(event.props.as_ref().unwrap().get()).unwrap();
    assert_eq!(props, json!({"n": 1, "plan": "pro"}));
}

#[tokio::test]
async fn what_is_refused_is_an_image_too_and_says_why() {
    let world = World::with_project(|project| {
        project.origins = vec![OriginPattern::parse("https://shop.example").unwrap()];
        project.rate_limit_per_minute = Some(3);
    })
    .await;
    let get = |query: &str| world.request(Method::GET, &format!("/capture.gif?{query}"));
    let name = format!("write_key={KEY}&name=a");
    assert_image(get("name=a").send().await.unwrap(), 401, Some("missing_write_key")).await;
    assert_image(get("write_key=wk_x&name=a").send().await.unwrap(), 401, Some("unknown_write_key")).await;
    let elsewhere = get(&name).header("origin", "https://evil.example");
    assert_image(elsewhere.send().await.unwrap(), 403, Some("origin_not_allowed")).await;
    // An image has a referrer and no origin, and passes.
    let image = get(&name).header("referer", "https://evil.example/");
    assert_image(image.send().await.unwrap(), 200, None).await;
    assert_image(get(&format!("write_key={KEY}")).send().await.unwrap(), 422, Some("name_missing")).await;
    let props = get(&format!("{name}&props=nonsense")).send().await.unwrap();
    assert_image(props, 422, Some("props_invalid")).await;
    let limited = get(&name).send().await.unwrap();
    assert_eq!(limited.headers()["retry-after"], "20");
    assert_image(limited, 429, Some("rate_limited")).await;
    let received: u32 = world.queued().await.iter().map(|envelope| envelope.received).sum();
    assert_eq!(received, 3, "the rejected are queued for the accounting");
}

#[tokio::test]
async fn who_only_looks_is_not_counted() {
    let world = World::new().await;
    let path = format!("/capture.gif?write_key={KEY}&name=a");
    let response = world.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "image/gif")
    );
    let response = world.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["allow"].to_str().unwrap()),
        (405, "GET, HEAD")
    );
    assert!(world.queued().await.is_empty());
}
