//! Puts the tracker and the demo shop into the binary. A binary built before the tracker was (`cargo build` in a
//! fresh clone) works without them and says so where they are asked for.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from("..");
    let mut out = String::new();
    embed(&mut out, "TRACKER", &root.join("npm/dist/script"));
    embed(&mut out, "SHOP", &root.join("examples/shop"));
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script by environment")]
    let target = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&target).join("embedded.rs"), out).expect("OUT_DIR can be written");
}

fn embed(out: &mut String, name: &str, directory: &Path) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|file| file.is_file());
    files.sort();
    writeln!(out, "pub(crate) static {name}: &[(&str, &[u8])] = &[").expect("a String takes all");
    for file in files {
        let file_name = file.file_name().and_then(|name| name.to_str()).expect("our files have plain names");
        let path = fs::canonicalize(&file).expect("the file was just listed");
        println!("cargo::rerun-if-changed={}", file.display());
        writeln!(out, "    ({file_name:?}, include_bytes!({path:?})),").expect("a String takes all");
    }
    out.push_str("];\n");
}
