//! `localStorage`, which may be missing, full or throwing: then the tracker goes on in memory.

use alloc::string::String;
use alloc::vec::Vec;

use web_sys::{Storage, Window};

use crate::core::Change;

/// The tracker's part of `localStorage`: every key starts with the write key's prefix, so that another
/// project's tracker on the same origin never sends what is not its own.
pub(super) struct Shelf {
    storage: Option<Storage>,
    prefix: String,
}

impl Shelf {
    /// Opens the shelf; `None` of storage where the visitor wants nothing kept, or the browser refuses.
    pub(super) fn open(window: &Window, prefix: String, private: bool) -> Self {
        let storage = if private { None } else { window.local_storage().ok().flatten() };
        Self { storage, prefix }
    }

    fn key(&self, name: &str) -> String {
        let mut key = self.prefix.clone();
        key.push_str(name);
        key
    }

    /// The value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.storage.as_ref()?.get_item(&self.key(name)).ok()?
    }

    /// Writes `name`; a value that cannot be written is only not there for the next page load.
    pub(super) fn set(&self, name: &str, value: &str) {
        if let Some(storage) = &self.storage {
            let _ = storage.set_item(&self.key(name), value);
        }
    }

    /// Deletes `name`.
    pub(super) fn remove(&self, name: &str) {
        if let Some(storage) = &self.storage {
            let _ = storage.remove_item(&self.key(name));
        }
    }

    /// Does what the core decided. A record is deleted only while it is what was acknowledged: its own
    /// tab may have gone on writing to it.
    pub(super) fn apply(&self, change: Change) {
        match change {
            Change::Store(name, text) => self.set(&name, &text),
            Change::Delete(name, text) => {
                if self.get(&name).is_some_and(|stored| stored == text) {
                    self.remove(&name);
                }
            }
        }
    }

    /// The records that earlier page loads, or other tabs, left: what has a name that starts with `prefix`.
    pub(super) fn leavings(&self, prefix: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let Some(storage) = &self.storage else { return found };
        for index in 0..storage.length().unwrap_or(0) {
            let Ok(Some(key)) = storage.key(index) else { continue };
            let name = key.strip_prefix(self.prefix.as_str()).filter(|name| name.starts_with(prefix));
            if let Some((name, text)) = name.and_then(|name| Some((name, self.get(name)?))) {
                found.push((name.into(), text));
            }
        }
        found
    }
}
