//! Asynchronous jobs: each ends after some calls, whoever looks, and what it does happens at its end.

use serde_json::{Value, json};

use super::{
    lists,
    world::{Told, World},
};

/// What a job does when it ends well, or undoes when it does not.
#[derive(Clone)]
pub(super) enum Work {
    /// A machine gets into a state.
    State(String, &'static str),
    /// A machine that was asked for is there.
    Deploy(String, &'static str),
    /// A machine is removed.
    Destroy(String),
    /// The drive of a machine is emptied.
    Detach(String),
    /// A rule that was asked for counts.
    Rule(String),
    /// A rule is removed.
    CloseRule(String),
    /// An address that was asked for can be used.
    Allocate(String),
    /// An address is given back.
    Release(String),
    /// An image is removed.
    DropImage(String),
}

/// A job.
pub(super) struct Job {
    left: u32,
    work: Work,
    fails: Option<u16>,
    ended: bool,
    shown: Value,
}

/// Begins a job; `id` is what it is about.
pub(super) fn begin(world: &mut World, work: Work, id: Option<&str>, fails: Option<u16>) -> Value {
    let number = world.new_id();
    let job = Job { left: world.job_length, work, fails, ended: false, shown: Value::Null };
    world.jobs.insert(number.clone(), job);
    let mut begun = json!({ "jobid": number });
    if let Some(id) = id {
        begun["id"] = json!(id);
    }
    begun
}

/// One call later: jobs that are due end.
pub(super) fn tick(world: &mut World) -> Vec<Told> {
    let mut due = Vec::new();
    for image in &mut world.images {
        if image.fault.is_none() && image.percent < 100 {
            image.fault.clone_from(&world.download_fault);
        }
        if image.fault.is_none() {
            image.percent = image.percent.saturating_add(world.image_pace).min(100);
        }
    }
    for (number, job) in &mut world.jobs {
        if !job.ended {
            job.left = job.left.saturating_sub(1);
            if job.left == 0 {
                job.ended = true;
                due.push((number.clone(), job.work.clone(), job.fails.is_some()));
            }
        }
    }
    let mut told = Vec::new();
    for (number, work, fails) in due {
        let shown = if fails { undo(world, &work) } else { carry_out(world, &work, &mut told) };
        if let Some(job) = world.jobs.get_mut(&number) {
            job.shown = shown;
        }
    }
    told
}

fn undo(world: &mut World, work: &Work) -> Value {
    match work {
        Work::Deploy(id, _) => {
            if let Some(machine) = world.machines.get_mut(id) {
                machine.state = "Error";
            }
        }
        Work::Rule(id) => drop(world.rules.remove(id)),
        Work::Allocate(id) => drop(world.addresses.remove(id)),
        Work::State(..)
        | Work::Destroy(_)
        | Work::Detach(_)
        | Work::CloseRule(_)
        | Work::Release(_)
        | Work::DropImage(_) => {}
    }
    Value::Null
}

fn carry_out(world: &mut World, work: &Work, told: &mut Vec<Told>) -> Value {
    let success = json!({ "success": true });
    match work {
        Work::Deploy(id, state) | Work::State(id, state) => {
            let Some(machine) = world.machines.get_mut(id) else { return success };
            machine.state = *state;
            let shown = machine.shown();
            if matches!(work, Work::Deploy(..)) {
                told.push(Told::Deployed(shown.clone()));
            }
            match *state {
                "Running" => told.push(Told::Started(shown)),
                _ if matches!(work, Work::State(..)) => told.push(Told::Stopped(shown)),
                _ => {}
            }
            let machine = machine.clone();
            json!({ "virtualmachine": lists::machine(world, &machine) })
        }
        Work::Destroy(id) => {
            told.extend(world.remove_machine(id));
            json!({ "virtualmachine": { "id": id, "state": "Expunging" } })
        }
        Work::Detach(id) => {
            let Some(machine) = world.machines.get_mut(id) else { return success };
            machine.iso = None;
            let machine = machine.clone();
            json!({ "virtualmachine": lists::machine(world, &machine) })
        }
        Work::Rule(id) => match world.rules.get(id) {
            Some(rule) => lists::rule_result(id, rule),
            None => success,
        },
        Work::CloseRule(id) => {
            world.rules.remove(id);
            success
        }
        Work::Allocate(id) => match world.addresses.get(id) {
            Some(address) => json!({ "ipaddress": lists::address(address) }),
            None => success,
        },
        Work::DropImage(id) => {
            world.images.retain(|image| image.id != *id);
            success
        }
        Work::Release(id) => {
            // What is on an address goes with it.
            world.rules.retain(|_, rule| rule.place != *id);
            world.addresses.remove(id);
            success
        }
    }
}

/// What `queryAsyncJobResult` says.
pub(super) fn shown(world: &World, id: &str) -> Option<Value> {
    let job = world.jobs.get(id)?;
    let mut shown = json!({ "jobid": id, "accountid": "a", "userid": "u", "jobprocstatus": 0, "created": "2026-11-21T00:00:00+0000" });
    if !job.ended {
        shown["jobstatus"] = json!(0);
        return Some(shown);
    }
    shown["jobresulttype"] = json!("object");
    if let Some(code) = job.fails {
        shown["jobstatus"] = json!(2);
        shown["jobresultcode"] = json!(code);
        shown["jobresult"] = json!({ "errorcode": code, "errortext": "the job failed in this test" });
    } else {
        shown["jobstatus"] = json!(1);
        shown["jobresultcode"] = json!(0);
        shown["jobresult"] = job.shown.clone();
    }
    Some(shown)
}
