//! What is known about projects, kept over a restart: a process that starts while what it copies from is away knows
//! its projects at once.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tallymark_protocol::settings::ProjectSettings;

use crate::disk::{Previous, PrivateFile};

/// Projects by write key.
pub(crate) type Projects = HashMap<String, Arc<ProjectSettings>>;

/// A snapshot in the data directory. It is of the store that this process worked for last; where it works for another
/// now, the first answer of that one replaces it.
pub(crate) struct KeptSnapshot {
    file: PrivateFile,
}

#[derive(Serialize)]
struct Written<'a> {
    version: Option<&'a str>,
    projects: BTreeMap<&'a str, &'a ProjectSettings>,
}

#[derive(Deserialize)]
struct Read {
    version: Option<String>,
    projects: HashMap<String, ProjectSettings>,
}

impl KeptSnapshot {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { file: PrivateFile::new(path, "projects") }
    }

    /// What was kept, with its version; nothing where there is no file, or one that cannot be read.
    pub(crate) fn read(&self) -> Option<(Option<String>, Projects)> {
        let read = self
            .file
            .read()
            .and_then(|body| Ok(body.map(|body| serde_json::from_slice::<Read>(&body)).transpose()?));
        match read {
            Ok(kept) => kept.map(|kept| {
                let projects = kept.projects.into_iter().map(|(key, project)| (key, Arc::new(project)));
                (kept.version, projects.collect())
            }),
            Err(error) => {
                tracing::warn!(
                    %error,
                    file = %self.file.path().display(),
                    "the kept copy of projects' settings cannot be read; going on without it"
                );
                None
            }
        }
    }

    /// Replaces what is kept. Blocks until it is on the disk.
    pub(crate) fn write(&self, version: Option<&str>, projects: &Projects) -> io::Result<()> {
        let projects = projects.iter().map(|(key, project)| (key.as_str(), &**project)).collect();
        let body = serde_json::to_vec(&Written { version, projects })?;
        self.file.replace(&body, Previous::Left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_what_was_damaged_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registry");
        let kept = KeptSnapshot::new(path.clone());
        assert!(kept.read().is_none());
        let projects = Projects::from([("wk_1".to_owned(), Arc::new(ProjectSettings::new(7, 3)))]);
        kept.write(Some("store/5"), &projects).unwrap();
        assert_eq!(kept.read(), Some((Some("store/5".to_owned()), projects)));
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() = b' ';
        std::fs::write(&path, bytes).unwrap();
        assert!(kept.read().is_none());
    }
}
