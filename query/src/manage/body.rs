//! Bodies of changes: JSON objects, field by field, so that what is wrong can be named.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::nearest::known_names;
use crate::problem::{Kind, Problem};

/// A body as it came. Extracted last: who may not change anything need not send it.
pub(crate) struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|error| {
            Problem::new(Kind::Body, error.body_text())
                .hint("send less at once: lists can be changed one by one")
        })
    }
}

/// The fields of a body: all of them known.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Body {
    /// Reads an object with fields of these names. An empty body is an object without fields.
    pub(crate) fn fields(&self, known: &[&str]) -> Result<Fields, Problem> {
        let object = if self.0.is_empty() { Ok(Map::new()) } else { serde_json::from_slice(&self.0) };
        let object: Map<String, Value> = object.map_err(|error| {
            Problem::new(Kind::Body, format!("the body is no JSON object: {error}"))
                .hint(format!("send an object with some of the fields {}", known.join(", ")))
        })?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(Problem::new(Kind::Body, format!("there is no field {unknown:?}"))
                .hint(known_names(unknown, known.iter().copied()))),
            None => Ok(Fields(object)),
        }
    }
}

impl Fields {
    /// A field's text, where it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, value, "text"))
    }

    /// The text of a field that has to be there.
    pub(crate) fn required_text(&self, name: &str) -> Result<&str, Problem> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A field's whole number, where it is there.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| wrong(name, value, "a whole number"))
    }

    /// A field's limit, where it is there: a whole number, or null for none.
    pub(crate) fn limit(&self, name: &str) -> Result<Option<Option<i64>>, Problem> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => match value.as_i64() {
                Some(limit) => Ok(Some(Some(limit))),
                None => Err(wrong(name, value, "a whole number, or null for no limit")),
            },
        }
    }

    /// Whether a field says so, where it is there.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, value, "true or false"))
    }

    /// What a field that has to be there says.
    pub(crate) fn required_flag(&self, name: &str) -> Result<bool, Problem> {
        self.flag(name)?.ok_or_else(|| missing(name))
    }

    /// A field's texts, where it is there.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Problem> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|values| values.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| wrong(name, value, "a list of texts"))
    }

    /// A project's id, as text or number, where it is there and not null.
    pub(crate) fn project_id(&self, name: &str) -> Result<Option<i32>, Problem> {
        let id = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_i64().and_then(|id| i32::try_from(id).ok()),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        id.map(Some).ok_or_else(|| wrong(name, &self.0[name], "a project's id, or null for every project"))
    }
}

fn wrong(name: &str, value: &Value, wanted: &str) -> Problem {
    Problem::new(Kind::Body, format!("{name} cannot be {value}")).hint(format!("write {wanted}"))
}

pub(crate) fn missing(name: &str) -> Problem {
    Problem::new(Kind::Body, format!("{name} is missing")).hint("the body needs it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &'static str, known: &[&str]) -> Result<Fields, String> {
        Body(Bytes::from_static(body.as_bytes())).fields(known).map_err(|problem| problem.text())
    }

    #[test]
    fn an_unknown_field_names_the_nearest_known() {
        let text = fields(r#"{"timezon": "UTC"}"#, &["name", "timezone"]).unwrap_err();
        assert!(text.contains("\"timezon\"") && text.contains("did you mean timezone?"), "{text}");
        assert!(fields("[]", &["name"]).unwrap_err().contains("no JSON object"));
        assert!(fields("", &["name"]).is_ok());
    }

    #[test]
    fn a_field_of_the_wrong_type_says_what_to_write() {
        let fields =
            fields(r#"{"a": 1, "b": "x", "c": null, "d": 1.5, "e": ["x", 1]}"#, &["a", "b", "c", "d", "e"]);
        let fields = fields.unwrap();
        let text = |problem: Problem| problem.text();
        assert!(text(fields.text("a").unwrap_err()).contains("write text"));
        assert!(text(fields.whole("d").unwrap_err()).contains("whole number"));
        assert!(text(fields.flag("b").unwrap_err()).contains("true or false"));
        assert!(text(fields.texts("e").unwrap_err()).contains("list"));
        assert!(text(fields.limit("b").unwrap_err()).contains("null"));
        assert!(text(fields.required_text("z").unwrap_err()).contains("z is missing"));
        assert!(text(fields.whole("c").unwrap_err()).contains("whole number"));
        assert_eq!(fields.limit("c").unwrap(), Some(None));
        assert_eq!(fields.limit("a").unwrap(), Some(Some(1)));
        assert_eq!((fields.project_id("c").unwrap(), fields.project_id("a").unwrap()), (None, Some(1)));
    }
}
