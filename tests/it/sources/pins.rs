//! What the real apt makes of a pin that the job writes, and of one that it takes away.

use std::process::Output;

use harness::{
    archive::{Archive, Mirror},
    server::repository,
};

use super::{Apt, SUITE, said};

/// Runs a script as it is rendered for its sample, with the folders of one client in place of those of the system.
#[expect(clippy::disallowed_methods, reason = "the script is what is tested")]
async fn run(apt: &Apt, script: &str) -> Output {
    let text = fs_err::read_to_string(repository().join("job-scripts").join(script)).unwrap();
    let etc = apt.0.path().join("etc").display().to_string();
    let bin = tempfile::tempdir().unwrap();
    // What it shows at the end is of the machine of the test.
    std::os::unix::fs::symlink("/bin/true", bin.path().join("apt-cache")).unwrap();
    tokio::process::Command::new("/bin/sh")
        .args(["-eu", "-c", &text.replace("/etc/apt", &etc)])
        .env("PATH", format!("{}:/usr/bin:/bin", bin.path().display()))
        .output()
        .await
        .unwrap()
}

#[tokio::test]
async fn apt_goes_by_a_pin_until_it_is_taken_away() {
    let archive = Archive::new().unwrap();
    for version in ["2.10-3", "3.0-1"] {
        archive.package("hello", version, 100).unwrap();
    }
    archive.package("libstdc++6", "12", 100).unwrap();
    archive.release(SUITE).unwrap();
    let mirror = Mirror::serve(&archive.root()).await.unwrap();
    let apt = Apt::new(&mirror.url, SUITE, &archive.armoured_key("archive").unwrap());
    assert_eq!(apt.candidate("hello").await, "3.0-1");
    let pinned = run(&apt, "package-pin/expected/version/10-pin.sh").await;
    assert!(pinned.status.success(), "{}", said(&pinned));
    assert_eq!(apt.candidate("hello").await, "2.10-3");
    // Its version has nothing of the kind: the pin fits nothing, and apt says nothing against the file's name.
    assert_eq!(apt.candidate("libstdc++6").await, "12");
    let unpinned = run(&apt, "package-unpin/expected/two/10-unpin.sh").await;
    assert!(unpinned.status.success(), "{}", said(&unpinned));
    assert_eq!(apt.candidate("hello").await, "3.0-1");
    let again = run(&apt, "package-unpin/expected/two/10-unpin.sh").await;
    assert!(!again.status.success() && said(&again).contains("has not pinned hello"), "{}", said(&again));
}
