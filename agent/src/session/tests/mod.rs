//! Whole sessions on fake machines against a server in memory, in virtual time.

use std::sync::Mutex;

use serde_json::{Value, json};
use wire::event::{EventKind, Outcome, Stream, Verdict};

use super::*;
use crate::{
    config::Addresses,
    host::{
        Power,
        fake::{Answer, FakeHost},
    },
    identity::NewKey,
    plan::tests::plan,
};

mod hosting;
mod packages;
mod server;
use server::FakeServer;

/// A machine, a server and what the console shows.
struct Stage {
    server: FakeServer,
    host: FakeHost,
    config: Config,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new(realm: Realm) -> Self {
        let server = FakeServer::new();
        let host = FakeHost::new(server.now())
            .with_file("/sys/class/net/eth0/address", "52:54:00:00:00:01\n")
            .with_file("/sys/class/net/eth0/carrier", "1\n")
            .with_file("/sys/class/net/eth0/device/vendor", "0x1af4\n");
        let addresses = Addresses {
            server: "https://s:8443".into(),
            agents: "https://s:8444".into(),
            boot: "http://s:8080".into(),
            ca: server.fingerprint(),
        };
        let config = Config { realm, ..Config::system(addresses, Some("token".into())) };
        Self { server, host, config, lines: Arc::default() }
    }

    /// A stage whose agent has enrolled already.
    fn enrolled() -> Self {
        let stage = Self::new(Realm::System);
        stage.give_identity(Realm::System);
        stage
    }

    fn give_identity(&self, made_in: Realm) {
        let key = NewKey::generate().unwrap();
        let credentials = key.into_credentials(self.server.identity(), made_in, self.host.now());
        credentials.store(&self.host, &self.config.state_dir).unwrap();
    }

    fn session(&self) -> Session {
        let lines = self.lines.clone();
        Session {
            config: self.config.clone(),
            host: Arc::new(self.host.clone()),
            connect: Arc::new(self.server.clone()),
            console: Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())),
        }
    }

    /// Runs the agent until it asks for work and there is none, or its machine goes down.
    async fn run(&self) -> Ended {
        let stop = CancellationToken::new();
        let session = self.session();
        let mut running = std::pin::pin!(run(&session, &stop));
        tokio::select! {
            ended = &mut running => return ended.unwrap(),
            () = self.server.idle() => stop.cancel(),
        }
        running.await.unwrap()
    }

    /// Runs the agent for a while, then drops it as a crash would.
    async fn crash_after(&self, time: Duration) {
        let session = self.session();
        let stop = CancellationToken::new();
        let outcome = tokio::time::timeout(time, run(&session, &stop)).await;
        assert!(outcome.is_err(), "it ended before: {outcome:?}");
    }

    fn console(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    fn scripts(&self) -> Vec<String> {
        self.host.command_lines().into_iter().filter(|line| line.starts_with("/bin/sh")).collect()
    }
}

fn script(id: &str, text: &str) -> Value {
    json!({ "id": id, "title": { "en": id }, "timeout_s": 3600, "kind": "script", "text": text })
}

fn reboot() -> Value {
    json!({ "id": "reboot", "title": { "en": "reboot" }, "timeout_s": 60, "kind": "reboot" })
}

fn kinds(stage: &Stage, attempt: i64) -> Vec<String> {
    let word = |kind: EventKind| match kind {
        EventKind::StepStarted { step } => format!("+{step}"),
        EventKind::StepFinished { step } => format!("-{step}"),
        EventKind::Finished { .. } => "end".to_owned(),
        _ => "…".to_owned(),
    };
    let mut words: Vec<String> =
        stage.server.events(attempt).into_iter().map(|event| word(event.kind)).collect();
    words.dedup();
    words
}

#[tokio::test(start_paused = true)]
async fn facts_are_measured_again_when_they_are_old() {
    let stage = Stage::enrolled();
    let session = stage.session();
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(run(&session, &stop));
    let mut told = Vec::new();
    for hours in [5, 2, 0] {
        tokio::select! {
            ended = &mut running => panic!("it ended: {ended:?}"),
            () = stage.server.idle() => {}
        }
        told.push(stage.server.calls("facts"));
        stage.host.advance_clock(hours * 3_600_000_000);
    }
    assert_eq!(told, [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_new_machine_waits_for_adoption_and_then_does_its_job() {
    let stage = Stage::new(Realm::Installer);
    stage.server.wait_for_adoption(3);
    stage.server.queue(
        1,
        &json!({ "job": 1, "client": 7, "job_type": "t", "realm": null, "steps": [script("a", "x")] }),
    );
    stage.host.answer("/bin/sh", Answer::prints("one\ntwo"));
    assert_eq!(stage.run().await, Ended::Stopped);
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(stage.server.output(1), ["one", "two"]);
    assert_eq!(kinds(&stage, 1), ["+a", "…", "-a", "end"]);
    assert_eq!(stage.server.calls("enrol"), 4);
    assert_eq!(stage.console().matches("Please adopt me.").count(), 1);
    assert!(stage.console().contains("this machine's key: "));
}

#[tokio::test(start_paused = true)]
async fn on_a_bad_network_every_line_arrives_once_and_in_order() {
    let stage = Stage::new(Realm::System);
    stage.server.lose_messages();
    let text = (0..3000).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n");
    stage.host.answer("/bin/sh", Answer::prints(&text).after(Duration::from_secs(100)));
    for attempt in 1..=3 {
        stage.server.queue(attempt, &plan(&json!([script("a", "x"), script("b", "y")])));
    }
    stage.run().await;
    let expected: Vec<&str> = text.lines().chain(text.lines()).collect();
    for attempt in 1..=3 {
        assert_eq!(stage.server.outcome(attempt), Some(Outcome::Succeeded));
        assert!(stage.server.output(attempt) == expected, "lines of attempt {attempt} differ");
    }
    assert_eq!(stage.scripts().len(), 6, "no step ran twice");
}

#[tokio::test(start_paused = true)]
async fn a_clock_in_2001_is_set_before_anything_else_is_asked() {
    let stage = Stage::new(Realm::System);
    stage.host.set_clock(978_307_200_000_000).unwrap();
    stage.run().await;
    assert_eq!(stage.host.now(), stage.server.now());
    assert!(stage.console().contains("the clock was wrong"));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_ca_gets_no_token_and_no_storm_of_requests() {
    let mut stage = Stage::new(Realm::Installer);
    let expected = FakeServer::new().fingerprint();
    stage.config.addresses.ca = expected.clone();
    stage.crash_after(Duration::from_mins(10)).await;
    assert_eq!(stage.server.calls("enrol"), 0);
    assert!(stage.server.calls("trust") <= 11);
    assert!(stage.console().contains(expected.as_str()));
    assert!(stage.console().contains(stage.server.fingerprint().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_shown_and_the_machine_waits_to_be_adopted() {
    let stage = Stage::new(Realm::Installer);
    stage.server.refuse_tokens();
    stage.server.wait_for_adoption(1);
    stage.run().await;
    assert!(stage.console().contains("refused the enrolment"));
    assert_eq!(stage.server.calls("enrol"), 3);
}

#[tokio::test(start_paused = true)]
async fn the_enrol_command_ends_with_the_reason_of_a_refused_token() {
    let stage = Stage::new(Realm::System);
    stage.server.refuse_tokens();
    stage.give_identity(Realm::System);
    let error = enrol(&stage.session(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(reason) if reason.contains("because")), "{error}");
    assert!(
        Credentials::find(&stage.host, &stage.config.state_dir).unwrap().is_some(),
        "the old identity is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_its_step() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x"), script("b", "y")])));
    stage.server.decide(Verdict::Cancel { reason: "wrong client".into() });
    stage.host.answer("/bin/sh", Answer::prints("working").after(Duration::from_mins(50)));
    stage.run().await;
    assert_eq!(stage.server.outcome(1), Some(Outcome::Cancelled));
    assert_eq!(stage.scripts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_step_said_when_the_agent_was_told_to_stop_is_not_lost() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.host.answer("/bin/sh", Answer::prints("one\ntwo\nthree").after(Duration::from_hours(1)));
    stage.server.take_reports_down(true);
    let (session, stop) = (stage.session(), CancellationToken::new());
    let told = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(&session, &stop), told);
    assert_eq!(ended.unwrap(), Ended::Stopped);
    stage.server.take_reports_down(false);
    stage.run().await;
    assert_eq!(stage.server.output(1), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_attempt_is_stopped_and_never_mentioned_again() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.server.decide(Verdict::Superseded { reason: "lease ran out".into() });
    stage.host.answer("/bin/sh", Answer::prints("working").after(Duration::from_mins(50)));
    stage.run().await;
    assert_eq!(stage.server.outcome(1), None);
    assert_eq!(stage.server.reports_after_superseded(), Some(0));
    let host: Arc<dyn Host> = Arc::new(stage.host.clone());
    assert!(journal::Journal::find(&host, &stage.config.state_dir).unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_too_long_is_stopped() {
    let stage = Stage::enrolled();
    let mut step = script("slow", "x");
    step["timeout_s"] = json!(10);
    stage.server.queue(1, &plan(&json!([step])));
    stage.host.answer("/bin/sh", Answer::default().after(Duration::from_mins(50)));
    stage.run().await;
    let reason = "the step took longer than its 10 s".to_owned();
    assert_eq!(
        stage.server.outcome(1),
        Some(Outcome::Failed { step: "slow".into(), reason, transient: true })
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_command_fails_the_job_with_its_words() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x"), script("b", "y")])));
    stage.host.answer("/bin/sh", Answer::fails(100, "E: no such package"));
    stage.run().await;
    let outcome = stage.server.outcome(1);
    let Some(Outcome::Failed { step, reason, transient: false }) = &outcome else { panic!("{outcome:?}") };
    assert!(step == "a" && reason.contains("E: no such package"), "{reason}");
    assert_eq!(stage.scripts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forged_plan_is_refused_before_anything_runs() {
    let stage = Stage::enrolled();
    stage.server.queue_forged(1, &plan(&json!([script("a", "x")])));
    stage.run().await;
    assert!(matches!(stage.server.outcome(1), Some(Outcome::Refused { .. })));
    assert!(stage.scripts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_script_cut_off_by_a_power_cut_fails_and_none_of_its_output_is_lost() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x"), script("b", "y")])));
    stage.host.answer("/bin/sh", Answer::prints("b half done").after(Duration::from_mins(50)).once());
    stage.host.answer("/bin/sh", Answer::prints("a done").once());
    stage.crash_after(Duration::from_secs(30)).await;
    stage.host.power_cut();
    stage.run().await;
    let outcome = stage.server.outcome(1);
    let Some(Outcome::Failed { step, reason, transient: true }) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(step, "b");
    assert_eq!(reason, "the agent stopped in the middle of step b (the machine was restarted)");
    assert_eq!(stage.server.output(1), ["a done", "b half done"]);
    assert_eq!(stage.scripts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_finished_before_the_power_cut_is_not_run_again() {
    let stage = Stage::enrolled();
    let lease = stage.server.queue(1, &plan(&json!([script("a", "first"), script("b", "second")])));
    // Between two steps: the journal has the first one, its report was never sent.
    let host: Arc<dyn Host> = Arc::new(stage.host.clone());
    let mut journal = journal::Journal::begin(&host, &stage.config.state_dir, &lease).unwrap();
    journal.step_begins("a", "an earlier boot").unwrap();
    journal.step_ends("a").unwrap();
    stage.host.power_cut();
    stage.run().await;
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
    let scripts = stage.scripts();
    assert_eq!(scripts.len(), 1, "{scripts:?}");
    assert_eq!(kinds(&stage, 1), ["-a", "+b", "-b", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_restarts_only_after_the_server_knows_the_outcome_and_only_once() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x"), reboot()])));
    assert_eq!(stage.run().await, Ended::Down);
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(stage.host.powers(), [Power::Reboot]);
    stage.host.power_cut();
    assert_eq!(stage.run().await, Ended::Stopped);
    assert_eq!(stage.host.powers(), [Power::Reboot]);
    assert_eq!(stage.scripts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_server_is_away_restarts_anyway_and_tells_it_afterwards() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([reboot()])));
    stage.server.take_reports_down(true);
    assert_eq!(stage.run().await, Ended::Down);
    assert_eq!(stage.server.outcome(1), None);
    stage.host.power_cut();
    stage.crash_after(Duration::from_mins(10)).await;
    stage.server.take_reports_down(false);
    assert_eq!(stage.run().await, Ended::Stopped);
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(stage.host.powers(), [Power::Reboot]);
}

#[tokio::test(start_paused = true)]
async fn an_identity_from_the_installer_gets_a_fresh_key_on_the_installed_system() {
    let stage = Stage::new(Realm::System);
    stage.give_identity(Realm::Installer);
    let before = Credentials::find(&stage.host, &stage.config.state_dir).unwrap().unwrap();
    stage.run().await;
    stage.run().await;
    let after = Credentials::find(&stage.host, &stage.config.state_dir).unwrap().unwrap();
    assert_eq!(stage.server.renewals(), [Realm::System]);
    assert_ne!(before.key_pem, after.key_pem);
    assert_eq!(stage.server.calls("enrol"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_installer_that_the_server_forgot_enrols_again() {
    let stage = Stage::new(Realm::Installer);
    stage.server.refuse_poll(401);
    stage.run().await;
    assert_eq!(stage.server.calls("enrol"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_installed_system_that_the_server_forgot_keeps_its_identity() {
    let stage = Stage::enrolled();
    stage.server.refuse_poll(403);
    stage.run().await;
    assert_eq!(stage.server.calls("enrol"), 0);
    assert!(Credentials::find(&stage.host, &stage.config.state_dir).unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_declines_the_attempt_with_its_reason() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.host.break_writes(Some("/var/lib/lotse-agent"));
    stage.run().await;
    let outcome = stage.server.outcome(1);
    let Some(Outcome::Failed { reason, transient: true, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("journal"), "{reason}");
    assert!(stage.scripts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_tool_set_is_fetched_in_pieces_checked_and_entered_once() {
    let stage = Stage::new(Realm::Installer);
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let steps = json!([script("a", "x"), script("b", "y")]);
    stage.server.queue_with_tools(
        1,
        &json!({ "job": 1, "client": 7, "job_type": "t", "steps": steps }),
        &content,
    );
    stage.run().await;
    assert_eq!(stage.server.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(stage.host.file("/run/lotse-agent/tools.squashfs").unwrap().content, content);
    assert_eq!(stage.host.entered().as_deref(), Some(Path::new("/tools/root")));
    assert!(stage.server.calls("blob") > 2, "the download never broke off");
    let mounted: Vec<_> = stage.host.mounts().into_iter().map(|mount| mount.target).collect();
    let inside = ["layer", "root", "root/dev", "root/proc", "root/sys", "root/run"];
    assert_eq!(mounted, inside.map(|dir| Path::new("/tools").join(dir)));
    let mounted = stage.host.command_lines().iter().filter(|line| line.starts_with("mount ")).count();
    assert_eq!((mounted, stage.scripts().len()), (1, 2), "mounted once for two scripts");
}

#[tokio::test(start_paused = true)]
async fn a_tool_set_with_another_hash_is_never_mounted() {
    let stage = Stage::new(Realm::Installer);
    let plan = json!({ "job": 1, "client": 7, "job_type": "t", "steps": [script("a", "x")] });
    stage.server.queue_with_tools(1, &plan, b"good");
    stage.server.corrupt_blobs();
    stage.run().await;
    let outcome = stage.server.outcome(1);
    let Some(Outcome::Failed { reason, transient: true, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("hash"), "{reason}");
    assert!(stage.host.mounts().is_empty() && stage.scripts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_prints_faster_than_the_server_takes_is_slowed_down() {
    use crate::{pace::Paced, spool::Spool};
    let host: Arc<dyn Host> = Arc::new(FakeHost::new(0));
    let spool = Spool::open(&host, "/spool".into(), 10_000).unwrap();
    let stop = CancellationToken::new();
    let said = Mutex::new(0);
    let talk = async {
        for _ in 0..1000 {
            let line = "x".repeat(100);
            spool.push(0, EventKind::Output { step: "s".into(), stream: Stream::Stdout, line });
            *said.lock().unwrap() += 1;
            tokio::task::yield_now().await;
        }
    };
    let mut talk = Paced::new(Box::pin(talk), &spool, &stop);
    let pause = Duration::from_secs(1);
    assert!(tokio::time::timeout(pause, &mut talk).await.is_err(), "it was not held back");
    let held_at = *said.lock().unwrap();
    assert!(held_at < 100, "{held_at} lines were said");
    let last = spool.next_batch().unwrap().last().unwrap().seq;
    spool.acknowledge(last).unwrap();
    assert!(tokio::time::timeout(pause, &mut talk).await.is_err());
    assert!(*said.lock().unwrap() > held_at, "it did not go on");
    stop.cancel();
    talk.await;
    assert_eq!(*said.lock().unwrap(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_lost_what_it_had_stored_hears_that_the_attempt_failed() {
    let stage = Stage::enrolled();
    stage.server.queue(1, &plan(&json!([script("a", "x")])));
    stage.host.answer("/bin/sh", Answer::prints("one\ntwo").after(Duration::from_mins(5)));
    let restoring = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!stage.server.events(1).is_empty(), "nothing was stored before");
        stage.server.restore_a_backup();
    };
    let running = tokio::time::timeout(Duration::from_hours(1), stage.run());
    let (ended, ()) = tokio::join!(running, restoring);
    ended.expect("it asks for ever");
    let outcome = stage.server.outcome(1);
    let Some(Outcome::Failed { reason, transient: true, .. }) = &outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("backup"), "{reason}");
}
