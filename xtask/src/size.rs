//! What the tracker costs a page.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::{root, tracker};

/// Brotli bytes of everything that a page loads, by default and in all.
const TOTAL_BYTES_MAX: u64 = 16 * 1024;

/// Brotli bytes of what a page loads before the core.
const LOADER_BYTES_MAX: u64 = 2 * 1024;

/// The file that a page loads first.
const LOADER: &str = "t.js";

struct Sizes {
    name: String,
    raw: u64,
    gzip: u64,
    brotli: u64,
}

/// Builds the tracker, prints a table of its sizes, and fails past the budget.
///
/// # Errors
/// When the tracker cannot be built or read.
pub(crate) fn show() -> anyhow::Result<ExitCode> {
    tracker::build()?;
    let files = read(&root()?.join("npm/dist/script"))?;
    ensure!(files.iter().any(|file| file.name == LOADER), "npm/dist/script/ has no {LOADER}");
    println!("{:<24} {:>8} {:>8} {:>8}", "bytes", "raw", "gzip", "brotli");
    let mut total = Sizes { name: "total".to_owned(), raw: 0, gzip: 0, brotli: 0 };
    for file in &files {
        print_line(file);
        total.raw += file.raw;
        total.gzip += file.gzip;
        total.brotli += file.brotli;
    }
    print_line(&total);
    let loader: u64 = files.iter().filter(|file| file.name == LOADER).map(|file| file.brotli).sum();
    let fits = within("all files", total.brotli, TOTAL_BYTES_MAX) & within(LOADER, loader, LOADER_BYTES_MAX);
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_line(sizes: &Sizes) {
    println!("{:<24} {:>8} {:>8} {:>8}", sizes.name, sizes.raw, sizes.gzip, sizes.brotli);
}

fn within(name: &str, bytes: u64, bytes_max: u64) -> bool {
    let fits = bytes <= bytes_max;
    println!("{name}: {bytes} of {bytes_max} bytes brotli{}", if fits { "" } else { ": OVER BUDGET" });
    fits
}

fn read(folder: &Path) -> anyhow::Result<Vec<Sizes>> {
    let bytes = |name: &str| -> anyhow::Result<u64> {
        let path = folder.join(name);
        Ok(fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len())
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".br") || name.ends_with(".gz") {
            continue;
        }
        let (raw, gzip, brotli) =
            (bytes(&name)?, bytes(&format!("{name}.gz"))?, bytes(&format!("{name}.br"))?);
        files.push(Sizes { name, raw, gzip, brotli });
    }
    files.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(files)
}
