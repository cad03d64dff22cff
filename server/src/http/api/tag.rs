//! `ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1): nobody overwrites what somebody else has changed since they read it.
//!
//! A change without `If-Match` is carried out: whoever does not ask is not stopped.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::Error;

/// The tag of a version as a header.
pub(super) fn header(tag: impl std::fmt::Display) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{tag}\""))]
}

/// The tag that `If-Match` asks for; none when it is not there, or `*`, which is met by any.
///
/// # Errors
/// It is no tag of ours; a list of several is none.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(tag) = headers.get(header::IF_MATCH).map(HeaderValue::to_str) else { return Ok(None) };
    let tag = tag.unwrap_or_default();
    if tag == "*" {
        return Ok(None);
    }
    let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let quoted = quoted.filter(|tag| !tag.is_empty() && !tag.contains('"'));
    quoted.map(|tag| Some(tag.to_owned())).ok_or_else(|| {
        Error::invalid(
            "If-Match must be the ETag that was read",
            "read it again and take its ETag, with its quotes",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tag_is_asked_for_or_any_or_none_at_all() {
        let asked = |value: &'static str| {
            expected(&HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]))
        };
        assert_eq!(expected(&HeaderMap::new()).unwrap(), None);
        assert_eq!(asked("*").unwrap(), None);
        assert_eq!(asked("\"7\"").unwrap().as_deref(), Some("7"));
        for wrong in ["7", "\"\"", "W/\"7\"", "\"7\", \"8\"", "\""] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
