//! The public id in a site's snippet.

/// A write key: `wk_` and 24 to 64 letters or digits. It names a project to collectors and opens nothing:
/// anybody who reads the page's source has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteKey<'a>(&'a str);

impl<'a> WriteKey<'a> {
    /// What every write key starts with.
    pub const PREFIX: &'static str = "wk_";

    /// Checks the form; whether a project has this key is the registry's to say.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(Self::PREFIX)?;
        let fits = (24..=64).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(Self(text))
    }

    /// The key as it stands in the snippet.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_form_is_a_key() {
        assert!(WriteKey::parse("wk_0123456789abcdefghijklmn").is_some());
        for wrong in ["", "wk_", "wk_short", "sk_0123456789abcdefghijklmn", "wk_0123456789abcdefghij/../"] {
            assert!(WriteKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
