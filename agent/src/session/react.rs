//! What a failed request means for the session. Pure.

use wire::enrol::Realm;

use crate::server;

/// After so many failures in a row the clock or the CA may be the reason.
const TRUST_AGAIN_AFTER: u32 = 5;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Ask again after the back-off.
    Retry,
    /// Check CA and clock again, then ask again.
    CheckTrust,
    /// The identity is worth nothing: get a new one.
    Enrol,
    /// The identity is worth nothing, and only a person can help.
    CallForHelp,
}

/// `failures`: in a row, with this one. `expired`: by the machine's clock the certificate is not valid any more, so
/// that the server breaks off before it could say why.
pub(super) fn react(realm: Realm, error: &server::Error, failures: u32, expired: bool) -> Reaction {
    if error.is_transient() && failures.is_multiple_of(TRUST_AGAIN_AFTER) {
        return Reaction::CheckTrust;
    }
    if error.is_unknown_identity() || expired {
        // An installed system keeps its identity: the server may have been restored from a backup, or the admin may err.
        return if realm == Realm::Installer { Reaction::Enrol } else { Reaction::CallForHelp };
    }
    Reaction::Retry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> server::Error {
        server::Error::Refused { attempt: "poll", status, code: String::new(), problem: String::new() }
    }

    #[test]
    fn an_unknown_identity_is_replaced_in_the_installer_and_kept_on_a_system() {
        for status in [401, 403] {
            assert_eq!(react(Realm::Installer, &refused(status), 1, false), Reaction::Enrol);
            assert_eq!(react(Realm::System, &refused(status), 1, false), Reaction::CallForHelp);
        }
    }

    #[test]
    fn an_expired_identity_needs_a_new_one_unless_the_clock_is_to_blame() {
        assert_eq!(react(Realm::Installer, &refused(503), 1, true), Reaction::Enrol);
        assert_eq!(react(Realm::System, &refused(503), 1, true), Reaction::CallForHelp);
        assert_eq!(react(Realm::System, &refused(503), 5, true), Reaction::CheckTrust);
    }

    #[test]
    fn a_server_that_stays_away_is_asked_for_its_ca_and_time_again() {
        assert_eq!(react(Realm::System, &refused(503), 1, false), Reaction::Retry);
        assert_eq!(react(Realm::System, &refused(503), 5, false), Reaction::CheckTrust);
        assert_eq!(react(Realm::System, &refused(503), 6, false), Reaction::Retry);
        assert_eq!(react(Realm::System, &refused(400), 5, false), Reaction::Retry);
    }
}
