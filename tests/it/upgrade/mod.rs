//! The agent replaces itself, with real processes, a real dpkg and a real server.

mod machine;

use std::time::{Duration, Instant};

use agent::{config::Addresses, upgrade::Phase};
use harness::{fleet::server::FleetServer, server::Engine};
use reqwest::Method;
use serde_json::{Value, json};

use self::machine::{Machine, package, real};

/// Longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// The shortest limit that there is.
const LIMIT_S: u32 = 10;

struct Site {
    server: FleetServer,
    machine: Machine,
}

impl Site {
    async fn start() -> Self {
        let server = FleetServer::start(Engine::Sqlite).await.unwrap();
        server.send(Method::POST, "/api/v1/clients", &json!({ "name": "pc" })).await.unwrap().ok().unwrap();
        let path = "/api/v1/clients/pc/enrol-command";
        let made = server.send(Method::POST, path, &json!({})).await.unwrap().ok().unwrap();
        let command = made["command"].as_str().unwrap();
        let token = command.split_whitespace().find_map(|word| word.strip_prefix("LOTSE_TOKEN=")).unwrap();
        let addresses = Addresses {
            server: server.addresses.https.clone(),
            agents: server.addresses.agents.clone(),
            boot: server.addresses.boot.clone(),
            ca: server.addresses.ca.parse().unwrap(),
        };
        let machine = Machine::new(&addresses, token.trim_matches('\''));
        Self { server, machine }
    }

    /// The server has this agent from now on.
    async fn offer(&self, version: &str, program: &str) -> Value {
        let package = self.server.store(package(version, program)).await.unwrap();
        let image = json!({ "name": "agent", "recipe": "0".repeat(64), "version": version, "parts": { "package": package } });
        self.server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
        package
    }

    async fn order(&self, params: Value) -> Result<i64, String> {
        let mut params = params;
        params["limit"] = json!(LIMIT_S);
        params["reinstall"] = json!(true);
        let order = json!({ "job_type": "agent-upgrade", "params": params });
        let answer = self.server.send(Method::POST, "/api/v1/clients/pc/jobs", &order).await.unwrap();
        answer.ok().map(|id| id.as_i64().unwrap()).map_err(|error| error.to_string())
    }

    async fn job(&self, id: i64) -> Value {
        let path = format!("/api/v1/jobs/{id}");
        // The server may be away at the moment.
        match self.server.send(Method::GET, &path, &Value::Null).await {
            Ok(answer) => answer.json(),
            Err(_) => Value::Null,
        }
    }

    /// Waits until a job is over.
    async fn end_of(&self, id: i64) -> (String, String) {
        let begun = Instant::now();
        loop {
            let job = self.job(id).await;
            let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
            if ["succeeded", "failed", "cancelled"].contains(&text("state").as_str()) {
                return (text("state"), text("reason"));
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{job:#}\n{:?}\n{}",
                self.machine.state(),
                self.machine.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}\n{:?}\n{}", self.machine.state(), self.machine.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn upgrade(&self) -> (String, String) {
        let id = self.order(json!({})).await.unwrap();
        self.end_of(id).await
    }

    /// The supervisor has cleaned up, and the agent is the old or the new one, as dpkg says.
    async fn is_settled(&self, version: &str, mark: &str) {
        self.until("nothing is left", |site| {
            !site.machine.left().iter().any(|name| name.ends_with(".deb") || name == "supervisor")
        })
        .await;
        assert_eq!(self.machine.package(), format!("ii {version}"));
        assert!(self.machine.program().contains(&format!("# {mark}\n")), "{}", self.machine.program());
    }

    /// The agent that is there does what it is asked.
    async fn works(&self) {
        let order = json!({ "job_type": "script", "params": { "text": "true" } });
        let answer = self.server.send(Method::POST, "/api/v1/clients/pc/jobs", &order).await.unwrap();
        let id = answer.ok().unwrap().as_i64().unwrap();
        assert_eq!(self.end_of(id).await.0, "succeeded");
    }
}

#[tokio::test]
async fn a_healthy_agent_takes_over_and_the_next_one_and_an_older_one_when_asked() {
    let site = Site::start().await;
    for (version, params) in
        [("0.2.0", json!({})), ("0.3.0", json!({})), ("0.0.2", json!({ "downgrade": true }))]
    {
        site.offer(version, &real(version)).await;
        let id = site.order(params).await.unwrap();
        assert_eq!(site.end_of(id).await, ("succeeded".to_owned(), String::new()), "{}", site.machine.log());
        site.is_settled(version, version).await;
        site.works().await;
    }
    // What the agent says of itself is older than nothing, so only somebody who asks for it gets an older one.
    let refused = site.order(json!({})).await.unwrap_err();
    assert!(refused.contains("downgrade"), "{refused}");
}

#[tokio::test]
async fn an_agent_that_crashes_at_its_start_goes_and_its_words_are_the_reason() {
    let site = Site::start().await;
    site.offer("0.2.0", "#!/bin/sh\n# crash\necho 'cannot open libfoo.so.3'\nexit 127\n").await;
    let (state, reason) = site.upgrade().await;
    assert_eq!(state, "failed");
    assert!(reason.contains("has ended; it said last: cannot open libfoo.so.3"), "{reason}");
    site.is_settled("0.0.1", "first").await;
    site.works().await;
}

#[tokio::test]
async fn an_agent_that_hangs_goes_after_its_limit() {
    let site = Site::start().await;
    site.offer("0.2.0", "#!/bin/sh\n# hang\ntrap '' TERM\nwhile :; do sleep 1; done\n").await;
    let (state, reason) = site.upgrade().await;
    assert_eq!(state, "failed");
    assert!(reason.contains("did not take up its work within 10 s; it said nothing"), "{reason}");
    site.is_settled("0.0.1", "first").await;
    site.works().await;
}

#[tokio::test]
async fn an_agent_that_reaches_no_server_goes() {
    let site = Site::start().await;
    site.offer("0.2.0", "#!/bin/sh\n# alone\nexec unshare --net /lotse-agent \"$@\"\n").await;
    let (state, reason) = site.upgrade().await;
    assert_eq!(state, "failed");
    assert!(reason.contains("did not take up its work within 10 s; it said last:"), "{reason}");
    assert!(reason.contains("waiting for the server"), "{reason}");
    site.is_settled("0.0.1", "first").await;
}

#[tokio::test]
async fn a_package_that_dpkg_cannot_install_changes_nothing() {
    let site = Site::start().await;
    let package = site.server.store(b"!<arch>\nthis is no package".to_vec()).await.unwrap();
    let image = json!({ "name": "agent", "recipe": "0".repeat(64), "version": "0.2.0", "parts": { "package": package } });
    site.server.send(Method::POST, "/api/v1/images", &image).await.unwrap().ok().unwrap();
    let (state, reason) = site.upgrade().await;
    assert_eq!(state, "failed");
    assert!(reason.contains("the new agent's package cannot be installed"), "{reason}");
    site.is_settled("0.0.1", "first").await;
    site.works().await;
}

#[tokio::test]
async fn a_power_cut_in_any_phase_ends_with_one_working_agent_and_a_job_that_says_which() {
    for (program, state, version, mark) in [
        (real("new"), "succeeded", "0.2.0", "new"),
        ("#!/bin/sh\n# crash\nexit 1\n".to_owned(), "failed", "0.0.1", "first"),
    ] {
        let mut site = Site::start().await;
        let phases = [Phase::Prepared, Phase::Switching, Phase::Watching, Phase::Reverting];
        for phase in phases.into_iter().filter(|phase| state == "failed" || *phase != Phase::Reverting) {
            // From the first version each time.
            site.offer("0.0.1", &real("first")).await;
            let id = site.order(json!({ "downgrade": true })).await.unwrap();
            assert_eq!(site.end_of(id).await.0, "succeeded", "{}", site.machine.log());
            site.is_settled("0.0.1", "first").await;
            site.offer("0.2.0", &program).await;
            let id = site.order(json!({})).await.unwrap();
            // A phase may be over before it is seen; then the cut comes in the next one.
            site.until("the phase begins", |site| {
                site.machine.state().is_some_and(|state| reached(state.phase, phase))
                    && site.machine.state().is_some_and(|state| state.to == "0.2.0")
            })
            .await;
            site.machine.cut_power();
            site.machine.switch_on();
            let (ended, reason) = site.end_of(id).await;
            assert_eq!(ended, state, "{phase:?}: {reason}\n{}", site.machine.log());
            assert_eq!(reason.is_empty(), state == "succeeded", "{phase:?}: {reason}");
            site.is_settled(version, mark).await;
            site.works().await;
        }
    }
}

fn reached(phase: Phase, wanted: Phase) -> bool {
    let place = |phase| match phase {
        Phase::Prepared | Phase::Unknown => 0,
        Phase::Switching => 1,
        Phase::Watching => 2,
        Phase::Reverting => 3,
        Phase::Done | Phase::Reverted => 4,
    };
    place(phase) >= place(wanted)
}

#[tokio::test]
async fn a_supervisor_that_is_killed_is_started_again() {
    let site = Site::start().await;
    // It is slow to start, so that there is time to kill.
    site.offer("0.2.0", "#!/bin/sh\n# slow\necho begins\nsleep 3\nexec /lotse-agent \"$@\"\n").await;
    let id = site.order(json!({})).await.unwrap();
    site.until("the trial begins", |site| site.machine.said_on_trial().contains("begins")).await;
    site.machine.run("read -r id rest < /var/lib/lotse-agent/upgrade/supervisor.pid; kill -9 $id");
    assert_eq!(site.end_of(id).await, ("succeeded".to_owned(), String::new()));
    site.is_settled("0.2.0", "slow").await;
}

#[tokio::test]
async fn a_supervisor_that_is_killed_between_two_agents_is_started_again() {
    let site = Site::start().await;
    site.offer("0.2.0", "#!/bin/sh\n# slow\necho begins\nsleep 3\nexec /lotse-agent \"$@\"\n").await;
    let id = site.order(json!({})).await.unwrap();
    site.until("the trial begins", |site| site.machine.said_on_trial().contains("begins")).await;
    // Neither of them is left to start the other one.
    site.machine.run(
        "cd /var/lib/lotse-agent/upgrade; read -r agent rest < agent.pid; read -r id rest < supervisor.pid; \
         kill -9 $id $agent",
    );
    assert_eq!(site.end_of(id).await, ("succeeded".to_owned(), String::new()), "{}", site.machine.log());
    site.is_settled("0.2.0", "slow").await;
    site.works().await;
}

#[tokio::test]
async fn a_server_that_restarts_meanwhile_changes_nothing() {
    let mut site = Site::start().await;
    site.offer("0.2.0", &real("new")).await;
    let id = site.order(json!({})).await.unwrap();
    site.until("the switch begins", |site| {
        site.machine.state().is_some_and(|state| reached(state.phase, Phase::Switching))
    })
    .await;
    site.server.kill_and_restart().await.unwrap();
    assert_eq!(site.end_of(id).await, ("succeeded".to_owned(), String::new()), "{}", site.machine.log());
    site.is_settled("0.2.0", "new").await;
}

#[tokio::test]
async fn a_full_disk_fails_the_job_before_anything_is_changed() {
    let site = Site::start().await;
    site.offer("0.2.0", &real("new")).await;
    site.machine.run(
        "mkdir /tmp/small && mount -t tmpfs -o size=1m tmpfs /tmp/small && cp -a /var/lib/lotse-agent/. /tmp/small/ && \
         mount --bind /tmp/small /var/lib/lotse-agent",
    );
    let (state, reason) = site.upgrade().await;
    assert_eq!(state, "failed");
    assert!(reason.contains("No space left"), "{reason}");
    site.works().await;
    assert_eq!(site.machine.package(), "ii 0.0.1");
}
