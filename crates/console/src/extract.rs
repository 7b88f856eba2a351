//! What addresses and forms say. Whatever cannot be used is refused here, before a page sees it: by a page of the console that names
//! what is wrong, and never repeats what was sent.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::answer::Refusal;

/// Bytes of a name that is repeated; ours are shorter.
const NAME_BYTES: usize = 40;

/// Parts of the path.
pub(crate) struct Path<T>(pub(crate) T);

/// What is behind the question mark.
pub(crate) struct Query<T>(pub(crate) T);

/// What a form has sent.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        const PART: &str = "A part of this address";
        if parts.uri.path().contains("%00") {
            return Err(holds_nul(PART));
        }
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(found)| Self(found)).map_err(|_| is_of_another_kind(PART))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        fields(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|_| Refusal::Wrong("The form is too long, or did not come whole.".to_owned()))?;
        fields(&body).map(Self)
    }
}

/// Reads `name=value` pairs, each name at most once.
fn fields<T: DeserializeOwned>(pairs: &[u8]) -> Result<T, Refusal> {
    let mut names = BTreeSet::new();
    for (name, value) in form_urlencoded::parse(pairs) {
        let told = told(&name);
        if name.contains('\0') || value.contains('\0') {
            return Err(holds_nul(&told));
        }
        if !names.insert(name) {
            return Err(Refusal::Wrong(format!("{told} is there twice; it is taken once.")));
        }
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(pairs));
    serde_path_to_error::deserialize(pairs).map_err(|error| is_of_another_kind(&told(&error.path().to_string())))
}

/// A field as it is told of: a name that none of ours can be is not repeated.
fn told(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_plain && (1..=NAME_BYTES).contains(&name.len()) { format!("The field {name}") } else { "A field".to_owned() }
}

/// Postgres refuses the whole statement that has one in a text.
fn holds_nul(what: &str) -> Refusal {
    Refusal::Wrong(format!("{what} holds the character NUL, which no text here can."))
}

fn is_of_another_kind(what: &str) -> Refusal {
    Refusal::Wrong(format!("{what} is missing, or not what is asked for."))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    struct Asked {
        #[serde(default)]
        name: String,
        after: Option<i64>,
    }

    fn refused(pairs: &str) -> String {
        fields::<Asked>(pairs.as_bytes()).unwrap_err().text()
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        assert_eq!(refused("name=a%00b"), "The field name holds the character NUL, which no text here can.");
        assert_eq!(refused("name=a&name=b"), "The field name is there twice; it is taken once.");
        assert_eq!(refused("after=secret"), "The field after is missing, or not what is asked for.");
        assert_eq!(refused("after=9223372036854775808"), "The field after is missing, or not what is asked for.");
        assert_eq!(refused("<b>=1&<b>=2"), "A field is there twice; it is taken once.");
        assert_eq!(refused("na%00me=1"), "A field holds the character NUL, which no text here can.");
        let long = "x".repeat(NAME_BYTES + 1);
        assert_eq!(refused(&format!("{long}=1&{long}=2")), "A field is there twice; it is taken once.");
    }

    #[test]
    fn what_nobody_asks_for_is_passed_over() {
        let found = fields::<Asked>(b"after=7&other=1&name=%2500").unwrap();
        assert_eq!(found, Asked { name: "%00".to_owned(), after: Some(7) });
        assert_eq!(fields::<Asked>(b"").unwrap(), Asked { name: String::new(), after: None });
    }
}
