//! What must be true after every run, whatever has happened in it. Pure: each check reads a record and names what is wrong.

use std::collections::BTreeMap;

use agent::host::fake::{FakeEnd, FakeProcess};
use server::domain::job::{AttemptState, JobState};
use wire::event::{Event, EventKind, Outcome, Stream};

use super::record::{AttemptRecord, JobRecord, Record, ended_well, script_attempt};

/// Everything that is wrong with a run, one line each.
pub fn violations(record: &Record) -> Vec<String> {
    [
        every_job_has_ended_once,
        attempts_are_counted_and_over,
        no_two_processes_ran_at_once,
        nothing_ran_that_no_attempt_knows,
        every_step_of_an_attempt_ran_at_most_once,
        what_succeeded_ran_to_its_end_and_not_again,
        what_failed_did_fail,
        output_is_stored_once_and_in_order,
        calm_machines_did_exactly_what_was_ordered,
    ]
    .into_iter()
    .flat_map(|check| check(record))
    .collect()
}

/// No job is lost, each has one final state, and its history leads there without a break.
pub fn every_job_has_ended_once(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for JobRecord { order, job, history, .. } in &record.jobs {
        let Some(job) = job else {
            wrong.push(format!("job {} is gone", order.id));
            continue;
        };
        if !job.state.is_final() {
            wrong.push(format!("job {} is still {}: {}", job.id, job.state, job.reason));
        }
        if job.state != JobState::Succeeded && job.reason.is_empty() {
            wrong.push(format!("job {} is {} without a reason", job.id, job.state));
        }
        let ends = history.iter().filter(|line| line.to.is_final()).count();
        if ends != 1 || history.last().is_none_or(|line| line.to != job.state) {
            wrong.push(format!("job {} is {}, but its history ends {ends} times", job.id, job.state));
        }
        let mut before = None;
        for line in history {
            if line.from != before {
                wrong.push(format!("the history of job {} jumps from {before:?} to {:?}", job.id, line.from));
            }
            before = Some(line.to);
        }
    }
    wrong
}

/// Attempts have the numbers 1, 2, 3 …, no more than allowed, none runs any more, and each but the last was followed for a reason.
pub fn attempts_are_counted_and_over(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for JobRecord { order, job, history, attempts } in &record.jobs {
        let Some(job) = job else { continue };
        let numbers: Vec<i64> = attempts.iter().map(|attempt| attempt.attempt.number).collect();
        let expected: Vec<i64> = (1..=job.attempts).collect();
        if numbers != expected || job.attempts > job.max_attempts {
            wrong.push(format!(
                "job {} counts {} attempts of {}, but has {numbers:?}",
                job.id, job.attempts, job.max_attempts
            ));
        }
        let begun = history.iter().filter(|line| line.to == JobState::Running).count();
        if begun != attempts.len() {
            wrong.push(format!("job {} began {begun} times with {} attempts", order.id, attempts.len()));
        }
        for (index, AttemptRecord { attempt, .. }) in attempts.iter().enumerate() {
            if attempt.state == AttemptState::Running || attempt.finished_at.is_none() {
                wrong.push(format!("attempt {} of job {} still has its lease", attempt.id, job.id));
            }
            let repeatable = matches!(attempt.state, AttemptState::Failed | AttemptState::Lost);
            if index + 1 < attempts.len() && !repeatable {
                wrong.push(format!(
                    "attempt {} of job {} is {} and was followed by another",
                    attempt.id,
                    job.id,
                    attempt.state.as_str()
                ));
            }
        }
    }
    wrong
}

/// On one machine nothing begins while something else runs.
pub fn no_two_processes_ran_at_once(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for machine in &record.machines {
        let mut scripts: Vec<&FakeProcess> =
            machine.processes.iter().filter(|process| script_attempt(process).is_some()).collect();
        scripts.sort_by_key(|process| process.began);
        for pair in scripts.windows(2) {
            if pair[0].ended.is_none_or(|(ended, _)| ended > pair[1].began) {
                wrong.push(format!(
                    "on client {} `{}` began before `{}` had ended",
                    machine.client, pair[1].command, pair[0].command
                ));
            }
        }
        if let Some(process) = scripts.iter().find(|process| process.ended.is_none()) {
            wrong.push(format!("on client {} `{}` still runs", machine.client, process.command));
        }
    }
    wrong
}

/// Every script that ran belongs to an attempt of that client's own jobs.
pub fn nothing_ran_that_no_attempt_knows(record: &Record) -> Vec<String> {
    let owners: BTreeMap<_, _> =
        record.attempts().map(|(_, known)| (known.attempt.id, known.attempt.client)).collect();
    let mut wrong = Vec::new();
    for machine in &record.machines {
        for attempt in machine.processes.iter().filter_map(script_attempt) {
            if owners.get(&attempt) != Some(&machine.client) {
                wrong.push(format!("client {} ran attempt {attempt}, which is not its own", machine.client));
            }
        }
    }
    wrong
}

/// Within one attempt no script begins a second time.
pub fn every_step_of_an_attempt_ran_at_most_once(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for (_, AttemptRecord { attempt, .. }) in record.attempts() {
        let Some(machine) = record.machine(attempt.client) else { continue };
        let mut texts: Vec<&str> =
            machine.scripts_of(attempt.id).iter().map(|process| process.script.as_str()).collect();
        texts.sort_unstable();
        if let Some(pair) = texts.windows(2).find(|pair| pair[0] == pair[1]) {
            wrong.push(format!("attempt {} ran a step twice: {}", attempt.id, pair[0].trim()));
        }
    }
    wrong
}

/// A job that succeeded ran all of its scripts to a good end in its last attempt, which says so; nothing of it ran afterwards.
/// What ended well runs again only when the server had lost the attempt.
pub fn what_succeeded_ran_to_its_end_and_not_again(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for JobRecord { order, job, attempts, .. } in &record.jobs {
        let Some(job) = job else { continue };
        let Some(machine) = record.machine(order.client) else { continue };
        for (index, known) in attempts.iter().enumerate() {
            let (id, state) = (known.attempt.id, known.attempt.state);
            let scripts = machine.scripts_of(id);
            let good = scripts.iter().filter(|process| ended_well(process)).count();
            if state == AttemptState::Succeeded && (scripts.len() != order.scripts || good != order.scripts) {
                wrong.push(format!(
                    "attempt {id} succeeded, but {good} of {} scripts did, and {} ran",
                    order.scripts,
                    scripts.len()
                ));
            }
            let whole = order.scripts > 0 && good == order.scripts;
            if whole && index + 1 < attempts.len() && state != AttemptState::Lost {
                wrong.push(format!(
                    "job {} ran to its end in attempt {id} ({}), and again after it",
                    job.id,
                    state.as_str()
                ));
            }
        }
        let last = attempts.last().map(|known| known.attempt.state);
        if (job.state == JobState::Succeeded) != (last == Some(AttemptState::Succeeded)) {
            wrong.push(format!("job {} is {}, its last attempt is {last:?}", job.id, job.state));
        }
    }
    wrong
}

fn outcome(events: &[Event]) -> Option<&Outcome> {
    events.iter().find_map(|event| match &event.kind {
        EventKind::Finished { outcome } => Some(outcome),
        _ => None,
    })
}

/// An attempt that failed tells what did; one that is not lost has its end among its events, and the host agrees.
pub fn what_failed_did_fail(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for (job, AttemptRecord { attempt, events }) in record.attempts() {
        let id = attempt.id;
        let agrees = match (attempt.state, outcome(events)) {
            (AttemptState::Succeeded, Some(Outcome::Succeeded))
            | (AttemptState::Failed, Some(Outcome::Failed { .. }))
            | (AttemptState::Refused, Some(Outcome::Refused { .. }))
            | (AttemptState::Cancelled, Some(Outcome::Cancelled))
            | (AttemptState::Lost, None) => true,
            (AttemptState::Running, _) => continue,
            _ => false,
        };
        if !agrees {
            let outcome = outcome(events);
            wrong.push(format!("attempt {id} is {}, reported was {outcome:?}", attempt.state.as_str()));
        }
        if attempt.state != AttemptState::Succeeded && attempt.reason.is_empty() {
            wrong.push(format!("attempt {id} is {} without a reason", attempt.state.as_str()));
        }
        let Some(machine) = record.machine(attempt.client) else { continue };
        let scripts = machine.scripts_of(id);
        let good = scripts.iter().filter(|process| ended_well(process)).count();
        if attempt.state == AttemptState::Failed && job.order.scripts > 0 && good == job.order.scripts {
            wrong.push(format!("attempt {id} failed ({}), but all its scripts ended well", attempt.reason));
        }
    }
    wrong
}

/// Events are numbered 1, 2, 3 …, the end is the last one, and the lines are the host's own, each once, in order.
pub fn output_is_stored_once_and_in_order(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for (_, AttemptRecord { attempt, events }) in record.attempts() {
        let id = attempt.id;
        let numbered = events.iter().zip(1..).all(|(event, number)| event.seq == number);
        let last = events.last().map_or(0, |event| event.seq);
        if !numbered || i64::try_from(last).ok() != Some(attempt.stored_seq) {
            wrong.push(format!("the events of attempt {id} have a gap, or are not {} ", attempt.stored_seq));
        }
        let end = events.iter().position(|event| matches!(event.kind, EventKind::Finished { .. }));
        if end.is_some_and(|end| end + 1 != events.len()) {
            wrong.push(format!("attempt {id} went on after its end"));
        }
        let Some(machine) = record.machine(attempt.client) else { continue };
        let stored: Vec<&str> = events.iter().filter_map(line_of_a_script).collect();
        let scripts = machine.scripts_of(id);
        let printed: Vec<&str> = scripts
            .iter()
            .flat_map(|process| process.printed.iter().map(|(_, line)| line.as_str()))
            .collect();
        let whole = end.is_some() && scripts.iter().all(|process| !was_killed(process));
        let agrees = if whole { stored == printed } else { printed.starts_with(&stored) };
        if !agrees {
            wrong.push(format!(
                "attempt {id} ({}) printed {} lines, stored are {}{}",
                attempt.state.as_str(),
                printed.len(),
                stored.len(),
                first_difference(&stored, &printed)
            ));
        }
    }
    wrong
}

fn was_killed(process: &FakeProcess) -> bool {
    matches!(process.ended, Some((_, FakeEnd::Killed)))
}

fn line_of_a_script(event: &Event) -> Option<&str> {
    match &event.kind {
        EventKind::Output { stream: Stream::Stdout | Stream::Stderr, line, .. } => Some(line),
        _ => None,
    }
}

fn first_difference(stored: &[&str], printed: &[&str]) -> String {
    let different = stored.iter().zip(printed).position(|(stored, printed)| stored != printed);
    different.map_or(String::new(), |at| {
        format!("; line {} is stored as `{}`, printed was `{}`", at + 1, stored[at], printed[at])
    })
}

/// Where nothing happened but a bad network and a dying server, all is as if they had not been.
pub fn calm_machines_did_exactly_what_was_ordered(record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    for JobRecord { order, job, attempts, .. } in &record.jobs {
        let Some(job) = job else { continue };
        if order.cancelled || order.needs || !record.machine(order.client).is_some_and(|it| it.is_calm) {
            continue;
        }
        let allowed = u64::try_from(job.max_attempts).unwrap_or(0);
        let expected =
            if order.busy >= allowed || order.status != 0 { JobState::Failed } else { JobState::Succeeded };
        let tries = (order.busy + 1).min(allowed);
        // On a computer that is slow enough, a lease may run out although nothing happened. Each such attempt is one too many.
        let lost = attempts.iter().filter(|it| it.attempt.state == AttemptState::Lost).count() as u64;
        let is_as_expected = if lost == 0 {
            job.state == expected && attempts.len() as u64 == tries
        } else {
            (job.state == expected || job.state == JobState::Failed) && attempts.len() as u64 <= tries + lost
        };
        if !is_as_expected {
            let ends =
                attempts.iter().map(|it| format!("{}: {}", it.attempt.state.as_str(), it.attempt.reason));
            wrong.push(format!(
                "job {} is {} after {} attempts ({}); expected was {expected} after {tries}",
                job.id,
                job.state,
                attempts.len(),
                ends.collect::<Vec<_>>().join("; ")
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests;
