//! Who may read: the bearer of a secret token.

use axum::http::{HeaderMap, header};
use tallymark_store::{ApiToken, Store};

use crate::problem::{Kind, Problem};

/// Longer than any token that we make; nothing longer is looked up.
const TOKEN_BYTES_MAX: usize = 256;

const HINT: &str =
    "send `Authorization: Bearer sk_…` with a token that `tallymark token create` or `project create` showed";

/// The token that a request bears, unless it was revoked.
pub(crate) async fn bearer(store: &Store, headers: &HeaderMap) -> Result<ApiToken, Problem> {
    let secret = secret(headers)?;
    let token = store.token(secret).await?.filter(|token| token.revoked_at.is_none());
    token.ok_or_else(|| Problem::new(Kind::Token, "this token is not known, or was revoked").hint(HINT))
}

/// Refuses a token that does not read the project.
pub(crate) fn check(token: &ApiToken, project_id: i32) -> Result<(), Problem> {
    if token.reads(project_id) {
        return Ok(());
    }
    Err(Problem::new(Kind::Project, format!("this token does not read project {project_id}"))
        .hint("use a token of that project"))
}

fn secret(headers: &HeaderMap) -> Result<&str, Problem> {
    let refuse = |detail: &str| Problem::new(Kind::Token, detail).hint(HINT);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(refuse("the request bears no token"));
    };
    let value = value.to_str().map_err(|_| refuse("the Authorization header is not text"))?;
    let secret = match value.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => secret.trim(),
        _ => return Err(refuse("the Authorization header is not `Bearer`, a space, and a token")),
    };
    if secret.starts_with("wk_") {
        return Err(refuse("that is a write key: it sends events and reads nothing"));
    }
    if secret.is_empty() || secret.len() > TOKEN_BYTES_MAX {
        return Err(refuse("that is no token"));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn secret_of(value: &'static str) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        secret(&headers).map(str::to_owned).map_err(|problem| problem.text())
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(secret_of("Bearer sk_1").as_deref(), Ok("sk_1"));
        assert_eq!(secret_of("bearer  sk_1 ").as_deref(), Ok("sk_1"));
        for value in ["sk_1", "Basic sk_1", "Bearer ", "Bearer"] {
            assert!(secret_of(value).is_err(), "{value}");
        }
        assert!(secret_of("Bearer wk_1").unwrap_err().contains("write key"));
        assert!(secret(&HeaderMap::new()).is_err());
    }
}
