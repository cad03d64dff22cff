//! Two clients of others check the CloudStack of the tests, and its signatures: `cs` and Apache Libcloud, as `packaging/setup.sh` installs
//! them. And our client reads answers of real clouds, which Libcloud brings along for its own tests.

use std::path::PathBuf;

use harness::cloudstack::{Cloud, KEYS, Left};
use server::clock::Clock;

#[expect(clippy::disallowed_methods, reason = "tests have no argument parser of their own")]
fn tools() -> PathBuf {
    let variable = |name: &str| std::env::var(name).ok();
    let home = || format!("{}/.local/share", variable("HOME").unwrap());
    let usual = || format!("{}/lotse-tools", variable("XDG_DATA_HOME").unwrap_or_else(home));
    let python = PathBuf::from(variable("LOTSE_TOOLS").unwrap_or_else(usual)).join("clouds/bin/python");
    assert!(python.is_file(), "{} is missing: `make setup` installs it", python.display());
    python
}

#[expect(clippy::disallowed_methods, reason = "the tests' own door to other clients")]
async fn passes(which: &str) {
    let cloud = Cloud::start(Clock::system()).await.unwrap();
    let work = tempfile::tempdir().unwrap();
    let ca = work.path().join("ca.pem");
    fs_err::write(&ca, &cloud.ca_pem).unwrap();
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("it/vm/clients.py");
    let run = tokio::process::Command::new(tools())
        .arg(program)
        .args([which, &cloud.endpoint, KEYS.0, KEYS.1])
        .arg(&ca)
        .current_dir(work.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(cloud.left(), Left::default(), "{said}");
    assert_eq!(cloud.calls("deployVirtualMachine"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_cs_makes_and_removes_a_machine() {
    passes("cs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_libcloud_makes_and_removes_a_machine() {
    passes("libcloud").await;
}
