//! What somebody wants rolled out, to whom, and how carefully.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{waves::WaveSize, windows::RolloutWindows};

const HOUR: i64 = 3600;
/// Most clients that work at the same time.
const MOST_AT_ONCE: i64 = 1000;
/// Most waves.
const MOST_WAVES: usize = 50;
/// Most jobs for each client.
const MOST_JOBS: usize = 20;

/// A job that each client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutJob {
    /// The job script's name, such as `package-install`.
    pub job_type: String,
    /// Its parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub params: Value,
}

/// What each client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RolloutWork {
    /// These jobs, each after the one before it has succeeded.
    Jobs {
        /// At least one.
        jobs: Vec<RolloutJob>,
    },
    /// It is installed anew as its configuration says; wipes its disks.
    Reinstall,
}

/// What happens to clients that come to the target while the rollout runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Latecomers {
    /// Nothing: the clients are fixed when the rollout is started.
    #[default]
    Ignore,
    /// They join the last wave.
    LastWave,
    /// They get a wave of their own behind the last.
    NewWave,
}

/// For which clients it is: a group, a search or names, exactly one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutTarget {
    /// For the members of this group.
    pub group: Option<String>,
    /// For all that this search finds.
    #[serde(rename = "where")]
    pub query: Option<String>,
    /// For these, the first ones first.
    pub clients: Vec<String>,
    /// What happens to clients that come to the group or search later.
    pub latecomers: Latecomers,
}

/// When it stops by itself; what is absent does not count. Percents are of the clients that are asked: not of those that are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutLimits {
    /// More failed clients than this stop it.
    pub max_failed: Option<i64>,
    /// More failed clients than so many percent stop it.
    pub max_failed_percent: Option<i64>,
    /// So many clients must succeed; when they have, it goes on without those that are still offline.
    pub min_succeeded: Option<i64>,
    /// So many percent must succeed; when they have, it goes on without those that are still offline.
    pub min_succeeded_percent: Option<i64>,
}

/// A wave: its clients come after those of the wave before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutWave {
    /// How many clients: `5`, `10%` or `rest`; only the last one is `rest`.
    #[schema(value_type = String)]
    pub size: WaveSize,
    /// So many seconds pass after its end before the next one begins.
    #[serde(default)]
    pub soak_s: i64,
    /// It begins only when somebody resumes the rollout.
    #[serde(default)]
    pub pause: bool,
    /// Limits of its own instead of `wave_limits`.
    #[serde(default)]
    pub limits: Option<RolloutLimits>,
}

/// What is rolled out, to whom, and how carefully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutSpec {
    /// What each client gets.
    pub work: RolloutWork,
    /// For which clients.
    pub target: RolloutTarget,
    /// The waves; one client, 10 % and the rest when absent.
    #[serde(default = "waves")]
    pub waves: Vec<RolloutWave>,
    /// Limits over all waves.
    #[serde(default = "limits")]
    pub limits: RolloutLimits,
    /// Limits of each wave that has none of its own.
    #[serde(default = "limits")]
    pub wave_limits: RolloutLimits,
    /// At most so many clients work at the same time.
    #[serde(default = "at_once")]
    pub at_once: i64,
    /// When work may begin; always when absent.
    #[serde(default)]
    pub windows: RolloutWindows,
    /// A second person must approve the start.
    #[serde(default)]
    pub approve_start: bool,
    /// A second person must approve that it goes on at pause points.
    #[serde(default)]
    pub approve_pauses: bool,
    /// A client that is offline is given up so many seconds after its wave began.
    #[serde(default = "expire_after_s")]
    pub expire_after_s: i64,
}

fn waves() -> Vec<RolloutWave> {
    let wave = |size| RolloutWave { size, soak_s: 0, pause: false, limits: None };
    vec![wave(WaveSize::Count(1)), wave(WaveSize::Percent(10)), wave(WaveSize::Rest)]
}

fn limits() -> RolloutLimits {
    RolloutLimits { max_failed_percent: Some(10), ..RolloutLimits::default() }
}

fn at_once() -> i64 {
    50
}

fn expire_after_s() -> i64 {
    7 * 24 * HOUR
}

/// A field of a rollout that cannot be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecProblem {
    /// Which one.
    pub field: String,
    /// Why.
    pub message: String,
}

impl RolloutSpec {
    /// One with the usual waves and limits.
    pub fn new(work: RolloutWork, target: RolloutTarget) -> Self {
        Self {
            work,
            target,
            waves: waves(),
            limits: limits(),
            wave_limits: limits(),
            at_once: at_once(),
            windows: RolloutWindows::default(),
            approve_start: false,
            approve_pauses: false,
            expire_after_s: expire_after_s(),
        }
    }

    /// The limits of a wave, by its place; latecomers' waves have those of all.
    pub fn limits_of(&self, wave: usize) -> RolloutLimits {
        self.waves.get(wave).and_then(|wave| wave.limits).unwrap_or(self.wave_limits)
    }

    /// Microseconds that pass after the end of a wave.
    pub fn soak_of(&self, wave: usize) -> i64 {
        self.waves.get(wave).map_or(0, |wave| wave.soak_s.saturating_mul(crate::clock::SECOND))
    }

    /// Everything in it that cannot be so, but for what other tables know.
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut found = Vec::new();
        let mut wrong = |field: &str, message: &str| {
            found.push(SpecProblem { field: field.to_owned(), message: message.to_owned() });
        };
        match &self.work {
            RolloutWork::Jobs { jobs } if jobs.is_empty() => wrong("work.jobs", "name at least one job"),
            RolloutWork::Jobs { jobs } if jobs.len() > MOST_JOBS => {
                wrong("work.jobs", &format!("at most {MOST_JOBS} jobs for each client"));
            }
            RolloutWork::Jobs { .. } | RolloutWork::Reinstall => {}
        }
        let target = &self.target;
        let named = [target.group.is_some(), target.query.is_some(), !target.clients.is_empty()];
        if named.into_iter().filter(|named| *named).count() != 1 {
            wrong("target", "give exactly one of `group`, `where` and `clients`");
        }
        if target.latecomers != Latecomers::Ignore && !target.clients.is_empty() {
            wrong("target.latecomers", "nobody comes late to a list of names; leave it out");
        }
        if self.waves.is_empty() || self.waves.len() > MOST_WAVES {
            wrong("waves", &format!("give 1 to {MOST_WAVES} waves"));
        }
        for (at, wave) in self.waves.iter().enumerate() {
            let last = at + 1 == self.waves.len();
            if last != (wave.size == WaveSize::Rest) {
                wrong(&format!("waves[{at}].size"), "the last wave, and only that, is `rest`");
            }
            if !(0..=90 * 24 * HOUR).contains(&wave.soak_s) {
                wrong(&format!("waves[{at}].soak_s"), "0 seconds to 90 days");
            }
        }
        let limits = self
            .waves
            .iter()
            .enumerate()
            .filter_map(|(at, wave)| wave.limits.map(|limits| (format!("waves[{at}].limits"), limits)));
        for (field, limits) in
            limits.chain([("limits".to_owned(), self.limits), ("wave_limits".to_owned(), self.wave_limits)])
        {
            for percent in [limits.max_failed_percent, limits.min_succeeded_percent].into_iter().flatten() {
                if !(0..=100).contains(&percent) {
                    wrong(&field, "percents are 0 to 100");
                }
            }
            for count in [limits.max_failed, limits.min_succeeded].into_iter().flatten() {
                if count < 0 {
                    wrong(&field, "counts are 0 or more");
                }
            }
        }
        if !(1..=MOST_AT_ONCE).contains(&self.at_once) {
            wrong("at_once", &format!("1 to {MOST_AT_ONCE} clients at a time"));
        }
        if !(60..=365 * 24 * HOUR).contains(&self.expire_after_s) {
            wrong("expire_after_s", "a minute to a year");
        }
        if let Err(problems) = self.windows.read() {
            found.extend(problems);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: Value) -> RolloutSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_left_out_is_careful() {
        let spec = spec(serde_json::json!({
            "work": { "kind": "jobs", "jobs": [{ "job_type": "package-upgrade" }] },
            "target": { "group": "lab" },
        }));
        assert_eq!(spec.problems(), []);
        assert_eq!(spec.waves.first().map(|wave| wave.size), Some(WaveSize::Count(1)));
        assert_eq!(spec.wave_limits.max_failed_percent, Some(10));
    }

    #[test]
    fn every_field_that_cannot_be_so_is_named() {
        let spec = spec(serde_json::json!({
            "work": { "kind": "jobs", "jobs": [] },
            "target": { "group": "lab", "where": "stage:installed" },
            "waves": [{ "size": "rest" }, { "size": "5", "soak_s": -1, "limits": { "max_failed_percent": 101 } }],
            "at_once": 0,
            "expire_after_s": 1,
            "windows": { "time_zone": "Mars/Olympus", "open": ["sun 02:00-02:00"] },
        }));
        let fields: Vec<_> = spec.problems().into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "work.jobs",
                "target",
                "waves[0].size",
                "waves[1].size",
                "waves[1].soak_s",
                "waves[1].limits",
                "at_once",
                "expire_after_s",
                "windows.time_zone",
                "windows.open[0]"
            ]
        );
    }
}
