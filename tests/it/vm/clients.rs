//! Two clients of others check the CloudStack of the tests, and its signatures: `cs` and Apache Libcloud, as `packaging/setup.sh` installs
//! them. And our client reads answers of real clouds, which Libcloud brings along for its own tests.

use std::path::PathBuf;

use harness::cloudstack::{Cloud, KEYS, Left};
use server::{
    clock::Clock,
    domain::provider::ProviderWish,
    vm::{
        Progress, Provider, RulesOf,
        cloudstack::{CloudStack, Keys},
    },
};

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

#[tokio::test]
async fn our_client_reads_what_real_clouds_have_answered() {
    let library = tools().parent().unwrap().parent().unwrap().join("lib");
    let python = fs_err::read_dir(library).unwrap().next().unwrap().unwrap().path();
    let recorded = python.join("site-packages/libcloud/test/compute/fixtures/cloudstack");
    let jobs: Vec<_> = fs_err::read_dir(&recorded)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_prefix("queryAsyncJobResult_")?.strip_suffix(".json")?.to_owned()))
        .collect();
    assert!(jobs.len() > 30, "{} is not what it was", recorded.display());
    let cloud = Cloud::replay(recorded).await.unwrap();
    let wish = ProviderWish {
        endpoint: cloud.endpoint.clone(),
        ca_pem: cloud.ca_pem.clone(),
        ..ProviderWish::default()
    };
    let keys = Keys { api_key: KEYS.0.to_owned(), secret_key: KEYS.1.to_owned() };
    let provider = CloudStack::new(&wish, keys, Clock::system()).unwrap();
    let machines = provider.vms(None).await.unwrap();
    assert!(machines.len() > 1 && machines.iter().all(|vm| !vm.id.is_empty()), "{machines:?}");
    assert!(machines.iter().any(|vm| !vm.address.is_empty()));
    let addresses = provider.addresses("any").await.unwrap();
    assert!(
        addresses.iter().all(|address| !address.id.is_empty() && address.address.contains('.')),
        "{addresses:?}"
    );
    let rules = provider.rules(&RulesOf::Forwarding("any".to_owned())).await.unwrap();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule.port > 0 && !rule.vm.is_empty()), "{rules:?}");
    assert!(!provider.rules(&RulesOf::Firewall("any".to_owned())).await.unwrap().is_empty());
    let (mut done, mut failed) = (0, 0);
    for job in jobs {
        match provider.job(&job).await {
            Ok(Progress::Done(_)) => done += 1,
            Ok(Progress::Failed(error)) => {
                assert!(!error.reason.is_empty());
                failed += 1;
            }
            other => panic!("job {job}: {other:?}"),
        }
    }
    assert!(done > 30 && failed > 0, "{done} done, {failed} failed");
}
