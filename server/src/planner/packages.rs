//! Package work out of a job's parameters. Pure.

use serde_json::Value;
use wire::package_work::{Conffiles, DebconfAnswer, PackageAction, PackageWork};

use crate::domain::settings::Retracted;

/// So long may another program hold the lock of the package manager.
const LOCK_WAIT_S: u32 = 600;

/// The work of a step. Parameters that a job type does not declare count as their defaults.
pub(super) fn work(action: PackageAction, params: &Value, retracted: &Retracted) -> PackageWork {
    let is_set = |name: &str| params[name].as_bool().unwrap_or(false);
    let texts = |name: &str| {
        let entries = params[name].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let owned = |name: &str| texts(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let applied = |name: &str| if action == PackageAction::Apply { owned(name) } else { Vec::new() };
    let accepted = applied("accepted");
    PackageWork {
        action,
        packages: if action == PackageAction::Refresh { Vec::new() } else { owned("packages") },
        preview: is_set("preview"),
        allow_removals: is_set("removals"),
        allow_downgrades: is_set("downgrades"),
        allow_held: is_set("held"),
        conffiles: if params["conffiles"] == "replace" { Conffiles::Replace } else { Conffiles::Keep },
        recommends: params["recommends"].as_bool(),
        answers: texts("answers").into_iter().filter_map(DebconfAnswer::parse).collect(),
        retracted: retracted.clone(),
        remove: applied("remove"),
        purge: action == PackageAction::Apply && is_set("purge"),
        hold: applied("hold"),
        unhold: applied("unhold"),
        accepted: (!accepted.is_empty()).then_some(accepted),
        lock_wait_s: LOCK_WAIT_S,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_is_not_allowed() {
        let none = Retracted::new();
        let work = work(PackageAction::Install, &json!({ "packages": ["hello"] }), &none);
        assert_eq!(work.packages, ["hello"]);
        assert!(!work.preview && !work.allow_removals && !work.allow_downgrades && !work.allow_held);
        assert_eq!((work.conffiles, work.recommends), (Conffiles::Keep, None));
        assert!(
            super::work(PackageAction::Refresh, &json!({ "packages": ["hello"] }), &none).packages.is_empty()
        );
    }

    #[test]
    fn several_wishes_are_one_run_and_what_was_accepted_goes_along() {
        let none = Retracted::new();
        let params = json!({ "packages": ["hello"], "remove": ["nano"], "purge": true, "hold": ["vim"], "unhold": ["htop"],
            "accepted": ["install hello 1"] });
        let applied = work(PackageAction::Apply, &params, &none);
        assert_eq!((applied.remove, applied.purge), (vec!["nano".to_owned()], true));
        assert_eq!((applied.hold, applied.unhold), (vec!["vim".to_owned()], vec!["htop".to_owned()]));
        assert_eq!(applied.accepted, Some(vec!["install hello 1".to_owned()]));
        assert!(work(PackageAction::Install, &params, &none).remove.is_empty(), "only one action does that");
    }

    #[test]
    fn what_is_allowed_is_in_the_work() {
        let params = json!({ "packages": ["hello"], "removals": true, "downgrades": true, "held": true, "recommends": false,
            "conffiles": "replace", "preview": true });
        let retracted = Retracted::from([("hello".to_owned(), vec!["2.10-3".to_owned()])]);
        let work = work(PackageAction::Install, &params, &retracted);
        assert_eq!(work.retracted, retracted);
        assert!(work.preview && work.allow_removals && work.allow_downgrades && work.allow_held);
        assert_eq!((work.conffiles, work.recommends), (Conffiles::Replace, Some(false)));
    }
}
