//! The supervisor on a machine in memory, cut off at every command.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::AttemptId;

use super::{Phase, State, Upgrade, supervisor::supervise};
use crate::host::{
    Host,
    fake::{Answer, FakeHost},
};

const DIR: &str = "/var/lib/lotse-agent";

/// What a machine with systemd does, and which agent runs on it.
struct Machine {
    host: FakeHost,
    facts: Arc<Mutex<Facts>>,
}

#[derive(Debug)]
struct Facts {
    installed: &'static str,
    runs: &'static str,
    /// A new agent that proves itself.
    is_good: bool,
    /// dpkg refuses these packages, with these words.
    refused: Vec<(&'static str, &'static str)>,
    /// At this command from now on the power goes: before it has done anything, or right after.
    cut: Option<(usize, bool)>,
}

impl Machine {
    fn new(is_good: bool) -> Self {
        let host = FakeHost::new(0).with_file("/run/systemd/system", "");
        let facts = Facts { installed: "old", runs: "old", is_good, refused: Vec::new(), cut: None };
        let facts = Arc::new(Mutex::new(facts));
        let machine = Self { host, facts: facts.clone() };
        machine.host.run_by(Arc::new(move |host, command| {
            let facts = &mut *facts.lock().unwrap();
            let cut = match &mut facts.cut {
                Some((0, is_after)) => Some(*is_after),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            };
            // Whoever waits so long is dropped by the test.
            let gone = Answer::default().after(Duration::from_secs(1_000_000));
            if cut == Some(false) {
                return gone;
            }
            let answer = act(host, facts, &command.to_string());
            if cut == Some(true) { gone } else { answer }
        }));
        let state = State {
            attempt: AttemptId(3),
            phase: Phase::Prepared,
            from: "0.1.0".into(),
            to: "0.2.0".into(),
            limit_s: 60,
            trials: 0,
            reason: String::new(),
        };
        machine.upgrade().set(&state).unwrap();
        machine
    }

    fn upgrade(&self) -> Upgrade<'_> {
        Upgrade::new(&self.host, Path::new(DIR))
    }

    fn state(&self) -> State {
        self.upgrade().state().unwrap().unwrap()
    }

    async fn supervise(&self) {
        supervise(&self.host, Path::new(DIR), &CancellationToken::new()).await.unwrap();
    }

    /// With the power going at a command; then the machine starts again, and its supervisor with it.
    async fn supervise_with_power_cut(&self, at: usize, is_after: bool) {
        self.facts.lock().unwrap().cut = Some((at, is_after));
        let never = CancellationToken::new();
        let supervising = supervise(&self.host, Path::new(DIR), &never);
        timeout(Duration::from_secs(100_000), supervising).await.ok();
        let facts = &mut *self.facts.lock().unwrap();
        facts.cut = None;
        self.host.power_cut();
        self.host.write(Path::new("/run/systemd/system"), b"", 0o644).unwrap();
        // systemd starts what is installed.
        facts.runs = facts.installed;
    }
}

fn act(host: &FakeHost, facts: &mut Facts, command: &str) -> Answer {
    if command.starts_with("dpkg ") {
        let package = if command.ends_with("new.deb") { "new" } else { "old" };
        if let Some((_, why)) = facts.refused.iter().find(|(refused, _)| *refused == package) {
            return Answer::fails(2, why);
        }
        facts.installed = package;
    } else if command.starts_with("/bin/sh -eu -c cp ") {
        facts.installed = "old";
    } else if command == "systemctl stop lotse-agent.service" {
        // Its last deed, when the machine has just been started: it cannot know that it is not the one on trial.
        if facts.runs == "old" {
            Upgrade::new(host, Path::new(DIR)).prove().unwrap();
        }
        facts.runs = "";
    } else if command == "systemctl start lotse-agent.service" {
        facts.runs = facts.installed;
        if facts.runs == "new" && facts.is_good {
            Upgrade::new(host, Path::new(DIR)).prove().unwrap();
        }
    } else if command.starts_with("journalctl ") {
        return Answer::prints("starting\n\ncannot open /etc/x: no such file\n");
    }
    Answer::default()
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_that_proves_itself_stays() {
    let machine = Machine::new(true);
    machine.supervise().await;
    assert_eq!((machine.state().phase, machine.state().trials), (Phase::Done, 1));
    assert_eq!(machine.facts.lock().unwrap().runs, "new");
    assert_eq!(
        machine.host.list(Path::new("/var/lib/lotse-agent/upgrade")).unwrap(),
        ["state.json", "supervisor.pid"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_that_says_nothing_of_itself_goes_and_its_last_words_are_the_reason() {
    let machine = Machine::new(false);
    machine.supervise().await;
    let state = machine.state();
    assert_eq!(state.phase, Phase::Reverted);
    assert_eq!(
        state.reason,
        "the new agent (0.2.0) did not take up its work within 60 s; it said last: starting | cannot open /etc/x: no such file"
    );
    assert_eq!(machine.facts.lock().unwrap().runs, "old");
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_at_any_command_ends_with_one_working_agent_and_a_named_state() {
    for is_good in [true, false] {
        let whole = Machine::new(is_good);
        whole.supervise().await;
        let commands = whole.host.commands().len();
        assert!(commands >= 3);
        for (at, is_after) in (0..commands).flat_map(|at| [(at, false), (at, true)]) {
            let machine = Machine::new(is_good);
            machine.supervise_with_power_cut(at, is_after).await;
            machine.supervise().await;
            let (state, facts) = (machine.state(), machine.facts.lock().unwrap());
            let expected = if is_good { (Phase::Done, "new") } else { (Phase::Reverted, "old") };
            assert_eq!((state.phase, facts.runs), expected, "cut at {at} {is_after}: {state:?}");
            assert_eq!(facts.installed, facts.runs, "cut at {at} {is_after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_that_takes_the_machine_down_again_and_again_goes() {
    let machine = Machine::new(true);
    // Between its end and its start, each time.
    for _ in 0..4 {
        let restart = machine.host.commands().len();
        machine.supervise_with_power_cut(usize::from(restart == 0), false).await;
    }
    machine.supervise().await;
    let state = machine.state();
    assert_eq!(state.phase, Phase::Reverted);
    assert!(state.reason.contains("was started 3 times"), "{}", state.reason);
    assert_eq!(machine.facts.lock().unwrap().installed, "old");
}

#[tokio::test(start_paused = true)]
async fn a_package_that_dpkg_refuses_changes_nothing_and_the_reason_says_so() {
    let machine = Machine::new(true);
    machine.facts.lock().unwrap().refused = vec![("new", "lotse-agent depends on libc6 (>= 2.99)")];
    machine.supervise().await;
    let state = machine.state();
    assert_eq!(state.phase, Phase::Reverted);
    assert!(state.reason.contains("libc6 (>= 2.99)"), "{}", state.reason);
    assert_eq!(machine.facts.lock().unwrap().runs, "old");
}

#[tokio::test(start_paused = true)]
async fn an_old_package_that_cannot_be_put_back_leaves_at_least_the_old_program() {
    let machine = Machine::new(false);
    machine.facts.lock().unwrap().refused = vec![("old", "No space left on device")];
    machine.supervise().await;
    let state = machine.state();
    assert_eq!((state.phase, machine.facts.lock().unwrap().runs), (Phase::Reverted, "old"));
    assert!(state.reason.contains("only the old program is back, not its package: "), "{}", state.reason);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_told_to_stop_in_time_is_not_replaced() {
    let machine = Machine::new(true);
    machine.upgrade().ask_to_stop().unwrap();
    machine.supervise().await;
    assert_eq!(machine.state().phase, Phase::Reverted);
    assert_eq!(machine.facts.lock().unwrap().installed, "old");
}

#[tokio::test(start_paused = true)]
async fn dpkg_is_waited_for_while_somebody_else_uses_it() {
    let machine = Machine::new(true);
    let locked =
        Answer::fails(2, "dpkg: error: dpkg frontend lock was locked by another process with pid 7").once();
    machine.host.answer("dpkg ", locked);
    machine.supervise().await;
    assert_eq!((machine.state().phase, machine.facts.lock().unwrap().runs), (Phase::Done, "new"));
}

#[test]
fn what_another_version_has_written_is_understood() {
    let host = FakeHost::new(0).with_file(
        "/var/lib/lotse-agent/upgrade/state.json",
        r#"{"attempt":3,"phase":"watching","from":"0.1.0","to":"0.2.0","limit_s":120,"trials":1,"reason":"","more":[1]}"#,
    );
    let upgrade = Upgrade::new(&host, Path::new(DIR));
    assert_eq!(upgrade.on_trial(), Some(AttemptId(3)));
    let host = FakeHost::new(0).with_file(
        "/var/lib/lotse-agent/upgrade/state.json",
        r#"{"attempt":3,"phase":"dancing","from":"0.1.0","limit_s":120}"#,
    );
    let state = Upgrade::new(&host, Path::new(DIR)).state().unwrap().unwrap();
    assert_eq!((state.phase, state.trials), (Phase::Unknown, 0));
}
