//! What something looked like when it was read, as a short word: whoever changes it can ask that it still looks so.

use serde::Serialize;

use super::Error;
use crate::blobs;

/// Changes with the value. It is made of the value's JSON, so of what people see of it.
pub fn of(value: &impl Serialize) -> String {
    let text = serde_json::to_vec(value).unwrap_or_default();
    blobs::hash(&text).as_str()[..16].to_owned()
}

/// Refuses when something does not look as expected any more; without an expectation anything is fine.
///
/// # Errors
/// [`Error::Stale`]
pub fn check(what: &str, found: &impl Serialize, expected: Option<&str>) -> Result<(), Error> {
    match expected {
        Some(expected) if of(found) != expected => Err(Error::Stale { what: what.to_owned() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_may_be_changed_and_what_does_not_may_not() {
        let seen = of(&("lab", 1));
        assert!(check("it", &("lab", 1), Some(&seen)).is_ok());
        assert!(check("it", &("lab", 2), None).is_ok());
        assert!(matches!(check("it", &("lab", 2), Some(&seen)), Err(Error::Stale { .. })));
    }
}
