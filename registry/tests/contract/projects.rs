//! Projects that collectors share.

use std::path::Path;
use std::time::{Duration, Instant};

use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_registry::{
    LinkConfig, POLL_EVERY, Published, RedisConfig, RedisRegistry, Registry, RegistryError, UNKNOWN_FOR,
    Version,
};
use uuid::Uuid;

use crate::place::{Place, Wire, until};

const KEY: &str = "wk_0123456789abcdefghijklmn";
const OTHER: &str = "wk_nmlkjihgfedcba9876543210";

fn registry(place: &Place) -> RedisRegistry {
    RedisRegistry::new(place.config(), None).unwrap()
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
    let registry = registry(&Place::new());
    assert!(matches!(ask(&registry, KEY).await, Err(RegistryError::NotPublished)));
    assert_eq!(registry.published_version().await.unwrap(), None);
}

#[tokio::test]
async fn what_was_published_is_known_at_once_and_the_rest_is_unknown() {
    let place = Place::new();
    let publisher = registry(&place);
    let collector = registry(&place);
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
    let (publisher, collector) = (registry(&place), registry(&place));
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
    let registry = registry(&place);
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
    let registry = registry(&place);
    registry.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap();
    ask_until(&registry, KEY, Some(project(7, 1))).await;
    let () = place.ask(redis::cmd("DEL").arg(place.key("projects")).arg(place.key("version"))).await;
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
    let registry = registry(&Place::new());
    registry.publish(&[(KEY.to_owned(), project(7, 5))], &version(5)).await.unwrap();
    let other = Version { store: Uuid::from_u128(2), number: 1 };
    assert_eq!(registry.publish(&[], &other).await.unwrap(), Published::Replaced);
    assert_eq!(registry.published_version().await.unwrap(), Some(other));
    ask_until(&registry, KEY, None).await;
}

#[tokio::test]
async fn an_unknown_key_is_looked_up_again_after_two_seconds_and_not_before() {
    let place = Place::new();
    let registry = registry(&place);
    registry.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap();
    ask_until(&registry, KEY, Some(project(7, 1))).await;
    let asked_at = Instant::now();
    assert_eq!(ask(&registry, OTHER).await.unwrap(), None);
    // Without moving the version: only a lookup can find it.
    let settings = serde_json::to_string(&project(8, 1)).unwrap();
    let () = place.ask(redis::cmd("HSET").arg(place.key("projects")).arg(OTHER).arg(settings)).await;
    ask_until(&registry, OTHER, Some(project(8, 1))).await;
    assert!(asked_at.elapsed() >= UNKNOWN_FOR, "made-up keys cost one lookup in this time");
}

fn kept(place: &Place, wire: &Wire, file: &Path) -> RedisRegistry {
    RedisRegistry::new(place.config_over(wire), Some(file.to_owned())).unwrap()
}

#[tokio::test]
async fn who_starts_while_redis_is_away_knows_what_was_known_before() {
    let (place, directory) = (Place::new(), tempfile::tempdir().unwrap());
    let (mut wire, file) = (Wire::to(&place).await, directory.path().join("registry"));
    let before = kept(&place, &wire, &file);
    before.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap();
    until("the snapshot is kept", async || file.exists()).await;
    before.close().await;
    wire.cut().await;
    let after = kept(&place, &wire, &file);
    assert_eq!(ask(&after, KEY).await.unwrap(), Some(project(7, 1)));
    assert!(matches!(ask(&after, OTHER).await, Err(RegistryError::Unavailable(_))), "503, not 401");
    wire.mend().await;
    registry(&place).publish(&[(OTHER.to_owned(), project(8, 2))], &version(2)).await.unwrap();
    until("the new snapshot replaces it", async || ask(&after, KEY).await.is_ok_and(|known| known.is_none()))
        .await;
    assert_eq!(ask(&after, OTHER).await.unwrap(), Some(project(8, 2)));
}

#[tokio::test]
async fn a_damaged_snapshot_on_disk_is_ignored_and_replaced() {
    let (place, directory) = (Place::new(), tempfile::tempdir().unwrap());
    let (mut wire, file) = (Wire::to(&place).await, directory.path().join("registry"));
    std::fs::write(&file, "tallymark projects 1 and nothing more").unwrap();
    let registry = kept(&place, &wire, &file);
    registry.publish(&[(KEY.to_owned(), project(7, 1))], &version(1)).await.unwrap();
    ask_until(&registry, KEY, Some(project(7, 1))).await;
    until("it is replaced", async || std::fs::read(&file).is_ok_and(|bytes| bytes.ends_with(b"}"))).await;
    wire.cut().await;
    assert_eq!(ask(&kept(&place, &wire, &file), KEY).await.unwrap(), Some(project(7, 1)));
}
