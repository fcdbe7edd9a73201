//! The endpoints, over HTTP and on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "http/api.rs"]
mod api;
#[path = "http/manage.rs"]
mod manage;
#[path = "../../store/tests/support/mod.rs"]
mod support;

use api::{Api, NOW, Response};
use serde_json::{Value, json};
use support::{Event, On, commit, ms, pageview, project, with_store};
use tallymark_store::{ApiToken, Role, Store};
use uuid::Uuid;

/// A server that is asked queries.
struct Server(Api);

impl Server {
    async fn start(store: &Store) -> Self {
        Self(Api::start(store).await)
    }

    async fn send(&self, method: &str, authorization: Option<&str>, body: &str) -> Response {
        self.0.send(method, "/api/v1/query", authorization, body).await
    }

    async fn ask(&self, body: Value) -> Response {
        self.send("POST", Some("Bearer sk_all"), &body.to_string()).await
    }

    async fn rows(&self, body: Value) -> Value {
        let response = self.ask(body).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.body["results"].clone()
    }
}

async fn token(store: &Store, id: u128, project_id: Option<i32>, secret: &str) {
    let token = ApiToken {
        id: Uuid::from_u128(id),
        project_id,
        role: Role::Read,
        name: secret.to_owned(),
        created_at: ms(NOW),
        revoked_at: None,
    };
    store.create_token(&token, secret).await.unwrap();
}

/// Three sessions of two visitors around the change of the clocks on 2026-03-29.
fn visits() -> Vec<Event> {
    let from_search = |event: Event| Event { source: Some("search.example"), ..event };
    let second_visit = |event: Event| Event { visitor: 1, ..event };
    vec![
        from_search(pageview(1, "2026-03-28T10:00:00Z", 1, "/")),
        from_search(pageview(2, "2026-03-28T10:01:00Z", 1, "/pricing")),
        Event { name: "signup", ..pageview(3, "2026-03-28T10:02:00Z", 1, "/pricing") },
        second_visit(pageview(4, "2026-03-29T00:30:00Z", 2, "/")),
        pageview(5, "2026-03-29T01:30:00Z", 3, "/docs"),
        pageview(6, "2026-03-29T01:30:30Z", 3, "/"),
    ]
}

async fn filled(store: &Store) -> i32 {
    let project_id = project(store, "Europe/Berlin", "wk_1").await;
    token(store, 1, None, "sk_all").await;
    let visits = visits();
    commit(store, project_id, 1, &visits[..3]).await;
    store.compact_all().await.unwrap();
    commit(store, project_id, 2, &visits[3..]).await;
    project_id
}

async fn answers(store: Store) {
    let id = filled(&store).await;
    let server = Server::start(&store).await;
    let all = [
        "visitors",
        "sessions",
        "pageviews",
        "events",
        "views_per_session",
        "bounce_rate",
        "session_duration",
    ];
    let response = server.ask(json!({"project": id, "metrics": all, "date_range": "7d"})).await;
    assert!(response.head.contains("content-type: application/json"), "{}", response.head);
    assert_eq!(
        response.body,
        json!({
            "results": [{"dimensions": [], "metrics": [2, 3, 5, 6, 1.67, 33.33, 50.0]}],
            "meta": {"source": "rollups"},
            "query": {
                "project": id.to_string(), "metrics": all, "timezone": "Europe/Berlin",
                "date_range": ["2026-03-24T00:00:00+01:00", "2026-03-31T00:00:00+02:00"],
                "dimensions": [], "filters": [], "order_by": [["visitors", "desc"]],
                "include": {"time_labels": false, "total_rows": false},
                "pagination": {"limit": 10_000, "offset": 0}
            }
        })
    );
    let days = json!({"project": id.to_string(), "metrics": ["pageviews", "sessions", "visitors"],
        "date_range": ["2026-03-28", "2026-03-30"], "dimensions": ["time"]});
    assert_eq!(
        server.rows(days).await,
        json!([
            {"dimensions": ["2026-03-28"], "metrics": [2, 1, 1]},
            {"dimensions": ["2026-03-29"], "metrics": [3, 2, 2]},
            {"dimensions": ["2026-03-30"], "metrics": [0, 0, 0]},
        ])
    );
    let hours = json!({"project": id, "metrics": ["pageviews"], "date_range": ["2026-03-29", "2026-03-29"],
        "dimensions": ["time:hour"], "include": {"time_labels": true, "total_rows": true},
        "pagination": {"limit": 3, "offset": 1}});
    let hours = server.ask(hours).await.body;
    assert_eq!(
        hours["results"],
        json!([
            {"dimensions": ["2026-03-29 01:00:00"], "metrics": [1]},
            {"dimensions": ["2026-03-29 03:00:00"], "metrics": [2]},
            {"dimensions": ["2026-03-29 04:00:00"], "metrics": [0]},
        ])
    );
    assert_eq!(hours["meta"]["total_rows"], 23);
    assert_eq!(hours["meta"]["time_labels"].as_array().unwrap().len(), 23);
    // Kolkata's days begin within Berlin's hours: raw rows.
    let kolkata = json!({"project": id, "metrics": ["pageviews"], "date_range": ["2026-03-28", "2026-03-29"],
        "timezone": "Asia/Kolkata", "dimensions": ["time:day"]});
    let kolkata = server.ask(kolkata).await.body;
    assert_eq!(kolkata["meta"]["source"], "raw");
    assert_eq!(
        kolkata["results"],
        json!([{"dimensions": ["2026-03-28"], "metrics": [2]}, {"dimensions": ["2026-03-29"], "metrics": [3]}])
    );
}

async fn breakdowns(store: Store) {
    let id = filled(&store).await;
    let server = Server::start(&store).await;
    let ask = |metrics: Value, dimensions: Value, extra: Value| {
        let mut body =
            json!({"project": id, "metrics": metrics, "dimensions": dimensions, "date_range": "all"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let pages = server.rows(ask(json!(["pageviews", "visitors"]), json!(["event:page"]), json!({}))).await;
    assert_eq!(
        pages,
        json!([
            {"dimensions": ["/"], "metrics": [3, 2]},
            {"dimensions": ["/docs"], "metrics": [1, 1]},
            {"dimensions": ["/pricing"], "metrics": [1, 1]},
        ])
    );
    let sources = ask(json!(["sessions", "bounce_rate"]), json!(["visit:source"]), json!({}));
    assert_eq!(
        server.rows(sources).await,
        json!([
            {"dimensions": ["(direct)"], "metrics": [2, 50.0]},
            {"dimensions": ["search.example"], "metrics": [1, 0.0]},
        ])
    );
    // Sessions by page are in no rollup.
    let by_page = ask(
        json!(["sessions", "bounce_rate"]),
        json!(["event:page"]),
        json!({"filters": [["is", "visit:source", ["(direct)"]]], "order_by": [["event:page", "desc"]]}),
    );
    let by_page = server.ask(by_page).await.body;
    assert_eq!(by_page["meta"]["source"], "raw");
    assert_eq!(
        by_page["results"],
        json!([
            {"dimensions": ["/docs"], "metrics": [1, 0.0]},
            {"dimensions": ["/"], "metrics": [2, 50.0]},
        ])
    );
    let daily = ask(json!(["visitors"]), json!(["visit:entry_page", "time:day"]), json!({}));
    assert_eq!(
        server.rows(daily).await,
        json!([
            {"dimensions": ["/", "2026-03-28"], "metrics": [1]},
            {"dimensions": ["/", "2026-03-29"], "metrics": [1]},
            {"dimensions": ["/docs", "2026-03-29"], "metrics": [1]},
        ])
    );
}

async fn refusals(store: Store) {
    let id = filled(&store).await;
    let other = project(&store, "UTC", "wk_2").await;
    token(&store, 2, Some(other), "sk_other").await;
    token(&store, 3, Some(id), "sk_revoked").await;
    assert!(store.revoke_token(Uuid::from_u128(3), ms(NOW)).await.unwrap());
    let server = Server::start(&store).await;
    let query = json!({"project": id, "metrics": ["visitors"], "date_range": "day"});
    let text = query.to_string();
    for authorization in [None, Some("Bearer sk_unknown"), Some("Bearer sk_revoked"), Some("Bearer wk_1")] {
        let response = server.send("POST", authorization, &text).await;
        assert_eq!(response.status, 401, "{authorization:?}");
        assert!(response.head.contains("www-authenticate: bearer"));
        assert!(response.head.contains("content-type: application/problem+json"));
        assert_eq!(response.body["type"], "urn:tallymark:problem:token");
    }
    let response = server.send("POST", Some("Bearer sk_other"), &text).await;
    assert_eq!((response.status, &response.body["type"]), (403, &json!("urn:tallymark:problem:project")));
    let response = server.ask(json!({"project": 99, "metrics": ["visitors"], "date_range": "day"})).await;
    assert_eq!(response.status, 404);
    let response = server.send("GET", None, "").await;
    assert_eq!(response.status, 405);
    assert!(
        response.head.contains("allow: post") && response.body["hint"].as_str().unwrap().contains("curl")
    );
    let with = |key: &str, value: Value| {
        let mut query = query.clone();
        query[key] = value;
        query
    };
    let response = server.ask(with("metrics", json!(["visitor"]))).await;
    assert_eq!(response.status, 400);
    assert_eq!(response.body["status"], 400);
    assert!(
        response.body["hint"].as_str().unwrap().starts_with("did you mean visitors? known are visitors,")
    );
    let response = server.ask(with("compare", json!("previous_period"))).await;
    assert!(response.body["detail"].as_str().unwrap().contains("unknown field `compare`"));
    let mut hours = with("date_range", json!(["2020-01-01", "2026-01-01"]));
    hours["dimensions"] = json!(["time:hour"]);
    let response = server.ask(hours).await;
    assert_eq!(
        (response.status, &response.body["type"]),
        (422, &json!("urn:tallymark:problem:too-many-buckets"))
    );
    let response = server.ask(with("filters", json!([["is", "event:page", ["x".repeat(70_000)]]]))).await;
    assert_eq!((response.status, &response.body["type"]), (400, &json!("urn:tallymark:problem:body")));
}

macro_rules! on_both {
    ($($test:ident: $sqlite:ident, $postgres:ident;)*) => {
        $(
            #[tokio::test]
            async fn $sqlite() {
                with_store(On::Sqlite, concat!("http_", stringify!($test)), $test).await;
            }

            #[tokio::test]
            async fn $postgres() {
                with_store(On::Postgres, concat!("http_", stringify!($test)), $test).await;
            }
        )*
    };
}

on_both! {
    answers: totals_and_time_are_answered_on_sqlite, totals_and_time_are_answered_on_postgres;
    breakdowns: breakdowns_are_answered_on_sqlite, breakdowns_are_answered_on_postgres;
    refusals: refusals_say_what_to_change_on_sqlite, refusals_say_what_to_change_on_postgres;
}
