//! What somebody types into the form of a new rollout, and the specification that it makes.
//!
//! The jobs stand in rows, in their order: each has one field `job` and one field `params`, so the form comes as pairs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::problem::FieldProblem;

use crate::{
    app::Error,
    context::Ctx,
    domain::rollout::{
        Latecomers, RolloutJob, RolloutLimits, RolloutSpec, RolloutTarget, RolloutWave, RolloutWindows,
        RolloutWork, seconds, written,
    },
};

/// In place of a job's name: the client is installed anew.
pub(super) const REINSTALL: &str = "reinstall";

/// The job of a form that nobody has touched.
const INSTALL: &str = "package-install";

/// One job, as typed.
#[derive(Clone, Default, Serialize)]
pub(super) struct JobWords {
    /// Its type, or [`REINSTALL`].
    pub(super) job: String,
    /// `NAME=VALUE` in each line.
    pub(super) params: String,
}

/// What somebody types.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Words {
    /// In the order in which each client gets them.
    #[serde(skip_deserializing)]
    pub(super) jobs: Vec<JobWords>,
    pub(super) title: String,
    group: String,
    query: String,
    clients: String,
    latecomers: String,
    waves: String,
    at_once: String,
    max_failed_percent: String,
    max_failed: String,
    min_succeeded_percent: String,
    windows: String,
    blackouts: String,
    zone: String,
    closed_calendar: String,
    expire_after: String,
    approve_start: String,
    approve_pauses: String,
    pub(super) recurring: String,
    pub(super) then: String,
}

impl Default for Words {
    fn default() -> Self {
        let spec = RolloutSpec::new(RolloutWork::Reinstall, RolloutTarget::default());
        let waves: Vec<_> = spec.waves.iter().map(ToString::to_string).collect();
        let none = String::new;
        Self {
            title: none(),
            jobs: vec![JobWords { job: INSTALL.to_owned(), params: none() }],
            group: none(),
            query: none(),
            clients: none(),
            latecomers: "ignore".to_owned(),
            waves: waves.join("\n"),
            at_once: spec.at_once.to_string(),
            max_failed_percent: "10".to_owned(),
            max_failed: none(),
            min_succeeded_percent: none(),
            windows: none(),
            blackouts: none(),
            zone: "Europe/Berlin".to_owned(),
            closed_calendar: none(),
            expire_after: written(spec.expire_after_s),
            approve_start: none(),
            approve_pauses: none(),
            recurring: none(),
            then: none(),
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter_map(some).collect()
}

impl Words {
    /// The form as somebody finds it who comes from a group, a search or a package.
    pub(super) fn begun(group: String, query: String, packages: String) -> Self {
        let usual = Self::default();
        if packages.is_empty() {
            return Self { group, query, ..usual };
        }
        let job = JobWords { job: INSTALL.to_owned(), params: format!("packages={packages}") };
        Self { group, query, jobs: vec![job], title: packages, ..usual }
    }

    /// The form as it came: every `job` begins a row.
    pub(super) fn read(pairs: Vec<(String, String)>) -> Self {
        let mut jobs: Vec<JobWords> = Vec::new();
        let mut fields = Map::new();
        for (name, value) in pairs {
            match name.as_str() {
                "job" => jobs.push(JobWords { job: value, params: String::new() }),
                "params" => {
                    if let Some(last) = jobs.last_mut() {
                        last.params = value;
                    }
                }
                _ => drop(fields.insert(name, Value::String(value))),
            }
        }
        let mut words: Self = serde_json::from_value(Value::Object(fields)).unwrap_or_default();
        if !jobs.is_empty() {
            words.jobs = jobs;
        }
        words
    }

    /// Carries out a button that only changes the rows: `add`, `without-N` or `earlier-N`, the rows counted from 1. Tells whether it is one.
    pub(super) fn rearrange(&mut self) -> bool {
        let row = |rest: &str| rest.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < self.jobs.len());
        let place = |word: &str| self.then.strip_prefix(word).and_then(row);
        if let Some(at) = place("without-") {
            if self.jobs.len() > 1 {
                self.jobs.remove(at);
            }
        } else if let Some(at) = place("earlier-") {
            if at > 0 {
                self.jobs.swap(at - 1, at);
            }
        } else if self.then == "add" {
            self.jobs.push(JobWords::default());
        } else {
            return false;
        }
        true
    }

    /// What each client gets; rows without a job do not count.
    fn work(&self, ctx: &Ctx, wrong: &mut Vec<FieldProblem>) -> RolloutWork {
        let rows: Vec<_> = self.jobs.iter().filter(|row| !row.job.is_empty()).collect();
        if rows.iter().any(|row| row.job == REINSTALL) {
            if rows.len() > 1 {
                wrong.push(FieldProblem {
                    field: "work.jobs".to_owned(),
                    message: "an installation anew has no other jobs beside it".to_owned(),
                });
            }
            return RolloutWork::Reinstall;
        }
        let job = |(at, row): (usize, &&JobWords)| {
            let params = match ctx.catalog.job_type(&row.job) {
                Some(found) => found.params.parse_words(&lines(&row.params)).unwrap_or_else(|problems| {
                    wrong.extend(problems.into_iter().map(|problem| FieldProblem {
                        field: format!("work.jobs[{at}].{}", problem.field),
                        message: problem.message,
                    }));
                    serde_json::json!({})
                }),
                // Whoever looks at the specification names what is missing.
                None => serde_json::json!({}),
            };
            RolloutJob { job_type: row.job.clone(), params }
        };
        RolloutWork::Jobs { jobs: rows.iter().enumerate().map(job).collect() }
    }

    /// The specification; every word that cannot be read is named by its field.
    pub(super) fn spec(&self, ctx: &Ctx) -> Result<RolloutSpec, Error> {
        let mut wrong: Vec<FieldProblem> = Vec::new();
        let mut say = |field: &str, message: String| {
            wrong.push(FieldProblem { field: field.to_owned(), message });
        };
        let mut number = |field: &str, text: &str| -> Option<i64> {
            let text = some(text)?;
            text.parse().map_err(|_| say(field, format!("`{text}` is no number"))).ok()
        };
        let at_once = number("at_once", &self.at_once);
        let max_failed_percent = number("limits", &self.max_failed_percent);
        let max_failed = number("wave_limits", &self.max_failed);
        let min_succeeded_percent = number("wave_limits", &self.min_succeeded_percent);
        let mut waves: Vec<RolloutWave> = Vec::new();
        for line in lines(&self.waves) {
            match line.parse() {
                Ok(wave) => waves.push(wave),
                Err(error) => say("waves", error.to_string()),
            }
        }
        let expire_after_s = seconds(&self.expire_after)
            .map_err(|error| say("expire_after_s", error.to_string()))
            .unwrap_or_default();
        let work = self.work(ctx, &mut wrong);
        if !wrong.is_empty() {
            return Err(Error::fields("the rollout cannot be carried out so", wrong));
        }
        let target = RolloutTarget {
            group: some(&self.group),
            query: some(&self.query),
            clients: self.clients.split([' ', ',', '\n', '\r']).filter_map(some).collect(),
            latecomers: match self.latecomers.as_str() {
                "last-wave" => Latecomers::LastWave,
                "new-wave" => Latecomers::NewWave,
                _ => Latecomers::Ignore,
            },
        };
        let mut spec = RolloutSpec::new(work, target);
        spec.waves = waves;
        spec.at_once = at_once.unwrap_or(spec.at_once);
        spec.limits = RolloutLimits { max_failed_percent, ..RolloutLimits::default() };
        spec.wave_limits =
            RolloutLimits { max_failed, max_failed_percent, min_succeeded: None, min_succeeded_percent };
        spec.windows = RolloutWindows {
            time_zone: some(&self.zone),
            open: lines(&self.windows),
            closed: lines(&self.blackouts),
            open_calendar: None,
            closed_calendar: some(&self.closed_calendar),
        };
        spec.approve_start = !self.approve_start.is_empty();
        spec.approve_pauses = !self.approve_pauses.is_empty();
        spec.expire_after_s = expire_after_s;
        Ok(spec)
    }
}
