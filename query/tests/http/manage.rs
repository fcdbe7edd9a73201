//! The management API, over HTTP and on both stores.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tallymark_store::{ApiToken, Role, Store};
use uuid::Uuid;

use crate::api::{Api, NOW, Response};
use crate::support::{On, ms, project, with_store};

const ALL: &str = "sk_all_admin";
const OWN: &str = "sk_own_admin";
const READER: &str = "sk_reader";
const OTHER: &str = "sk_other_admin";

/// Two projects; admins of both, of the first, of the second; a reader of the first.
struct World {
    api: Api,
    store: Store,
    id: i32,
    other: i32,
}

async fn world(store: Store) -> World {
    let id = project(&store, "Europe/Berlin", "wk_0123456789abcdefghijklmn").await;
    let other = project(&store, "UTC", "wk_1123456789abcdefghijklmn").await;
    let tokens = [
        (ALL, None, Role::Admin),
        (OWN, Some(id), Role::Admin),
        (READER, Some(id), Role::Read),
        (OTHER, Some(other), Role::Admin),
    ];
    for (number, (secret, project_id, role)) in (1..).zip(tokens) {
        let token = ApiToken {
            id: Uuid::from_u128(number),
            project_id,
            role,
            name: secret.trim_start_matches("sk_").to_owned(),
            created_at: ms(NOW),
            revoked_at: None,
        };
        store.create_token(&token, secret).await.unwrap();
    }
    World { api: Api::start(&store).await, store, id, other }
}

impl World {
    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Response {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.api.send(method, &format!("/api/v1{path}"), Some(&format!("Bearer {token}")), &body).await
    }

    /// As the project's admin, below the project's path.
    async fn own(&self, method: &str, rest: &str, body: Value) -> Response {
        self.ask(OWN, method, &format!("/projects/{}{rest}", self.id), body).await
    }

    async fn version(&self) -> i64 {
        self.store.projects_version().await.unwrap().1
    }

    fn published(&self) -> u32 {
        self.api.management.published.load(Ordering::SeqCst)
    }
}

/// What a refusal says: its status and the last part of its type.
fn refused(response: &Response) -> (u16, &str) {
    assert!(response.head.contains("content-type: application/problem+json"), "{}", response.head);
    assert_eq!(response.body["status"], response.status);
    (response.status, response.body["type"].as_str().unwrap().trim_start_matches("urn:tallymark:problem:"))
}

async fn projects(store: Store) {
    let world = world(store).await;
    let body = json!({
        "name": " Shop ", "timezone": "europe/berlin", "origins": ["https://shop.example/", "https://*.shop.example"],
        "rate_limit_per_minute": 600, "retention_days": 0
    });
    let created = world.ask(ALL, "POST", "/projects", body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let id = created.body["id"].as_str().unwrap().to_owned();
    assert_eq!(created.body["name"], "Shop");
    let secret = created.body["token"].as_str().unwrap();
    assert!(created.body["write_key"].as_str().unwrap().starts_with("wk_"));
    let shown = world.ask(secret, "GET", &format!("/projects/{id}"), Value::Null).await;
    assert_eq!(
        shown.body,
        json!({
            "id": id, "name": "Shop", "timezone": "Europe/Berlin",
            "origins": ["https://*.shop.example", "https://shop.example"],
            "session_timeout_minutes": 30, "retention_days": 0, "hourly_retention_days": 365,
            "daily_retention_days": 1826, "rate_limit_per_minute": 600, "address_rate_limit_per_minute": null,
            "quota_per_month": null, "quota_exceeded_until": null, "keep_addresses": false, "version": 1,
            "created_at": "2026-03-30T09:30:00Z"
        })
    );
    let listed = world.ask(ALL, "GET", "/projects", Value::Null).await;
    let ids = |response: &Response| {
        let projects = response.body["projects"].as_array().unwrap();
        projects.iter().map(|project| project["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&listed), [world.id.to_string(), world.other.to_string(), id.clone()]);
    assert_eq!(ids(&world.ask(secret, "GET", "/projects", Value::Null).await), [id]);
    assert_eq!(ids(&world.ask(READER, "GET", "/projects", Value::Null).await), [world.id.to_string()]);
}

async fn changes(store: Store) {
    let world = world(store).await;
    let (version, published) = (world.version().await, world.published());
    let change = json!({
        "name": "New", "timezone": "Asia/Kolkata", "session_timeout_minutes": 45, "retention_days": 10,
        "hourly_retention_days": 0, "daily_retention_days": 0, "rate_limit_per_minute": 1,
        "address_rate_limit_per_minute": 2, "quota_per_month": 3, "keep_addresses": true,
        "origins": ["https://a.example"]
    });
    let changed = world.own("PATCH", "", change.clone()).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    for (setting, value) in change.as_object().unwrap() {
        assert_eq!(&changed.body[setting], value, "{setting}");
    }
    assert_eq!((world.version().await, world.published()), (version + 1, published + 1));
    let again = world.own("PATCH", "", change).await;
    assert_eq!(again.body, changed.body);
    assert_eq!((world.version().await, world.published()), (version + 1, published + 1), "nothing changed");
    let removed = world.own("PATCH", "", json!({"quota_per_month": null, "rate_limit_per_minute": 0})).await;
    assert_eq!(removed.body["quota_per_month"], Value::Null);
    assert_eq!(removed.body["rate_limit_per_minute"], Value::Null);
    assert_eq!(removed.body["address_rate_limit_per_minute"], 2, "what is not named stays");

    for (change, kind, says) in [
        (json!({"timezon": "UTC"}), "body", "did you mean timezone?"),
        (json!({"timezone": "Berlin"}), "setting", "Europe/Berlin"),
        (json!({"origins": ["https://a.example/path"]}), "setting", "https://shop.example"),
        (json!({"origins": "https://a.example"}), "body", "list of texts"),
        (json!({"retention_days": 2}), "setting", "at least 3"),
        (json!({"session_timeout_minutes": 0}), "setting", "1 to 1440"),
        (json!({"rate_limit_per_minute": -1}), "setting", "0 for no limit"),
        (json!({"quota_per_month": "many"}), "body", "whole number"),
        (json!({"name": "\n"}), "setting", "in one line"),
        (json!({"keep_addresses": 1}), "body", "true or false"),
        (json!([]), "body", "no JSON object"),
    ] {
        let response = world.own("PATCH", "", change.clone()).await;
        assert_eq!(refused(&response), (400, kind), "{change}");
        let text = format!("{} {}", response.body["detail"], response.body["hint"]);
        assert!(text.contains(says), "{change}: {text}");
    }
    assert_eq!(world.version().await, version + 2, "what was refused changed nothing");
}

async fn write_keys(store: Store) {
    let world = world(store).await;
    let created = world.own("POST", "/write-keys", json!({"name": "app"})).await;
    assert_eq!((created.status, &created.body["name"]), (201, &json!("app")));
    let key = created.body["key"].as_str().unwrap().to_owned();
    assert!(world.store.write_key(&key).await.unwrap().is_some());
    assert_eq!(world.own("POST", "/write-keys", Value::Null).await.status, 201, "a name is not needed");
    let version = world.version().await;
    assert_eq!(world.own("DELETE", &format!("/write-keys/{key}"), Value::Null).await.status, 204);
    assert!(world.store.write_key(&key).await.unwrap().is_none(), "a revoked key is unknown at once");
    assert_eq!(world.version().await, version + 1);
    let again = world.own("DELETE", &format!("/write-keys/{key}"), Value::Null).await;
    assert_eq!(refused(&again), (404, "not-found"));
    let others = world.own("DELETE", "/write-keys/wk_1123456789abcdefghijklmn", Value::Null).await;
    assert_eq!(refused(&others), (404, "not-found"), "another project's key is not this one's to revoke");
    let listed = world.ask(READER, "GET", &format!("/projects/{}/write-keys", world.id), Value::Null).await;
    let keys = listed.body["write_keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 3);
    let revoked: Vec<&Value> = keys.iter().filter(|key| !key["revoked_at"].is_null()).collect();
    assert_eq!((revoked.len(), &revoked[0]["key"]), (1, &json!(key)));
}

async fn origins(store: Store) {
    let world = world(store).await;
    let list = || async { world.own("GET", "/origins", Value::Null).await.body["origins"].clone() };
    assert_eq!(list().await, json!([]));
    let added = world.own("POST", "/origins", json!({"origin": "HTTPS://Shop.example/"})).await;
    assert_eq!((added.status, &added.body), (201, &json!({"origins": ["https://shop.example"]})));
    let published = world.published();
    assert_eq!(world.own("POST", "/origins", json!({"origin": "https://shop.example"})).await.status, 200);
    assert_eq!(world.published(), published);
    let last = world.own("DELETE", "/origins/https%3A%2F%2Fshop.example", Value::Null).await;
    assert_eq!(refused(&last), (400, "setting"), "without any, every page might send");
    let replaced = json!({"origins": ["https://a.example", "http://localhost:3000"]});
    let replaced = world.own("PUT", "/origins", replaced).await;
    assert_eq!(replaced.body, json!({"origins": ["http://localhost:3000", "https://a.example"]}));
    assert_eq!(world.own("DELETE", "/origins/https%3A%2F%2Fa.example", Value::Null).await.status, 204);
    let absent = world.own("DELETE", "/origins/https%3A%2F%2Fb.example", Value::Null).await;
    assert_eq!(refused(&absent), (404, "not-found"));
    assert_eq!(list().await, json!(["http://localhost:3000"]));
    let star = world.own("POST", "/origins", json!({"origin": "*"})).await;
    assert_eq!(refused(&star), (400, "setting"));
    assert_eq!(world.own("PUT", "/origins", json!({"origins": ["*"]})).await.body, json!({"origins": []}));
    let bad = world.own("POST", "/origins", json!({"origin": "https://shop.example/path"})).await;
    assert_eq!(refused(&bad), (400, "setting"));
    assert_eq!(refused(&world.own("PUT", "/origins", json!({})).await), (400, "body"));
}

async fn event_sources(store: Store) {
    let world = world(store).await;
    let off = world.own("PUT", "/event-sources/the%20app", json!({"is_on": false})).await;
    assert_eq!((off.status, &off.body["name"], &off.body["is_on"]), (200, &json!("the app"), &json!(false)));
    let settings = world.store.write_key("wk_0123456789abcdefghijklmn").await.unwrap().unwrap();
    assert_eq!(settings.event_sources_off, ["the app"]);
    let published = world.published();
    world.own("PUT", "/event-sources/the%20app", json!({"is_on": false})).await;
    assert_eq!(world.published(), published, "it was off already");
    world.own("PUT", "/event-sources/the%20app", json!({"is_on": true})).await;
    assert_eq!(world.published(), published + 1);
    let listed = world.own("GET", "/event-sources", Value::Null).await;
    assert_eq!(listed.body["event_sources"][0]["is_on"], true);
    assert_eq!(refused(&world.own("PUT", "/event-sources/app", json!({})).await), (400, "body"));
    let unknown = world.own("PUT", "/event-sources/app", json!({"ison": true})).await;
    assert!(unknown.body["hint"].as_str().unwrap().starts_with("did you mean is_on?"));
}

async fn shields(store: Store) {
    let world = world(store).await;
    let shield = json!({"kind": "address", "pattern": "203.0.113.0/24"});
    let added = world.own("POST", "/shields", shield.clone()).await;
    assert_eq!((added.status, &added.body["pattern"]), (201, &json!("203.0.113.0/24")));
    let again = world.own("POST", "/shields", shield).await;
    assert_eq!((again.status, &again.body), (200, &added.body), "one shield is not there twice");
    let id = added.body["id"].as_str().unwrap();
    let elsewhere = format!("/projects/{}/shields/{id}", world.other);
    assert_eq!(refused(&world.ask(OTHER, "DELETE", &elsewhere, Value::Null).await), (404, "not-found"));
    assert_eq!(world.own("GET", "/shields", Value::Null).await.body["shields"], json!([added.body]));
    assert_eq!(world.own("DELETE", &format!("/shields/{id}"), Value::Null).await.status, 204);
    let absent = world.own("DELETE", "/shields/not-an-id", Value::Null).await;
    assert_eq!(refused(&absent), (404, "not-found"));
    for shield in [
        json!({"kind": "address", "pattern": "203.0.113"}),
        json!({"kind": "country", "pattern": "DE"}),
        json!({"kind": "path", "pattern": "admin"}),
    ] {
        let response = world.own("POST", "/shields", shield).await;
        assert_eq!(refused(&response), (400, "setting"));
        assert!(response.body["detail"].as_str().unwrap().contains("write"), "{}", response.body);
    }
}

async fn properties(store: Store) {
    let world = world(store).await;
    let property = json!({"event": "feature_used", "property": "feature_name"});
    let declared = world.own("POST", "/properties", property.clone()).await;
    assert_eq!(declared.status, 201);
    assert_eq!(
        declared.body,
        json!({"event": "feature_used", "property": "feature_name", "kind": "text", "declared_at": "2026-03-30T09:30:00Z"})
    );
    assert_eq!(world.own("POST", "/properties", property.clone()).await.status, 200);
    let mut as_number = property;
    as_number["kind"] = json!("number");
    assert_eq!(refused(&world.own("POST", "/properties", as_number.clone()).await), (400, "setting"));
    as_number["kind"] = json!("date");
    assert_eq!(refused(&world.own("POST", "/properties", as_number).await), (400, "setting"));
    let listed = world.own("GET", "/properties", Value::Null).await;
    assert_eq!(listed.body["properties"], json!([declared.body]));
    let path = "/properties/feature_used/feature_name";
    assert_eq!(world.own("DELETE", path, Value::Null).await.status, 204);
    assert_eq!(refused(&world.own("DELETE", path, Value::Null).await), (404, "not-found"));
}

async fn tokens(store: Store) {
    let world = world(store).await;
    let made =
        world.ask(OWN, "POST", "/tokens", json!({"name": "ci", "project": world.id, "role": "admin"})).await;
    assert_eq!((made.status, &made.body["role"]), (201, &json!("admin")), "{}", made.body);
    let secret = made.body["token"].as_str().unwrap().to_owned();
    let renamed =
        world.ask(&secret, "PATCH", &format!("/projects/{}", world.id), json!({"name": "By ci"})).await;
    assert_eq!((renamed.status, &renamed.body["name"]), (200, &json!("By ci")));

    let listed = world.ask(ALL, "GET", "/tokens", Value::Null).await;
    assert_eq!(listed.body["tokens"].as_array().unwrap().len(), 5);
    let text = listed.body.to_string();
    assert!(!text.contains("sk_"), "no list shows a secret: {text}");
    let own = world.ask(OWN, "GET", "/tokens", Value::Null).await;
    let is_own = |token: &Value| token["project"] == json!(world.id.to_string());
    assert_eq!(own.body["tokens"].as_array().unwrap().iter().filter(|token| is_own(token)).count(), 3);
    assert_eq!(own.body["tokens"].as_array().unwrap().len(), 3, "a project's admin sees the project's alone");

    let ci = format!("/tokens/{}", made.body["id"].as_str().unwrap());
    assert_eq!(refused(&world.ask(OTHER, "DELETE", &ci, Value::Null).await), (404, "not-found"));
    assert_eq!(world.ask(OWN, "DELETE", &ci, Value::Null).await.status, 204);
    assert_eq!(refused(&world.ask(OWN, "DELETE", &ci, Value::Null).await), (404, "not-found"));
    assert_eq!(refused(&world.ask(&secret, "GET", "/tokens", Value::Null).await), (401, "token"));

    let everywhere = json!({"name": "everywhere", "role": "admin"});
    assert_eq!(refused(&world.ask(OWN, "POST", "/tokens", everywhere.clone()).await), (403, "project"));
    assert_eq!(world.ask(ALL, "POST", "/tokens", everywhere).await.status, 201);
    let elsewhere = json!({"name": "x", "project": world.other.to_string()});
    assert_eq!(refused(&world.ask(OWN, "POST", "/tokens", elsewhere).await), (403, "project"));
    let nowhere = json!({"name": "x", "project": 99});
    assert_eq!(refused(&world.ask(ALL, "POST", "/tokens", nowhere).await), (404, "no-project"));
    let owner = json!({"name": "x", "role": "owner"});
    assert_eq!(refused(&world.ask(ALL, "POST", "/tokens", owner).await), (400, "setting"));
    assert_eq!(refused(&world.ask(READER, "GET", "/tokens", Value::Null).await), (403, "role"));
}

/// Every path and method that changes something of a project.
fn changing() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("PATCH", "", json!({"name": "x"})),
        ("POST", "/write-keys", Value::Null),
        ("DELETE", "/write-keys/wk_0123456789abcdefghijklmn", Value::Null),
        ("PUT", "/origins", json!({"origins": []})),
        ("POST", "/origins", json!({"origin": "https://a.example"})),
        ("DELETE", "/origins/x", Value::Null),
        ("PUT", "/event-sources/app", json!({"is_on": false})),
        ("POST", "/shields", json!({"kind": "path", "pattern": "/x"})),
        ("DELETE", "/shields/x", Value::Null),
        ("POST", "/properties", json!({"event": "e", "property": "p"})),
        ("DELETE", "/properties/e/p", Value::Null),
    ]
}

async fn refusals(store: Store) {
    let world = world(store).await;
    let version = world.version().await;
    let path = |rest: &str| format!("/projects/{}{rest}", world.id);
    for (method, rest, body) in changing() {
        let ask = |token, path: String| {
            let (world, body) = (&world, body.clone());
            async move { world.ask(token, method, &path, body).await }
        };
        assert_eq!(refused(&ask(READER, path(rest)).await), (403, "role"), "{method} {rest}");
        assert_eq!(refused(&ask(OTHER, path(rest)).await), (403, "project"), "{method} {rest}");
        assert_eq!(refused(&ask("sk_unknown", path(rest)).await), (401, "token"), "{method} {rest}");
        assert_eq!(
            refused(&ask(ALL, format!("/projects/99{rest}")).await),
            (404, "no-project"),
            "{method} {rest}"
        );
        assert_eq!(
            refused(&ask(ALL, format!("/projects/shop{rest}")).await),
            (404, "no-project"),
            "{method} {rest}"
        );
    }
    for rest in ["", "/write-keys", "/origins", "/event-sources", "/shields", "/properties"] {
        assert_eq!(world.ask(READER, "GET", &path(rest), Value::Null).await.status, 200, "{rest}");
        let others = world.ask(OTHER, "GET", &path(rest), Value::Null).await;
        assert_eq!(refused(&others), (403, "project"), "{rest}");
        let wrong = world.own("TRACE", rest, Value::Null).await;
        assert_eq!(refused(&wrong), (405, "method"), "{rest}");
        assert!(wrong.head.contains("allow: get"), "{}", wrong.head);
    }
    let create = json!({"name": "x"});
    assert_eq!(refused(&world.ask(READER, "POST", "/projects", create.clone()).await), (403, "role"));
    assert_eq!(refused(&world.ask(OWN, "POST", "/projects", create).await), (403, "project"));
    assert_eq!(refused(&world.ask(ALL, "POST", "/projects", json!({})).await), (400, "body"));
    let large = json!({"name": "x".repeat(70_000)});
    assert_eq!(refused(&world.own("PATCH", "", large).await), (400, "body"));
    let unread = world.api.send("PATCH", &format!("/api/v1{}", path("")), None, "{}").await;
    assert_eq!(refused(&unread), (401, "token"));
    assert_eq!((world.version().await, world.published()), (version, 0), "nothing of this changed anything");
}

macro_rules! on_both {
    ($($test:ident: $sqlite:ident, $postgres:ident;)*) => {
        $(
            #[tokio::test]
            async fn $sqlite() {
                with_store(On::Sqlite, concat!("manage_", stringify!($test)), $test).await;
            }

            #[tokio::test]
            async fn $postgres() {
                with_store(On::Postgres, concat!("manage_", stringify!($test)), $test).await;
            }
        )*
    };
}

on_both! {
    projects: projects_are_created_and_shown_on_sqlite, projects_are_created_and_shown_on_postgres;
    changes: settings_change_and_say_what_is_wrong_on_sqlite, settings_change_and_say_what_is_wrong_on_postgres;
    write_keys: write_keys_rotate_on_sqlite, write_keys_rotate_on_postgres;
    origins: origins_change_one_by_one_on_sqlite, origins_change_one_by_one_on_postgres;
    event_sources: event_sources_switch_on_sqlite, event_sources_switch_on_postgres;
    shields: shields_come_and_go_on_sqlite, shields_come_and_go_on_postgres;
    properties: properties_are_declared_on_sqlite, properties_are_declared_on_postgres;
    tokens: tokens_manage_what_is_theirs_on_sqlite, tokens_manage_what_is_theirs_on_postgres;
    refusals: who_may_not_is_refused_on_sqlite, who_may_not_is_refused_on_postgres;
}
