//! Where a request came from: country, region, city, as far as somebody knows them.
//!
//! The first that names a country is believed, for all three: a MaxMind-format file that the operator gives, by the
//! sender's address; the headers of a content delivery network, passed on by a trusted proxy; the time zone that the
//! browser says. Where none does, the place is unknown, and is counted as that: it is never guessed.

mod cdn;
mod file;
mod zone;

use std::path::Path;

use tallymark_protocol::{Context, Place};

use crate::sender::Sender;
use file::PlaceFile;

pub use file::PlaceFileError;

/// What knows the places of addresses.
#[derive(Default)]
pub struct Places {
    file: Option<PlaceFile>,
}

impl Places {
    /// Places by a MaxMind-format file. It is read again when it changes, for as long as this lives.
    ///
    /// # Errors
    /// [`PlaceFileError`] where there is no such file, or it is of another kind.
    pub async fn by_file(path: &Path) -> Result<Self, PlaceFileError> {
        Ok(Self { file: Some(PlaceFile::open(path).await?) })
    }

    /// The place of a request.
    pub(crate) fn of(&self, sender: &Sender<'_>, context: &Context) -> Place {
        let by_file = || self.file.as_ref()?.place(sender.address?);
        let by_network = || cdn::place(sender.proxy_headers?);
        let by_zone = || {
            let country = zone::country(context.timezone.as_deref()?)?;
            Some(Place { country: Some(country.to_owned()), ..Place::default() })
        };
        by_file().or_else(by_network).or_else(by_zone).unwrap_or_default()
    }
}

/// A country's code in capitals, if it is one.
fn country(code: &str) -> Option<String> {
    let code = code.trim().to_ascii_uppercase();
    zone::is_country(&code).then_some(code)
}

/// A region as ISO 3166-2 has it, of its code within `country` or with it.
fn region(country: &str, code: &str) -> Option<String> {
    let code = code.trim().to_ascii_uppercase();
    let own = code.strip_prefix(country).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&code);
    let is_code = (1..=3).contains(&own.len()) && own.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| format!("{country}-{own}"))
}

#[cfg(test)]
mod mmdb;
#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
