//! The allowed arrows between crates: what a crate may use says what it can know.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The table of DESIGN §1. Dev-dependencies are exempt: a test may stand on anything.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("protocol", &[]),
    ("sdk", &["protocol"]),
    ("redis-link", &[]),
    ("registry", &["redis-link", "protocol"]),
    ("queue", &["redis-link", "protocol"]),
    ("store", &["protocol"]),
    ("collector", &["queue", "registry", "protocol"]),
    ("processor", &["queue", "registry", "store", "protocol"]),
    ("query", &["store", "protocol"]),
    ("server", &["collector", "processor", "protocol", "query", "queue", "redis-link", "registry", "store"]),
];

/// No part of the product.
const EXEMPT: [&str; 2] = ["tests", "xtask"];

/// What only some crates may reach for: SQL is written in the store, Redis is spoken to behind traits, HTTP at the edges.
const OUTSIDE: [(&str, &[&str]); 3] = [
    ("sqlx", &["store"]),
    ("redis", &["queue", "redis-link", "registry"]),
    ("axum", &["collector", "query", "server"]),
];

/// Names of what each crate of the workspace is built with, by the crate's folder.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let arrows = packages.iter().map(|package| {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let folder = std::path::Path::new(manifest).parent().and_then(|folder| folder.file_name());
        let folder = folder.expect("a folder").to_string_lossy().into_owned();
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let built_with = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
        let names = built_with.map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
        (folder, names.collect())
    });
    arrows.collect()
}

#[test]
fn crates_use_only_what_they_may() {
    for (folder, uses) in arrows() {
        if EXEMPT.contains(&folder.as_str()) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(name, _)| *name == folder);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{folder}/ stands in no table: DESIGN §1, and this test"));
        for used in uses.iter().filter_map(|name| name.strip_prefix("tallymark-")) {
            assert!(allowed.contains(&used), "{folder}/ must not use {used}/");
        }
    }
}

#[test]
fn what_reaches_outside_stays_where_it_belongs() {
    for (folder, uses) in arrows() {
        for (dependency, allowed) in OUTSIDE {
            let may = allowed.contains(&folder.as_str()) || EXEMPT.contains(&folder.as_str());
            assert!(may || !uses.contains(dependency), "{folder}/ must not use {dependency}");
        }
    }
}
