//! Package work against a fake machine whose dnf says what a real one said.

use super::{tests::work, *};
use crate::{
    host::fake::{Answer, FakeHost},
    steps::testing::Stage,
};

const INSTALLED: &str = "left\tnoarch\t(none)\t1.0-1\nhello\tnoarch\t0\t2.0-1\n";

fn stage(answers: &[Answer]) -> Stage {
    let stage = Stage::new(FakeHost::new(0).with_file("/usr/bin/dnf", "x"));
    stage.host.answer("rpm", Answer::prints(INSTALLED));
    for answer in answers.iter().rev() {
        stage.host.answer("dnf", answer.clone().once());
    }
    stage
}

/// The runs of dnf by their words behind the settings.
fn runs(stage: &Stage) -> Vec<String> {
    let of_dnf = stage.host.commands().into_iter().filter(|command| command.argv[0] == "dnf");
    of_dnf
        .map(|command| {
            assert!(command.argv.contains(&"--setopt=*.gpgcheck=1".to_owned()), "{command}");
            let words = command.argv.iter().skip(1).filter(|word| !word.starts_with("--setopt"));
            words.cloned().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[tokio::test]
async fn an_installation_is_asked_for_told_and_then_done() {
    let asked = Answer::fails(1, include_str!("testdata/dnf-assumeno-install.txt"));
    let done = Answer::prints(include_str!("testdata/dnf-install.txt"));
    let stage = stage(&[asked, done]);
    execute(&stage.ctx(), &work(PackageAction::Install, &["hello"])).await.unwrap();
    assert_eq!(runs(&stage), ["--assumeno install hello", "-y install hello"]);
    let (is_preview, transaction) = stage.voice.transactions.lock().unwrap()[0].clone();
    assert!(!is_preview);
    assert_eq!((transaction.changes.len(), transaction.download_bytes), (2, 11 << 10));
    let progress = stage.voice.progress.lock().unwrap().clone();
    assert_eq!(progress.last().unwrap().0, 100);
}

#[tokio::test]
async fn what_was_not_allowed_is_refused_and_a_preview_changes_nothing() {
    let asked = Answer::fails(1, include_str!("testdata/dnf-assumeno-remove.txt"));
    let stage = stage(std::slice::from_ref(&asked));
    let remove = work(PackageAction::Remove, &["hello-data"]);
    let error = execute(&stage.ctx(), &remove).await.unwrap_err();
    assert!(error.to_string().contains("would also remove hello,"), "{error}");
    let stage = self::stage(&[asked]);
    let allowed = PackageWork { allow_removals: true, preview: true, ..remove };
    execute(&stage.ctx(), &allowed).await.unwrap();
    assert_eq!(runs(&stage), ["--allowerasing --assumeno remove hello-data"]);
    let back = Answer::fails(1, include_str!("testdata/dnf-assumeno-downgrade.txt"));
    let stage = self::stage(&[back]);
    let error = execute(&stage.ctx(), &work(PackageAction::Install, &["hello=1.0"])).await.unwrap_err();
    assert!(error.to_string().contains("downgrade hello from 2.0-1 to 1.0-1"), "{error}");
    assert_eq!(runs(&stage), ["--assumeno install hello-1.0"]);
}

#[tokio::test]
async fn a_script_that_failed_is_a_failure_whatever_dnf_says() {
    let asked = Answer::fails(1, "Installing:\n broken noarch 1.0-1 old 5.5 k\nOperation aborted.");
    let stage = stage(&[asked, Answer::prints(include_str!("testdata/dnf-broken.txt"))]);
    let error = execute(&stage.ctx(), &work(PackageAction::Install, &["broken"])).await.unwrap_err();
    assert!(error.to_string().starts_with("package broken could not be configured"), "{error}");
}

#[tokio::test]
async fn some_are_installed_and_others_removed_in_one_run_and_its_errors_count() {
    let both = PackageWork {
        remove: vec!["left".to_owned()],
        hold: vec!["hello=1.0".to_owned()],
        allow_downgrades: true,
        accepted: Some(vec![
            "remove left:noarch 1.0-1".to_owned(),
            "downgrade hello:noarch 1.0-1".to_owned(),
        ]),
        ..work(PackageAction::Apply, &["broken", "hello=1.0"])
    };
    let asked = Answer::prints(include_str!("testdata/dnf-shell.txt"));
    let stage = stage(&[asked, Answer::prints("Complete!")]);
    execute(&stage.ctx(), &both).await.unwrap();
    assert_eq!(runs(&stage), ["--assumeno shell", "-y shell", "-y versionlock add hello"]);
    let script = stage.host.commands()[0].stdin.clone().unwrap();
    assert_eq!(script, "remove left\ninstall broken hello-1.0\nrun\n");
    let stage = self::stage(&[Answer::prints(include_str!("testdata/dnf-shell-bad.txt"))]);
    let error = execute(&stage.ctx(), &both).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no such package"), "{error}");
}

#[tokio::test]
async fn a_lock_is_waited_for_and_its_holder_named() {
    let waits = "Waiting for process with pid 815 to finish.\nNothing to do.";
    let stage = stage(&[Answer::prints(waits)]);
    execute(&stage.ctx(), &work(PackageAction::Upgrade, &[])).await.unwrap();
    assert_eq!(stage.voice.progress.lock().unwrap()[0].1, "waits for the lock that process 815 holds");
    assert_eq!(runs(&stage), ["--assumeno upgrade"], "there is nothing to do");
}
