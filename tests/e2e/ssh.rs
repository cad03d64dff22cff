//! Commands on machines by SSH. Their host keys are new each time, so nobody knows them; the network is the test's own.

use std::path::Path;

use anyhow::Result;
use harness::site::Site;

/// A new key pair: the files of the private and the public key.
pub(crate) fn key_pair(directory: &Path) -> Result<(String, String)> {
    let key = directory.join("key");
    Site::run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key.display().to_string()])?;
    Ok((key.display().to_string(), key.with_extension("pub").display().to_string()))
}

/// Runs a command as root on a machine.
pub(crate) async fn ssh(address: &str, key: &str, command: &str) -> Result<String> {
    login("root", address, key, command).await
}

/// Runs a command as a user of a machine.
pub(crate) async fn login(user: &str, address: &str, key: &str, command: &str) -> Result<String> {
    run("ssh", key, &[&format!("{user}@{address}"), command]).await
}

/// Copies a file to a machine.
pub(crate) async fn copy(address: &str, key: &str, from: &Path, to: &str) -> Result<()> {
    run("scp", key, &["-q", &from.display().to_string(), &format!("root@{address}:{to}")]).await.map(drop)
}

async fn run(program: &str, key: &str, words: &[&str]) -> Result<String> {
    let mut argv = vec![program, "-i", key];
    for option in [
        "ConnectionAttempts=30",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "ConnectTimeout=10",
    ] {
        argv.extend(["-o", option]);
    }
    argv.extend(words);
    let argv: Vec<_> = argv.into_iter().map(str::to_owned).collect();
    tokio::task::spawn_blocking(move || Site::run(&argv.iter().map(String::as_str).collect::<Vec<_>>()))
        .await?
}
