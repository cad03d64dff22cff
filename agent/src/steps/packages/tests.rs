//! Package work against a fake machine whose apt says what a real one said.

use std::collections::BTreeMap;

use wire::package_work::{Conffiles, DebconfAnswer};

use super::*;
use crate::{
    host::fake::{Answer, FakeHost},
    steps::testing::Stage,
};

pub(super) fn work(action: PackageAction, packages: &[&str]) -> PackageWork {
    PackageWork {
        action,
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
        preview: false,
        allow_removals: false,
        allow_downgrades: false,
        allow_held: false,
        conffiles: Conffiles::Keep,
        recommends: None,
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

fn stage() -> Stage {
    Stage::new(FakeHost::new(0).with_file("/usr/bin/apt-get", "x"))
}

/// apt-get answers this to the given kind of run, in the order of the runs.
fn says(stage: &Stage, answers: &[Answer]) {
    // The newest answer counts first.
    for answer in answers.iter().rev() {
        stage.host.answer("/bin/sh", answer.clone().once());
    }
}

/// The runs of apt-get by their words behind the options.
fn runs(stage: &Stage) -> Vec<String> {
    let of_apt =
        stage.host.commands().into_iter().filter(|command| command.argv.contains(&"apt-get".to_owned()));
    of_apt
        .map(|command| {
            let mut words = command.argv.iter().skip_while(|word| *word != "apt-get").skip(1);
            let mut kept = Vec::new();
            while let Some(word) = words.next() {
                match word.as_str() {
                    "-o" => {
                        words.next();
                    }
                    "-q" | "-y" | "--allow-downgrades" => {}
                    word => kept.push(word.to_owned()),
                }
            }
            kept.join(" ")
        })
        .collect()
}

const SIMULATED: &str = include_str!("testdata/apt-simulate-install.txt");
const URIS: &str = include_str!("testdata/apt-uris-install.txt");

#[tokio::test]
async fn an_installation_is_tried_told_fetched_and_then_done() {
    let stage = stage();
    says(
        &stage,
        &[
            Answer::default(),
            Answer::prints(SIMULATED),
            Answer::prints(URIS),
            Answer::prints(include_str!("testdata/apt-good-status.txt")),
        ],
    );
    execute(&stage.ctx(), &work(PackageAction::Install, &["hello", "cowsay"])).await.unwrap();
    assert_eq!(
        runs(&stage),
        [
            "check",
            "--simulate install -- hello cowsay",
            "--print-uris install -- hello cowsay",
            "install -- hello cowsay",
        ]
    );
    let told = stage.voice.transactions.lock().unwrap().clone();
    let (is_preview, transaction) = &told[0];
    assert!(!is_preview);
    assert_eq!(
        (transaction.changes.len(), transaction.download_bytes, transaction.disk_bytes),
        (3, 83_948, 420_000)
    );
    let said = stage.said();
    assert!(said.contains("3 to install, 0 to upgrade (0 for security)"), "{said}");
    assert!(said.contains("Unpacking hello") && !said.contains("pmstatus"), "{said}");
    let progress = stage.voice.progress.lock().unwrap().clone();
    assert!(progress.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{progress:?}");
    assert_eq!(progress.last().unwrap(), &(92, "Installed good (amd64)".to_owned()));
}

#[tokio::test]
async fn every_run_refuses_what_is_not_signed_and_takes_names_for_names() {
    let stage = stage();
    execute(&stage.ctx(), &work(PackageAction::Install, &["hello"])).await.unwrap();
    for command in stage.host.commands().iter().filter(|command| command.argv.contains(&"apt-get".to_owned()))
    {
        let line = command.to_string();
        for option in [
            "APT::Get::AllowUnauthenticated=false",
            "Acquire::AllowInsecureRepositories=false",
            "APT::Cmd::Pattern-Only=true",
            "--force-confold",
            "DPkg::Lock::Timeout=600",
        ] {
            assert!(line.contains(option), "{option}: {line}");
        }
        assert_eq!(command.environment["DEBIAN_FRONTEND"], "noninteractive");
    }
}

#[tokio::test]
async fn a_preview_changes_nothing() {
    let stage = stage();
    says(&stage, &[Answer::prints(SIMULATED), Answer::prints(URIS)]);
    let preview = PackageWork { preview: true, ..work(PackageAction::Install, &["hello", "cowsay"]) };
    execute(&stage.ctx(), &preview).await.unwrap();
    assert!(runs(&stage).iter().all(|run| run.starts_with("--simulate") || run.starts_with("--print-uris")));
    assert!(stage.voice.transactions.lock().unwrap()[0].0);
}

async fn refused(stage: &Stage, work: &PackageWork) -> String {
    match execute(&stage.ctx(), work).await {
        Err(StepError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn simulating(text: &str) -> Stage {
    let stage = stage();
    says(&stage, &[Answer::default(), Answer::prints(text), Answer::default()]);
    stage
}

#[tokio::test]
async fn what_was_not_allowed_is_refused_by_name_before_anything_changes() {
    let stage = simulating(include_str!("testdata/apt-simulate-removal.txt"));
    let left = work(PackageAction::Install, &["left"]);
    let text = refused(&stage, &left).await;
    assert!(text.contains("would also remove right"), "{text}");
    assert_eq!(runs(&stage).len(), 3);
    let stage = simulating(include_str!("testdata/apt-simulate-removal.txt"));
    execute(&stage.ctx(), &PackageWork { allow_removals: true, ..left }).await.unwrap();
    assert_eq!(runs(&stage).last().unwrap(), "install -- left");

    let back = work(PackageAction::Install, &["good=1.0"]);
    let stage = simulating(include_str!("testdata/apt-simulate-downgrade.txt"));
    let text = refused(&stage, &back).await;
    assert!(text.contains("downgrade good from 1.1 to 1.0"), "{text}");
    let retracted = BTreeMap::from([("good".to_owned(), vec!["1.0".to_owned()])]);
    let stage = simulating(include_str!("testdata/apt-simulate-downgrade.txt"));
    let text = refused(&stage, &PackageWork { allow_downgrades: true, retracted, ..back }).await;
    assert!(text.contains("1.0 of good is retracted"), "{text}");

    let stage = simulating("Remv lotse-agent [0.1.0]");
    let ourselves = PackageWork { allow_removals: true, ..work(PackageAction::Remove, &["lotse-agent"]) };
    assert!(refused(&stage, &ourselves).await.contains("retire the client"));
}

#[tokio::test]
async fn security_updates_are_those_of_the_security_source_at_their_versions() {
    let stage = stage();
    let upgrade = include_str!("testdata/apt-simulate-upgrade.txt");
    says(&stage, &[Answer::default(), Answer::prints(upgrade), Answer::default(), Answer::default()]);
    execute(&stage.ctx(), &work(PackageAction::SecurityUpgrade, &["perl-base"])).await.unwrap();
    let runs = runs(&stage);
    assert_eq!(runs[1], "--simulate --with-new-pkgs upgrade");
    assert_eq!(runs[2], "--simulate install --only-upgrade -- perl-base:amd64=5.36.0-7+deb12u4");

    let none = self::stage();
    execute(&none.ctx(), &work(PackageAction::SecurityUpgrade, &[])).await.unwrap();
    assert!(none.said().contains("no security updates"));
    assert_eq!(self::runs(&none).len(), 2);
}

#[tokio::test]
async fn a_lock_is_waited_for_and_its_holder_named() {
    let stage = stage();
    says(&stage, &[Answer::fails(100, include_str!("testdata/apt-lock.txt"))]);
    let error = execute(&stage.ctx(), &work(PackageAction::Install, &["hello"])).await.unwrap_err();
    assert!(matches!(error, StepError::Transient(_)), "{error}");
    assert!(error.to_string().contains("held by process 7360 (python3)"), "{error}");
    let progress = stage.voice.progress.lock().unwrap().clone();
    assert_eq!(progress[0].1, "waits for the lock that process 7360 (python3) holds");
    assert_eq!(runs(&stage), ["check"]);
}

#[tokio::test]
async fn what_an_interrupted_run_left_is_finished_first_and_does_not_stop_the_work() {
    let stage = stage();
    stage
        .host
        .answer("dpkg", Answer::fails(1, "dpkg: error processing package broken (--configure):").once());
    stage
        .host
        .answer("dpkg", Answer::prints("The following packages are only half configured: broken").once());
    says(&stage, &[Answer::default(), Answer::prints("Purg broken [1.0]")]);
    execute(&stage.ctx(), &work(PackageAction::Purge, &["broken"])).await.unwrap();
    let all = stage.host.command_lines();
    assert!(all.contains(&"dpkg --force-confdef --force-confold --configure -a".to_owned()), "{all:?}");
    assert!(stage.said().contains("that did not help"), "{}", stage.said());
    assert_eq!(runs(&stage).last().unwrap(), "purge -- broken");
}

#[tokio::test]
async fn a_package_that_still_cannot_be_set_up_is_no_success() {
    let stage = stage();
    let dpkg = |answer: Answer| stage.host.answer("dpkg", answer.once());
    dpkg(Answer::fails(1, "dpkg: error processing package broken (--configure):"));
    dpkg(Answer::prints("The following packages are only half configured: broken"));
    // Nothing is to be installed: to apt, it is there.
    says(&stage, &[Answer::default(), Answer::default()]);
    let error = execute(&stage.ctx(), &work(PackageAction::Install, &["broken"])).await.unwrap_err();
    assert!(error.to_string().contains("--configure"), "{error}");
}

#[tokio::test]
async fn a_failure_shows_the_lines_that_tell_why() {
    let stage = stage();
    let broken = include_str!("testdata/apt-broken.txt");
    says(
        &stage,
        &[
            Answer::default(),
            Answer::prints("Inst broken (1.0 Test:test [all])"),
            Answer::default(),
            Answer::fails(100, broken),
        ],
    );
    let error = execute(&stage.ctx(), &work(PackageAction::Install, &["broken"])).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StepError::Permanent(_)));
    assert!(
        text.starts_with("package broken could not be configured\nconfiguring broken: the licence"),
        "{text}"
    );
    assert!(
        text.ends_with("(`apt-get -q -y --allow-downgrades install -- broken` ended with status 100)"),
        "{text}"
    );
}

#[tokio::test]
async fn answers_go_to_debconf_and_their_secrets_nowhere_else() {
    let mut stage = stage();
    stage.server.secrets = [("mail".to_owned(), "s3cret".to_owned())].into();
    says(&stage, &[Answer::default(), Answer::prints(SIMULATED), Answer::prints(URIS)]);
    let answer = |question: &str, kind: &str, value: &str, secret: Option<&str>| DebconfAnswer {
        package: "hello".to_owned(),
        question: question.to_owned(),
        kind: kind.to_owned(),
        value: value.to_owned(),
        secret: secret.map(str::to_owned),
    };
    let answers = vec![
        answer("hello/kind", "select", "plain", None),
        answer("hello/word", "password", "", Some("mail")),
    ];
    let work = PackageWork { answers, ..work(PackageAction::Install, &["hello", "cowsay"]) };
    execute(&stage.ctx(), &work).await.unwrap();
    let debconf = stage
        .host
        .commands()
        .into_iter()
        .find(|command| command.argv[0] == "debconf-set-selections")
        .unwrap();
    assert_eq!(
        debconf.stdin.as_deref(),
        Some("hello hello/kind select plain\nhello hello/word password s3cret\n")
    );
    assert!(!stage.said().contains("s3cret"));

    let two_lines = vec![answer("hello/kind", "select", "plain\nhello x y z", None)];
    assert!(
        refused(&simulating(SIMULATED), &PackageWork { answers: two_lines, ..work })
            .await
            .contains("more than one line")
    );
}

#[tokio::test]
async fn holds_and_refreshing_are_single_commands() {
    let stage = stage();
    execute(&stage.ctx(), &work(PackageAction::Hold, &["hello"])).await.unwrap();
    execute(&stage.ctx(), &work(PackageAction::Unhold, &["hello"])).await.unwrap();
    execute(&stage.ctx(), &work(PackageAction::Refresh, &[])).await.unwrap();
    assert_eq!(stage.host.command_lines()[..2], ["apt-mark hold -- hello", "apt-mark unhold -- hello"]);
    assert_eq!(runs(&stage), ["update"]);
}

#[tokio::test]
async fn where_there_is_no_package_manager_nothing_is_tried() {
    let stage = Stage::new(FakeHost::new(0));
    assert!(
        refused(&stage, &work(PackageAction::Install, &["hello"])).await.contains("neither apt-get nor dnf")
    );
}

#[tokio::test]
async fn some_are_installed_and_others_removed_in_one_run_and_marks_come_around_it() {
    let stage = stage();
    stage.host.answer("dpkg-query", Answer::prints("cowsay\tinstalled\nnano\tconfig-files\n"));
    let words = "Inst hello (2.10-3 Debian:12.11/stable [amd64])\nRemv cowsay [3.03+dfsg2-8]";
    says(&stage, &[Answer::default(), Answer::prints(words), Answer::default()]);
    let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let both = PackageWork {
        remove: texts(&["cowsay", "nano", "never-heard-of"]),
        purge: true,
        hold: texts(&["hello=2.10-3"]),
        unhold: texts(&["cowsay"]),
        accepted: Some(texts(&["install hello:amd64 2.10-3", "remove cowsay 3.03+dfsg2-8"])),
        ..work(PackageAction::Apply, &["hello=2.10-3"])
    };
    execute(&stage.ctx(), &both).await.unwrap();
    assert_eq!(
        runs(&stage),
        [
            "check",
            "--simulate --purge install -- hello=2.10-3 cowsay-",
            "--print-uris --purge install -- hello=2.10-3 cowsay-",
            "--purge install -- hello=2.10-3 cowsay-",
        ]
    );
    let all = stage.host.command_lines();
    let at =
        |line: &str| all.iter().position(|other| other == line).unwrap_or_else(|| panic!("{line}: {all:?}"));
    assert!(
        at("apt-mark unhold -- cowsay") < all.iter().position(|line| line.contains("--simulate")).unwrap()
    );
    assert_eq!(at("apt-mark hold -- hello"), all.len() - 1);

    let stage = simulating("Inst hello (2.11 Debian:12.11/stable [amd64])");
    stage.host.answer("dpkg-query", Answer::prints("cowsay\tnot-installed\n"));
    let text = refused(&stage, &both).await;
    assert!(
        text.contains("new is: install hello:amd64 2.11; no longer: install hello:amd64 2.10-3, remove"),
        "{text}"
    );
    assert_eq!(runs(&stage).len(), 3, "nothing was changed");
}

#[tokio::test]
async fn a_removal_that_nobody_asked_for_is_refused_beside_those_that_somebody_asked_for() {
    let stage = simulating("Remv cowsay [3.03]\nRemv right [1.0]");
    stage.host.answer("dpkg-query", Answer::prints("cowsay\tinstalled\n"));
    let one = PackageWork { remove: vec!["cowsay".to_owned()], ..work(PackageAction::Apply, &[]) };
    assert!(refused(&stage, &one).await.contains("would also remove right"));
}

#[tokio::test]
async fn nothing_to_install_and_nothing_there_to_remove_is_done_at_once() {
    let stage = stage();
    let none = PackageWork {
        remove: vec!["cowsay".to_owned()],
        hold: vec!["vim".to_owned()],
        ..work(PackageAction::Apply, &[])
    };
    execute(&stage.ctx(), &none).await.unwrap();
    assert_eq!(runs(&stage), ["check"]);
    assert_eq!(stage.host.command_lines().last().unwrap(), "apt-mark hold -- vim");
}
