//! Requests that nobody thought of, made by schemathesis from the API's own description: whatever is asked, the answer is one that is
//! described, and nothing fails inside the server. `FUZZ_SECONDS` says for how long; `make api-fuzz` takes its time.

use std::path::PathBuf;

use harness::{
    sample,
    server::{Engine, TestServer},
};
use server::{clock::Clock, domain::people::Role};

/// Streams do not end, and the token that asks must not be revoked.
const LEFT_OUT: [&str; 4] =
    ["--exclude-path-regex", "stream$", "--exclude-operation-id", "delete_tokens_by_id"];
/// What is described may still be refused, since the client, the job or the disk is not so.
const UNFIT_CHECKS: &str = "positive_data_acceptance";

#[expect(clippy::disallowed_methods, reason = "tests have no argument parser of their own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where `packaging/setup.sh` has put it.
fn program() -> PathBuf {
    let home = || format!("{}/.local/share", variable("HOME").unwrap());
    let usual = || format!("{}/lotse-tools", variable("XDG_DATA_HOME").unwrap_or_else(home));
    let tools = PathBuf::from(variable("LOTSE_TOOLS").unwrap_or_else(usual));
    let program = tools.join("fuzz/bin/schemathesis");
    assert!(program.is_file(), "{} is missing: `make setup` installs it", program.display());
    program
}

#[expect(clippy::disallowed_methods, reason = "the tests' own door to schemathesis")]
pub(super) async fn requests_of_every_kind_find_nothing_undescribed(engine: Engine) {
    let server =
        TestServer::start_as(engine, Clock::system(), |config| config.lease_s = 86_400).await.unwrap();
    sample::fill(&server.ctx).await.unwrap();
    let seconds = variable("FUZZ_SECONDS").unwrap_or_else(|| "20".to_owned());
    let work = tempfile::tempdir().unwrap();
    let run = tokio::process::Command::new(program())
        .arg("run")
        .arg(format!("{}/api/openapi.json", server.ctx.addresses.https))
        .arg("--tls-verify")
        .arg(server.data().join("ca.pem"))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", server.token(Role::Admin)))
        .args(LEFT_OUT)
        .args(["--checks", "all", "--exclude-checks", UNFIT_CHECKS, "--suppress-health-check", "all"])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--warnings",
            "off",
            "--no-color",
        ])
        .args(["--max-time", &seconds, "--seed", "1", "--request-retries", "2"])
        .current_dir(work.path())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert!(server.get("/api/v1/server").await.unwrap().status.is_success(), "the server has gone");
    server.stop().await.unwrap();
}
