//! Plans of package jobs that one run of the package manager carries out together. Pure.
//!
//! Invariant: what is joined has the same options, and no two of them want different things of one package; so the joined run does what
//! the single runs would have done one after the other.

use std::collections::BTreeMap;

use wire::{
    package_work::{PackageAction, PackageWork},
    plan::Plan,
    step::{Step, StepKind},
};

/// Most jobs of one run: its command line and its pages stay readable.
pub const MOST_JOINED: usize = 50;

/// Whether a plan could be joined with another one: it refreshes at most, and then installs, removes or marks, for real, whatever comes of it.
pub fn is_joinable(plan: &Plan) -> bool {
    parts(plan).is_some()
}

/// The work of a plan, and the step that refreshes before it.
fn parts(plan: &Plan) -> Option<(&Step, &PackageWork, Option<&Step>)> {
    let work = |step: &Step| match &step.kind {
        StepKind::Packages(work) => Some(work.clone()),
        _ => None,
    };
    let (refresh, step) = match plan.steps.as_slice() {
        [step] => (None, step),
        [refresh, step] if work(refresh)?.action == PackageAction::Refresh => (Some(refresh), step),
        _ => return None,
    };
    let StepKind::Packages(work) = &step.kind else { return None };
    let is_joinable = matches!(
        work.action,
        PackageAction::Install
            | PackageAction::Remove
            | PackageAction::Purge
            | PackageAction::Apply
            | PackageAction::Hold
            | PackageAction::Unhold
    ) && !work.preview
        && work.accepted.is_none();
    is_joinable.then_some((step, work, refresh))
}

/// The plan that does what both do, under the job of the first; absent when they are to run one after the other.
pub fn join(first: &Plan, second: &Plan) -> Option<Plan> {
    let (first_step, one, one_refreshes) = parts(first)?;
    let (second_step, two, two_refreshes) = parts(second)?;
    if first.client != second.client || first.realm != second.realm || options(one) != options(two) {
        return None;
    }
    if wishes(one).iter().any(|(package, wish)| wishes(two).get(package).is_some_and(|other| other != wish)) {
        return None;
    }
    let mut answers = one.answers.clone();
    for answer in &two.answers {
        let same = |other: &&wire::package_work::DebconfAnswer| {
            other.package == answer.package && other.question == answer.question
        };
        match answers.iter().find(same) {
            Some(other) if other == answer => {}
            Some(_) => return None,
            None => answers.push(answer.clone()),
        }
    }
    let work = PackageWork {
        packages: both(&one.packages, &two.packages),
        remove: both(&one.remove, &two.remove),
        hold: both(&one.hold, &two.hold),
        unhold: both(&one.unhold, &two.unhold),
        answers,
        ..one.clone()
    };
    let step = Step {
        timeout_s: first_step.timeout_s.max(second_step.timeout_s),
        kind: StepKind::Packages(work),
        ..first_step.clone()
    };
    let refresh = one_refreshes.or(two_refreshes).cloned();
    Some(Plan { steps: refresh.into_iter().chain([step]).collect(), ..first.clone() })
}

/// What has to be the same: everything but the packages and the answers.
fn options(work: &PackageWork) -> PackageWork {
    PackageWork {
        packages: Vec::new(),
        remove: Vec::new(),
        hold: Vec::new(),
        unhold: Vec::new(),
        answers: Vec::new(),
        ..work.clone()
    }
}

/// What the work wants of each package: the words for it, and marks.
fn wishes(work: &PackageWork) -> BTreeMap<&str, Vec<&str>> {
    let mut wishes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let lists =
        [("", &work.packages), ("remove", &work.remove), ("hold", &work.hold), ("unhold", &work.unhold)];
    for (word, names) in lists {
        for name in names {
            let bare = name.split(['=', ':', '/']).next().unwrap_or(name);
            wishes.entry(bare).or_default().extend([word, name]);
        }
    }
    wishes
}

fn both(one: &[String], two: &[String]) -> Vec<String> {
    let new = two.iter().filter(|name| !one.contains(name));
    one.iter().chain(new).cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::{
        ClientId, JobId,
        enrol::Realm,
        package_work::{Conffiles, DebconfAnswer},
        step::StepKind,
    };

    use super::*;

    fn work(action: PackageAction, packages: &[&str]) -> PackageWork {
        PackageWork {
            action,
            packages: packages.iter().map(|&name| name.to_owned()).collect(),
            preview: false,
            allow_removals: false,
            allow_downgrades: false,
            allow_held: false,
            conffiles: Conffiles::Keep,
            recommends: Some(true),
            answers: Vec::new(),
            retracted: BTreeMap::new(),
            remove: Vec::new(),
            purge: false,
            hold: Vec::new(),
            unhold: Vec::new(),
            accepted: None,
            lock_wait_s: 600,
        }
    }

    fn plan(refreshes: bool, work: PackageWork) -> Plan {
        let step = |id: &str, work| Step {
            id: id.to_owned(),
            title: BTreeMap::new(),
            timeout_s: 60,
            kind: StepKind::Packages(work),
        };
        let refresh = refreshes.then(|| step("refresh", self::work(PackageAction::Refresh, &[])));
        Plan {
            job: JobId(1),
            client: ClientId(1),
            job_type: "package-install".to_owned(),
            realm: Some(Realm::System),
            steps: refresh.into_iter().chain([step("packages", work)]).collect(),
        }
    }

    fn joined(one: PackageWork, two: PackageWork) -> Option<PackageWork> {
        let both = join(&plan(false, one), &plan(true, two))?;
        assert_eq!(both.steps.len(), 2, "one of them refreshes");
        match &both.steps[1].kind {
            StepKind::Packages(work) => Some(work.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_action_with_the_same_options_is_one_run_with_all_packages() {
        let install = |names: &[&str]| work(PackageAction::Install, names);
        assert_eq!(
            joined(install(&["a1", "b1"]), install(&["b1", "c1"])).unwrap().packages,
            ["a1", "b1", "c1"]
        );
        assert_eq!(joined(install(&["a1"]), work(PackageAction::Remove, &["b1"])), None);
        assert_eq!(joined(install(&["a1"]), PackageWork { allow_removals: true, ..install(&["b1"]) }), None);
        assert_eq!(joined(install(&["a1=1"]), install(&["a1=2"])), None, "different versions");
        assert_eq!(joined(install(&["a1"]), PackageWork { preview: true, ..install(&["b1"]) }), None);
        let accepted = PackageWork { accepted: Some(vec!["install b1 1".to_owned()]), ..install(&["b1"]) };
        assert_eq!(joined(install(&["a1"]), accepted), None);
        let apply = |names: &[&str], gone: &str| PackageWork {
            remove: vec![gone.to_owned()],
            ..work(PackageAction::Apply, names)
        };
        assert_eq!(joined(apply(&["a1"], "x1"), apply(&["b1"], "x1")).unwrap().remove, ["x1"]);
        assert_eq!(
            joined(apply(&["a1"], "x1"), apply(&["x1"], "y1")),
            None,
            "one wants what the other refuses"
        );
        for action in [PackageAction::Upgrade, PackageAction::SecurityUpgrade] {
            assert_eq!(joined(work(action, &["a1"]), work(action, &["b1"])), None);
        }
        for mark in [PackageAction::Hold, PackageAction::Unhold] {
            assert_eq!(joined(work(mark, &["a1"]), work(mark, &["b1"])).unwrap().packages, ["a1", "b1"]);
        }
        assert_eq!(joined(work(PackageAction::Hold, &["a1"]), work(PackageAction::Unhold, &["b1"])), None);
    }

    #[test]
    fn answers_are_joined_unless_they_differ() {
        let answered = |package: &str, line: &str| PackageWork {
            answers: DebconfAnswer::parse(line).into_iter().collect(),
            ..work(PackageAction::Install, &[package])
        };
        let same = joined(answered("a1", "p p/q string x"), answered("b1", "p p/q string x")).unwrap();
        assert_eq!(same.answers.len(), 1);
        assert_eq!(joined(answered("a1", "p p/q string x"), answered("b1", "p p/q string y")), None);
        let two = joined(answered("a1", "p p/q string x"), answered("b1", "p p/r string y")).unwrap();
        assert_eq!(two.answers.len(), 2);
    }

    proptest! {
        #[test]
        fn a_joined_run_wants_what_each_wants_and_nothing_else(
            one in proptest::collection::btree_set("[a-d]1(=[12])?", 1..4),
            two in proptest::collection::btree_set("[a-d]1(=[12])?", 1..4),
        ) {
            let texts = |set: &std::collections::BTreeSet<String>| {
                work(PackageAction::Install, &set.iter().map(String::as_str).collect::<Vec<_>>())
            };
            if let Some(both) = joined(texts(&one), texts(&two)) {
                let got: std::collections::BTreeSet<_> = both.packages.iter().cloned().collect();
                prop_assert_eq!(got.len(), both.packages.len());
                prop_assert_eq!(got, one.union(&two).cloned().collect());
                let keeps = |single: &PackageWork| {
                    let own = wishes(single);
                    wishes(&both).iter().all(|(package, wish)| own.get(package).is_none_or(|own| own == wish))
                };
                prop_assert!(keeps(&texts(&one)) && keeps(&texts(&two)));
            }
        }
    }
}
