//! Sessions that tell which packages there are.

use proptest::prelude::*;
use wire::{event::Outcome, packages::Package};

use super::*;

const STATUS: &str = "/var/lib/dpkg/status";

fn stanza(name: &str, version: u32) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nInstalled-Size: 12\nArchitecture: amd64\nVersion: {version}.0-1\n\
         Description: one\n more words\n\n"
    )
}

/// What is installed, by what the file says.
fn install(stage: &Stage, packages: &[(&str, u32)]) {
    let text: String = packages.iter().map(|(name, version)| stanza(name, *version)).collect();
    stage.host.write(Path::new(STATUS), text.as_bytes(), 0o644).unwrap();
}

fn told(stage: &Stage) -> Vec<(String, String)> {
    let words = |package: Package| (package.key.name, package.key.version);
    stage.server.packages().into_iter().map(words).collect()
}

#[tokio::test(start_paused = true)]
async fn packages_are_told_once_then_what_differs_and_then_nothing() {
    let stage = Stage::enrolled();
    install(&stage, &[("bash", 5), ("vim", 9)]);
    stage.run().await;
    assert_eq!(stage.server.packages().len(), 2);
    assert_eq!(stage.server.told_packages(), 2);
    // Another start: one short message, in which no package is named.
    stage.run().await;
    assert_eq!((stage.server.calls("packages"), stage.server.told_packages()), (2, 2));
    // A job installs something; the server hears of it, and by which attempt.
    stage.server.queue(4, &plan(&json!([script("a", "x")])));
    let host = stage.host.clone();
    stage.host.run_by(Arc::new(move |_, command| {
        if command.argv[0] == "/bin/sh" {
            let text = stanza("bash", 5) + &stanza("htop", 3) + &stanza("vim", 9);
            host.write(Path::new(STATUS), text.as_bytes(), 0o644).unwrap();
        }
        Answer::default()
    }));
    stage.run().await;
    assert_eq!(stage.server.outcome(4), Some(Outcome::Succeeded));
    assert_eq!((told(&stage).len(), stage.server.told_packages()), (3, 3));
    assert_eq!(stage.server.packages_of(), [4]);
    // Idle for an hour: polls, and nothing else.
    let calls = stage.server.calls("packages");
    stage.crash_after(Duration::from_hours(1)).await;
    assert_eq!(stage.server.calls("packages"), calls + 1, "only the first word of a session");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_something_else_is_told_the_whole() {
    let stage = Stage::enrolled();
    install(&stage, &[("bash", 5), ("vim", 9)]);
    stage.run().await;
    stage.server.forget_a_package();
    stage.run().await;
    assert_eq!(told(&stage).len(), 2);
    assert_eq!(stage.server.told_packages(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_take_packages_keeps_nobody_from_work() {
    let stage = Stage::enrolled();
    install(&stage, &[("bash", 5)]);
    stage.server.refuse_packages();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.run().await;
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn the_installer_has_no_packages_to_tell() {
    let stage = Stage::new(Realm::Installer);
    install(&stage, &[("bash", 5)]);
    stage.run().await;
    assert_eq!(stage.server.calls("packages"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_wanted_and_services_that_run_old_files_are_told() {
    let stage = Stage::enrolled();
    install(&stage, &[("bash", 5)]);
    stage.host.write(Path::new("/run/reboot-required"), b"", 0o644).unwrap();
    stage.host.write(Path::new("/run/reboot-required.pkgs"), b"linux-image-amd64\nlibc6\n", 0o644).unwrap();
    let map = "7f00-7f01 r-xp 00000000 08:01 42   /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n";
    stage.host.write(Path::new("/proc/300/maps"), map.as_bytes(), 0o444).unwrap();
    stage.host.write(Path::new("/proc/300/cgroup"), b"0::/system.slice/ssh.service\n", 0o444).unwrap();
    stage.run().await;
    let condition = stage.server.condition();
    assert_eq!(condition.reboot_why, "linux-image-amd64, libc6");
    assert_eq!(condition.services, ["ssh.service"]);
    // Somebody restarts the service while a job runs.
    stage.host.remove(Path::new("/proc/300")).unwrap();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.run().await;
    assert_eq!(stage.server.condition().services, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_changes_and_whatever_is_lost_the_server_ends_up_with_what_is_installed(
        states in proptest::collection::vec(proptest::collection::btree_map("[a-f]", 1..4_u32, 0..6), 1..6),
        forgets in proptest::collection::vec(any::<bool>(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let stage = Stage::enrolled();
            stage.server.lose_messages();
            for (state, forget) in states.iter().zip(&forgets) {
                let packages: Vec<(&str, u32)> = state.iter().map(|(name, version)| (name.as_str(), *version)).collect();
                install(&stage, &packages);
                if *forget {
                    stage.server.forget_a_package();
                }
                // Long enough for what is lost to be told again.
                stage.crash_after(Duration::from_mins(3)).await;
                let expected: Vec<_> =
                    packages.iter().map(|(name, version)| ((*name).to_owned(), format!("{version}.0-1"))).collect();
                assert_eq!(told(&stage), expected);
            }
        });
    }
}
