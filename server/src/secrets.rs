//! Random ids, keys and secrets.

use tallymark_protocol::WriteKey;
use uuid::Uuid;

/// What every secret token starts with.
pub(crate) const TOKEN_PREFIX: &str = "sk_";
/// Characters of a key behind its prefix: 32 of 62 are 190 bits.
const KEY_CHARACTERS: usize = 32;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new write key.
pub(crate) fn write_key() -> anyhow::Result<String> {
    Ok(format!("{}{}", WriteKey::PREFIX, characters()?))
}

/// A new secret token.
pub(crate) fn token() -> anyhow::Result<String> {
    Ok(format!("{TOKEN_PREFIX}{}", characters()?))
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

/// A random id.
pub(crate) fn id() -> anyhow::Result<Uuid> {
    Ok(uuid::Builder::from_random_bytes(bytes()?).into_uuid())
}

fn characters() -> anyhow::Result<String> {
    let mut text = String::with_capacity(KEY_CHARACTERS);
    while text.len() < KEY_CHARACTERS {
        // 248 is the largest multiple of 62 in a byte: what lies above would favour the first characters.
        let usable = bytes::<64>()?.into_iter().filter(|byte| *byte < 248);
        let wanted = KEY_CHARACTERS - text.len();
        text.extend(usable.take(wanted).map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        let key = write_key().unwrap();
        assert!(WriteKey::parse(&key).is_some(), "{key}");
        assert_ne!(key, write_key().unwrap());
        assert!(token().unwrap().starts_with(TOKEN_PREFIX));
    }
}
