//! Why a provider did not do what was asked. No secret stands in it, whatever the provider has answered.

use crate::domain::desktop::FaultClass;

/// What was attempted, why it was not done, and what follows from that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attempt}: {reason}")]
pub struct Error {
    /// What follows from it.
    pub class: FaultClass,
    /// What was attempted, on which object.
    pub attempt: String,
    /// The reason.
    pub reason: String,
    /// It may be asked again after so many seconds, as the provider says.
    pub again_after_s: Option<i64>,
}

/// Longest text of a provider that is passed on, in characters.
const LONGEST: usize = 500;

impl Error {
    /// An error without a time.
    pub fn new(class: FaultClass, attempt: &str, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        Self { class, attempt: attempt.to_owned(), reason, again_after_s: None }
    }

    /// What somebody can do about it.
    pub fn remedy(&self) -> &'static str {
        match self.class {
            FaultClass::Caller => {
                "look at the provider's zone, network, sizes and image: `lotse provider test`"
            }
            FaultClass::Authentication => {
                "look at the account's keys and role at the provider; then `lotse provider change --keys`"
            }
            FaultClass::Quota => {
                "delete what the account does not need, or let the provider raise its limits"
            }
            FaultClass::Capacity => "use a pool with further providers, or try again later",
            FaultClass::Transient => "nothing: it is tried again by itself",
            FaultClass::Ambiguous => "nothing: it is looked for before anything is asked for again",
            FaultClass::Gone => "nothing: what is not there needs not be removed",
        }
    }
}
