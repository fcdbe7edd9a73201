//! The secret that collectors share, and what they seal under it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Salt;

/// Bytes that a secret file holds at least: as many as the key that is made of it.
pub const SECRET_BYTES_MIN: usize = 32;

/// Bytes that a secret file holds at most. A device that never ends is no file.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What a sealed salt begins with: how it is sealed.
const VERSION: u8 = 1;

const NONCE_BYTES: usize = 12;

/// Why a secret file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error(
        "cannot read the secret file {path}; let this process's user read it, or, where collectors have none yet, make one \
         by: head -c 32 /dev/urandom > {path}"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is too short to be secret, or too long to be meant.
    #[error(
        "the secret file {path} holds {bytes} bytes, and has to hold {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}; make one \
         by: head -c 32 /dev/urandom > {path}"
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// How many there are, or one more than there may be.
        bytes: usize,
    },
}

/// What salts are sealed under on their way through Redis.
pub struct Secret {
    cipher: ChaCha20Poly1305,
}

impl Secret {
    /// Reads the secret file at `path`: any bytes, the same for all collectors.
    ///
    /// # Errors
    /// [`SecretError`] says how to make one.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let mut bytes = Zeroizing::new(Vec::new());
        let limit = u64::try_from(SECRET_BYTES_MAX + 1).unwrap_or(u64::MAX);
        File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length { path: path.to_owned(), bytes: bytes.len() });
        }
        Ok(Self::derived_from(&bytes))
    }

    fn derived_from(bytes: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        let derived = Hkdf::<Sha256>::new(None, bytes).expand(b"tallymark daily salts 1", &mut key[..]);
        derived.expect("HKDF gives up to 8,160 bytes");
        Self { cipher: ChaCha20Poly1305::new((&*key).into()) }
    }

    /// Seals the salt of `day`: under another day it does not open.
    pub(super) fn seal(&self, day: i32, salt: &Salt) -> Result<Vec<u8>, getrandom::Error> {
        let mut sealed = vec![VERSION; 1 + NONCE_BYTES];
        getrandom::fill(&mut sealed[1..])?;
        let nonce = Nonce::try_from(&sealed[1..]).expect("it is as long as a nonce");
        let payload = Payload { msg: &salt.0, aad: &day.to_be_bytes() };
        sealed.extend(self.cipher.encrypt(&nonce, payload).expect("a salt is not too long to be sealed"));
        Ok(sealed)
    }

    /// The salt of `day`; `None` where it was sealed under another secret or for another day, or is damaged.
    pub(super) fn open(&self, day: i32, sealed: &[u8]) -> Option<Salt> {
        let (nonce, msg) = sealed.strip_prefix(&[VERSION])?.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg, aad: &day.to_be_bytes() };
        let opened = Zeroizing::new(self.cipher.decrypt(&Nonce::try_from(nonce).ok()?, payload).ok()?);
        Some(Salt(opened.as_slice().try_into().ok()?))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt([7; 32]);

    #[test]
    fn a_salt_opens_under_its_secret_and_day_alone() {
        let (ours, theirs) = (Secret::derived_from(&[1; 32]), Secret::derived_from(&[2; 32]));
        let sealed = ours.seal(20_412, &SALT).unwrap();
        assert_eq!(ours.open(20_412, &sealed), Some(SALT));
        assert_eq!(ours.open(20_413, &sealed), None);
        assert_eq!(theirs.open(20_412, &sealed), None);
        assert_ne!(sealed, ours.seal(20_412, &SALT).unwrap(), "never the same twice");
        assert!(!sealed.windows(4).any(|bytes| bytes == [7; 4]));
    }

    #[test]
    fn what_was_cut_or_changed_anywhere_does_not_open() {
        let secret = Secret::derived_from(&[1; 32]);
        let sealed = secret.seal(20_412, &SALT).unwrap();
        for at in 0..sealed.len() {
            assert_eq!(secret.open(20_412, &sealed[..at]), None);
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(secret.open(20_412, &changed), None);
        }
    }

    #[test]
    fn a_file_that_is_missing_short_or_endless_is_refused_with_the_way_to_make_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let said = |path: &Path| Secret::read(path).unwrap_err().to_string();
        assert!(said(&path).contains("head -c 32 /dev/urandom"));
        std::fs::write(&path, [1; SECRET_BYTES_MIN - 1]).unwrap();
        assert!(said(&path).contains("31 bytes") && said(&path).contains("head -c 32 /dev/urandom"));
        assert!(said(Path::new("/dev/zero")).contains("has to hold"));
        std::fs::write(&path, [1; SECRET_BYTES_MIN]).unwrap();
        let sealed = Secret::read(&path).unwrap().seal(1, &SALT).unwrap();
        assert_eq!(Secret::derived_from(&[1; 32]).open(1, &sealed), Some(SALT));
    }
}
