//! The shared registry, on a real Redis, under a prefix of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_registry::{
    LinkConfig, POLL_EVERY, Published, RedisConfig, RedisRegistry, Registry, RegistryError, UNKNOWN_FOR,
    Version,
};
use uuid::Uuid;

const KEY: &str = "wk_0123456789abcdefghijklmn";
const OTHER: &str = "wk_nmlkjihgfedcba9876543210";

struct Place {
    url: String,
    prefix: String,
}

impl Place {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
    fn new() -> Self {
        let url = std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
            "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
        );
        Self { url, prefix: format!("tallymark-test:{:016x}:", getrandom::u64().unwrap()) }
    }

    fn registry(&self) -> RedisRegistry {
        RedisRegistry::new(self.config(), None).unwrap()
    }

    fn config(&self) -> RedisConfig {
        RedisConfig { link: LinkConfig::new(&self.url), prefix: self.prefix.clone() }
    }
}

fn project(project_id: i32, version: i64) -> ProjectSettings {
    ProjectSettings::new(project_id, version)
}

async fn ask(registry: &RedisRegistry, key: &str) -> Result<Option<ProjectSettings>, RegistryError> {
    let project = registry.project_by_write_key(WriteKey::parse(key).unwrap()).await?;
    Ok(project.map(|project| (*project).clone()))
}

/// Asks until the answer is `want`, for as long as a change may take.
async fn ask_until(registry: &RedisRegistry, key: &str, want: Option<ProjectSettings>) {
    let within = Duration::from_secs(5);
    let asked = tokio::time::timeout(within, async {
        while ask(registry, key).await.unwrap() != want {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    asked.await.expect("a change takes effect within five seconds");
}

fn version(number: i64) -> Version {
    Version { store: Uuid::from_u128(1), number }
}

#[tokio::test]
async fn before_anybody_published_no_key_is_unknown() {
    let registry = Place::new().registry();
    assert!(matches!(ask(&registry, KEY).await, Err(RegistryError::NotPublished)));
    assert_eq!(registry.published_version().await.unwrap(), None);
}

#[tokio::test]
async fn what_was_published_is_known_at_once_and_the_rest_is_unknown() {
    let place = Place::new();
    let publisher = place.registry();
    let collector = place.registry();
    assert_eq!(
        publisher.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap(),
        Published::Replaced
    );
    assert_eq!(ask(&collector, KEY).await.unwrap(), Some(project(7, 1)), "looked up, not waited for");
    assert_eq!(ask(&collector, OTHER).await.unwrap(), None);
    assert_eq!(publisher.published_version().await.unwrap(), Some(version(1)));
}

#[tokio::test]
async fn a_changed_and_a_removed_project_reach_collectors() {
    let place = Place::new();
    let (publisher, collector) = (place.registry(), place.registry());
    let both = [(KEY.to_owned(), project(7, 1)), (OTHER.to_owned(), project(8, 1))];
    publisher.publish(&both, &version(1)).await.unwrap();
    ask_until(&collector, KEY, Some(project(7, 1))).await;
    ask_until(&collector, OTHER, Some(project(8, 1))).await;
    publisher.publish(&[(KEY.to_owned(), project(7, 2))], &version(2)).await.unwrap();
    ask_until(&collector, KEY, Some(project(7, 2))).await;
    ask_until(&collector, OTHER, None).await;
}

#[tokio::test]
async fn an_older_snapshot_never_replaces_a_later_one() {
    let place = Place::new();
    let registry = place.registry();
    registry.publish(&[(KEY.to_owned(), project(7, 5))], &version(5)).await.unwrap();
    let outdated = registry.publish(&[(KEY.to_owned(), project(7, 4))], &version(4)).await.unwrap();
    assert_eq!(outdated, Published::Outdated { current: 5 });
    assert_eq!(ask(&registry, KEY).await.unwrap(), Some(project(7, 5)));
    assert_eq!(
        registry.publish(&[(KEY.to_owned(), project(7, 5))], &version(5)).await.unwrap(),
        Published::Replaced
    );
}

#[tokio::test]
async fn a_redis_that_lost_its_memory_leaves_known_keys_and_makes_others_an_error() {
    let place = Place::new();
    let registry = place.registry();
    registry.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap();
    ask_until(&registry, KEY, Some(project(7, 1))).await;
    let client = redis::Client::open(place.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys = ["projects", "version"].map(|key| format!("{}{{registry}}:{key}", place.prefix));
    let _: () = redis::cmd("DEL").arg(&keys).query_async(&mut connection).await.unwrap();
    tokio::time::sleep(POLL_EVERY * 2).await;
    assert_eq!(ask(&registry, KEY).await.unwrap(), Some(project(7, 1)));
    assert!(matches!(ask(&registry, OTHER).await, Err(RegistryError::NotPublished)));
    registry.close().await;
}

#[tokio::test]
async fn a_redis_that_is_away_is_an_error_and_not_an_unknown_key() {
    let port_of_nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = LinkConfig::new(format!("redis://{port_of_nobody}/"));
    let registry =
        RedisRegistry::new(RedisConfig { link, prefix: "tallymark-test:".to_owned() }, None).unwrap();
    assert!(matches!(ask(&registry, KEY).await, Err(RegistryError::Unavailable(_))));
}

#[tokio::test]
async fn another_store_replaces_what_is_there_whatever_its_number() {
    let registry = Place::new().registry();
    registry.publish(&[(KEY.to_owned(), project(7, 5))], &version(5)).await.unwrap();
    let other = Version { store: Uuid::from_u128(2), number: 1 };
    assert_eq!(registry.publish(&[], &other).await.unwrap(), Published::Replaced);
    assert_eq!(registry.published_version().await.unwrap(), Some(other));
    ask_until(&registry, KEY, None).await;
}
