//! What somebody who wrote an unknown name may have meant.

/// Changed letters up to which a name counts as meant.
const DISTANCE_MAX: usize = 3;

/// A sentence with the known names, and first of all the nearest if one is near.
pub(crate) fn known_names<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let known = format!("known are {}", names.join(", "));
    match nearest(written, &names) {
        Some(name) => format!("did you mean {name}? {known}"),
        None => known,
    }
}

fn nearest<'n>(written: &str, names: &[&'n str]) -> Option<&'n str> {
    let written = written.to_ascii_lowercase();
    let apart = |name: &str| {
        let bare = name.split_once(':').map_or(name, |(_, bare)| bare);
        let written_bare = written.split_once(':').map_or(&written[..], |(_, bare)| bare);
        distance(&written, name).min(distance(written_bare, bare))
    };
    let (distance, name) = names.iter().map(|name| (apart(name), *name)).min()?;
    (distance <= DISTANCE_MAX && distance < written.len()).then_some(name)
}

/// Letters to add, remove or change to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // A name that is much longer than all known ones is near to none.
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_or_unqualified_name_finds_its_like() {
        let names = ["event:page", "visit:source", "visit:entry_page"];
        assert_eq!(nearest("event:pages", &names), Some("event:page"));
        assert_eq!(nearest("source", &names), Some("visit:source"));
        assert_eq!(nearest("event:source", &names), Some("visit:source"));
        assert_eq!(nearest("visit:referrer", &names), None);
    }
}
