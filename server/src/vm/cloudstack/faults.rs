//! What an error of `CloudStack` means (`ApiErrorCode`), and what it means when there is no proper answer at all.

use crate::domain::desktop::FaultClass;

/// Whether a call changes something there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only looks.
    Looks,
    /// It changes something, so an answer that got lost leaves a question.
    Changes,
}

impl Effect {
    /// What it means when nobody knows how far the request came.
    pub(super) fn unknown(self) -> FaultClass {
        match self {
            Self::Looks => FaultClass::Transient,
            Self::Changes => FaultClass::Ambiguous,
        }
    }
}

/// The class of an error code of the API. `text` is looked at only where one code stands for several things.
pub(super) fn class(code: i64, text: &str, effect: Effect) -> FaultClass {
    let says = |words: &[&str]| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    match code {
        401 | 403 | 411 => FaultClass::Authentication,
        // Unknown to the server, or not open to the account's role.
        405 | 432 => FaultClass::Authentication,
        429 | 503 => FaultClass::Transient,
        // There is no code of its own for what is not there.
        400 | 430 | 431 if says(&["does not exist", "unable to find", "doesn't exist", "not found"]) => {
            FaultClass::Gone
        }
        400 | 430 | 431 => FaultClass::Caller,
        // A resource of the account that is used up: `AccountLimitException` and `ResourceAllocationException`.
        531 | 532 | 535 => FaultClass::Quota,
        533 => FaultClass::Capacity,
        534 | 536 | 537 => FaultClass::Transient,
        _ if says(&["insufficient capacity", "insufficientcapacity"]) => FaultClass::Capacity,
        // 530 is whatever went wrong inside; so are the answers of a proxy before the server.
        _ => effect.unknown(),
    }
}

/// After how many seconds a server that counts calls may be asked again: from its words, in milliseconds.
pub(super) fn pause(text: &str) -> Option<i64> {
    let words: Vec<_> = text.split_whitespace().collect();
    let at = words.windows(2).position(|pair| pair[1].trim_matches(['.', ',']) == "ms")?;
    let millis: i64 = words[at].parse().ok()?;
    Some((millis / 1000 + 1).clamp(1, 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        use FaultClass::{Ambiguous, Authentication, Caller, Capacity, Gone, Quota, Transient};
        for (code, text, expected) in [
            (401, "unable to verify user credentials and/or request signature", Authentication),
            (432, "The given command does not exist or it is not available for user", Authentication),
            (429, "", Transient),
            (431, "Unable to find a virtual machine with id 7", Gone),
            (
                431,
                "Invalid parameter id value=7 due to incorrect long value format, or entity does not exist",
                Gone,
            ),
            (431, "The IP address 1.2.3.4 is wrong", Caller),
            (530, "", Ambiguous),
            (530, "Insufficient capacity", Capacity),
            (533, "", Capacity),
            (535, "Maximum number of resources of type 'user_vm' has been exceeded", Quota),
            (537, "", Transient),
            (502, "<html>", Ambiguous),
        ] {
            assert_eq!(class(code, text, Effect::Changes), expected, "{code} {text}");
        }
        assert_eq!(class(530, "", Effect::Looks), Transient);
    }

    #[test]
    fn the_pause_that_a_server_wants_is_read() {
        let text = "The given user has reached his/her account api limit, please retry after 2500 ms.";
        assert_eq!(pause(text), Some(3));
        assert_eq!(pause("go away"), None);
    }
}
