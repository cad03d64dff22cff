//! Each check finds a run in which what it guards was broken, and nothing in a good one.

use agent::host::Command;
use server::domain::job::{Attempt, Job};
use wire::{AttemptId, ClientId, JobId};

use super::*;
use crate::fleet::record::{HistoryLine, MachineRecord, Ordered};

const CLIENT: ClientId = ClientId(1);

fn attempt(id: i64, number: i64, state: AttemptState, reason: &str, events: Vec<Event>) -> AttemptRecord {
    let attempt = Attempt {
        id: AttemptId(id),
        job: JobId(5),
        client: CLIENT,
        number,
        boot_id: "boot".into(),
        state,
        reason: reason.into(),
        step: "s".into(),
        percent: 100,
        message: String::new(),
        started_at: 0,
        leased_until: 1,
        finished_at: Some(1),
        stored_seq: i64::try_from(events.len()).unwrap(),
        output_bytes: 0,
    };
    AttemptRecord { attempt, events }
}

fn events(lines: &[&str], outcome: Outcome) -> Vec<Event> {
    let line = |line: &&str| EventKind::Output {
        step: "s".into(),
        stream: Stream::Stdout,
        line: (*line).to_owned(),
    };
    let kinds = lines.iter().map(line).chain([EventKind::Finished { outcome }]);
    kinds.zip(1..).map(|(kind, seq)| Event { seq, at: 0, kind }).collect()
}

fn process(attempt: i64, began: u64, end: FakeEnd, lines: &[&str]) -> FakeProcess {
    FakeProcess {
        command: Command::new(["/bin/sh", "-eu", &format!("/run/lotse-step-{attempt}.sh")]),
        script: "the script".into(),
        began,
        ended: Some((began + 1, end)),
        printed: lines.iter().map(|line| (Stream::Stdout, (*line).to_owned())).collect(),
    }
}

fn change(from: Option<JobState>, to: JobState) -> HistoryLine {
    HistoryLine { from, to, actor: "test".into(), reason: String::new(), at: 0 }
}

fn busy() -> Outcome {
    Outcome::Failed { step: "s".into(), reason: "busy".into(), transient: true }
}

/// A job that was busy once and then succeeded, on a calm machine.
fn good() -> Record {
    let job = Job {
        id: JobId(5),
        client: CLIENT,
        job_type: "fleet-again".into(),
        params: serde_json::Value::Null,
        realm: None,
        priority: 25,
        state: JobState::Succeeded,
        reason: String::new(),
        not_before: None,
        expires_at: None,
        max_attempts: 3,
        retry_after_s: 1,
        attempts: 2,
        cancel_reason: None,
        released: false,
        created_at: 0,
        created_by: "test".into(),
        finished_at: Some(1),
        version: 1,
        joined_to: None,
        alone: false,
        needs: Vec::new(),
    };
    let order = Ordered {
        id: JobId(5),
        client: CLIENT,
        scripts: 1,
        status: 0,
        busy: 1,
        cancelled: false,
        needs: false,
    };
    let (queued, running) = (JobState::Queued, JobState::Running);
    let history = vec![
        change(None, queued),
        change(Some(queued), running),
        change(Some(running), queued),
        change(Some(queued), running),
        change(Some(running), JobState::Succeeded),
    ];
    let attempts = vec![
        attempt(8, 1, AttemptState::Failed, "busy", events(&["one"], busy())),
        attempt(9, 2, AttemptState::Succeeded, "", events(&["one", "two"], Outcome::Succeeded)),
    ];
    let processes = vec![
        process(8, 1, FakeEnd::Status(75), &["one"]),
        process(9, 3, FakeEnd::Status(0), &["one", "two"]),
    ];
    Record {
        machines: vec![MachineRecord { client: CLIENT, processes, is_calm: true }],
        jobs: vec![JobRecord { order, job: Some(job), history, attempts }],
    }
}

fn job(record: &mut Record) -> &mut Job {
    record.jobs[0].job.as_mut().unwrap()
}

fn last(record: &mut Record) -> &mut AttemptRecord {
    record.jobs[0].attempts.last_mut().unwrap()
}

/// Breaks a good record, and expects that this check finds it.
fn finds(check: fn(&Record) -> Vec<String>, broken: impl Fn(&mut Record)) {
    assert_eq!(check(&good()), Vec::<String>::new());
    let mut record = good();
    broken(&mut record);
    assert_ne!(check(&record), Vec::<String>::new());
    assert_ne!(violations(&record), Vec::<String>::new());
}

#[test]
fn nothing_is_wrong_with_a_good_run() {
    assert_eq!(violations(&good()), Vec::<String>::new());
}

#[test]
fn a_job_that_is_lost_or_does_not_end_or_ends_twice_is_found() {
    finds(every_job_has_ended_once, |record| record.jobs[0].job = None);
    finds(every_job_has_ended_once, |record| job(record).state = JobState::Running);
    finds(every_job_has_ended_once, |record| job(record).state = JobState::Failed);
    finds(every_job_has_ended_once, |record| {
        let end = record.jobs[0].history.last().unwrap().clone();
        record.jobs[0].history.push(end);
    });
    finds(every_job_has_ended_once, |record| {
        record.jobs[0].history.remove(2);
    });
    finds(every_job_has_ended_once, |record| {
        record.jobs[0].history.pop();
    });
}

#[test]
fn an_attempt_that_is_missing_or_still_runs_or_comes_after_the_last_is_found() {
    finds(attempts_are_counted_and_over, |record| {
        record.jobs[0].attempts.remove(0);
    });
    finds(attempts_are_counted_and_over, |record| job(record).max_attempts = 1);
    finds(attempts_are_counted_and_over, |record| last(record).attempt.finished_at = None);
    finds(attempts_are_counted_and_over, |record| {
        record.jobs[0].attempts[0].attempt.state = AttemptState::Cancelled;
    });
    finds(attempts_are_counted_and_over, |record| {
        record.jobs[0].history.remove(1);
    });
}

#[test]
fn two_processes_at_once_are_found() {
    finds(no_two_processes_ran_at_once, |record| {
        record.machines[0].processes[0].ended = Some((4, FakeEnd::Status(75)));
    });
    finds(no_two_processes_ran_at_once, |record| record.machines[0].processes[1].ended = None);
}

#[test]
fn somebody_elses_work_is_found() {
    finds(nothing_ran_that_no_attempt_knows, |record| {
        record.machines[0].processes.push(process(77, 9, FakeEnd::Status(0), &[]));
    });
}

#[test]
fn a_step_that_runs_twice_is_found() {
    finds(every_step_of_an_attempt_ran_at_most_once, |record| {
        record.machines[0].processes.push(process(9, 9, FakeEnd::Status(0), &["one", "two"]));
    });
}

#[test]
fn success_without_its_work_and_work_after_success_are_found() {
    let check = what_succeeded_ran_to_its_end_and_not_again;
    finds(check, |record| {
        record.machines[0].processes.pop();
    });
    finds(check, |record| record.machines[0].processes[1].ended = Some((4, FakeEnd::Status(1))));
    finds(check, |record| record.machines[0].processes[0].ended = Some((2, FakeEnd::Status(0))));
    finds(check, |record| last(record).attempt.state = AttemptState::Failed);
    finds(check, |record| job(record).state = JobState::Failed);
}

#[test]
fn what_was_lost_by_the_server_may_run_again() {
    let mut record = good();
    record.machines[0].processes[0].ended = Some((2, FakeEnd::Status(0)));
    record.jobs[0].attempts[0].attempt.state = AttemptState::Lost;
    assert_eq!(what_succeeded_ran_to_its_end_and_not_again(&record), Vec::<String>::new());
}

#[test]
fn a_failure_that_was_none_is_found() {
    finds(what_failed_did_fail, |record| {
        record.machines[0].processes[0].ended = Some((2, FakeEnd::Status(0)));
    });
    finds(what_failed_did_fail, |record| record.jobs[0].attempts[0].attempt.reason.clear());
    finds(what_failed_did_fail, |record| {
        last(record).events.pop();
    });
}

#[test]
fn lines_that_are_missing_or_come_twice_or_in_another_order_are_found() {
    let check = output_is_stored_once_and_in_order;
    finds(check, |record| {
        last(record).events.remove(0);
    });
    finds(check, |record| last(record).events.swap(0, 1));
    finds(check, |record| last(record).attempt.stored_seq = 7);
    finds(check, |record| last(record).events = events(&["one"], Outcome::Succeeded));
    finds(check, |record| last(record).events = events(&["two", "one"], Outcome::Succeeded));
    finds(check, |record| last(record).events = events(&["one", "one", "two"], Outcome::Succeeded));
    finds(check, |record| {
        let mut more = events(&["one", "two"], Outcome::Succeeded);
        more.push(Event { seq: 4, ..more[0].clone() });
        last(record).attempt.stored_seq = 4;
        last(record).events = more;
    });
}

#[test]
fn of_a_killed_process_the_last_lines_may_be_missing_but_none_in_the_middle() {
    let mut record = good();
    let killed = process(8, 1, FakeEnd::Killed, &["one", "two", "three"]);
    record.machines[0].processes[0] = killed;
    assert_eq!(output_is_stored_once_and_in_order(&record), Vec::<String>::new());
    record.jobs[0].attempts[0].events = events(&["two"], busy());
    assert_ne!(output_is_stored_once_and_in_order(&record), Vec::<String>::new());
}

#[test]
fn an_attempt_too_many_on_a_calm_machine_is_found() {
    let check = calm_machines_did_exactly_what_was_ordered;
    finds(check, |record| record.jobs[0].order.busy = 0);
    finds(check, |record| record.jobs[0].order.status = 3);
    let mut record = good();
    record.jobs[0].order.busy = 0;
    record.machines[0].is_calm = false;
    assert_eq!(check(&record), Vec::<String>::new());
}

#[test]
fn a_lease_that_ran_out_excuses_one_attempt_and_no_more() {
    let check = calm_machines_did_exactly_what_was_ordered;
    let mut record = good();
    record.jobs[0].order.busy = 0;
    record.jobs[0].attempts[0].attempt.state = AttemptState::Lost;
    assert_eq!(check(&record), Vec::<String>::new());
    let another = record.jobs[0].attempts[1].clone();
    record.jobs[0].attempts.push(another);
    assert_ne!(check(&record), Vec::<String>::new());
}
