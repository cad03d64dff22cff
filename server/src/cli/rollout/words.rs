//! The words of a rollout on the command line, and the specification that they make.

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::super::{
    Exit, Failure,
    api::{Api, Name},
    job,
};
use crate::domain::rollout::{RolloutWave, Unreadable, seconds};

/// What is rolled out, to whom, and how carefully.
#[derive(clap::Args)]
pub(super) struct Wanted {
    /// A job that each client gets, such as package-install; may come several times, each after the one before it.
    #[arg(long = "job", value_name = "TYPE", required_unless_present_any = ["reinstall", "spec"])]
    jobs: Vec<String>,
    /// A parameter of the last job, NAME=VALUE; of the Nth one: N:NAME=VALUE.
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Install each client anew; wipes their disks.
    #[arg(long, conflicts_with = "jobs")]
    reinstall: bool,
    /// For the members of this group.
    #[arg(long)]
    group: Option<Name>,
    /// For all clients that this search finds.
    #[arg(long = "where", value_name = "SEARCH")]
    query: Option<String>,
    /// For this client; may come several times.
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<Name>,
    /// What happens to clients that come to the group or search later.
    #[arg(long, value_enum, default_value_t = Late::Ignore)]
    latecomers: Late,
    /// A wave: SIZE, or SIZE/SOAK, or SIZE/SOAK/pause, such as 1, 10%/1h, 20%/0s/pause, rest; default is 1, 10%, rest.
    #[arg(long = "wave", value_name = "WAVE")]
    waves: Vec<String>,
    /// Stops when more than so many percent of a wave, or of all, fail.
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    max_failed_percent: i64,
    /// Stops when more than so many clients of a wave fail.
    #[arg(long, value_name = "COUNT")]
    max_failed: Option<i64>,
    /// So many percent of a wave must succeed; then it goes on without those that are offline.
    #[arg(long, value_name = "PERCENT")]
    min_succeeded_percent: Option<i64>,
    /// At most so many clients at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    at_once: i64,
    /// Weekly time in which work may begin, such as 'sun 02:00-05:00'; may come several times.
    #[arg(long = "window", value_name = "TIME")]
    windows: Vec<String>,
    /// Weekly time in which it may not.
    #[arg(long = "blackout", value_name = "TIME")]
    blackouts: Vec<String>,
    /// A calendar file (iCalendar) in whose events work may begin.
    #[arg(long, value_name = "FILE")]
    window_calendar: Option<std::path::PathBuf>,
    /// A calendar file in whose events it may not.
    #[arg(long, value_name = "FILE")]
    blackout_calendar: Option<std::path::PathBuf>,
    /// The time zone of the weekly times, such as Europe/Berlin; default is UTC.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A second person must approve the start.
    #[arg(long)]
    approve_start: bool,
    /// A second person must approve that it goes on at pause points.
    #[arg(long)]
    approve_pauses: bool,
    /// Clients that stay offline are given up after this time, such as 3d.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expire_after: String,
    /// The whole specification as a JSON file instead of all other words.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jobs", "reinstall", "group", "query", "clients", "waves"])]
    spec: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Late {
    /// Nothing.
    Ignore,
    /// They join the last wave.
    LastWave,
    /// They get a wave of their own.
    NewWave,
}

impl Wanted {
    /// The specification, as the API takes it.
    pub(super) async fn spec(&self, api: &Api) -> anyhow::Result<Value> {
        if let Some(path) = &self.spec {
            let text = fs_err::read_to_string(path)?;
            return serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()));
        }
        let work = if self.reinstall {
            json!({ "kind": "reinstall" })
        } else {
            let mut jobs = Vec::with_capacity(self.jobs.len());
            for (number, job_type) in (1..).zip(&self.jobs) {
                let order = job::order(api, job_type, &self.params_of(number), false).await?;
                jobs.push(json!({ "job_type": job_type, "params": order["params"] }));
            }
            json!({ "kind": "jobs", "jobs": jobs })
        };
        let limits = json!({ "max_failed_percent": self.max_failed_percent });
        let wave_limits = json!({
            "max_failed_percent": self.max_failed_percent,
            "max_failed": self.max_failed,
            "min_succeeded_percent": self.min_succeeded_percent,
        });
        let mut spec = json!({
            "work": work,
            "target": {
                "group": self.group,
                "where": self.query,
                "clients": self.clients,
                "latecomers": match self.latecomers {
                    Late::Ignore => "ignore",
                    Late::LastWave => "last-wave",
                    Late::NewWave => "new-wave",
                },
            },
            "limits": limits,
            "wave_limits": wave_limits,
            "at_once": self.at_once,
            "windows": {
                "time_zone": self.time_zone,
                "open": self.windows,
                "closed": self.blackouts,
                "open_calendar": read(self.window_calendar.as_deref())?,
                "closed_calendar": read(self.blackout_calendar.as_deref())?,
            },
            "approve_start": self.approve_start,
            "approve_pauses": self.approve_pauses,
            "expire_after_s": seconds(&self.expire_after).map_err(usage)?,
        });
        if !self.waves.is_empty() {
            let waves = self.waves.iter().map(|text| text.parse()).collect::<Result<Vec<RolloutWave>, _>>();
            spec["waves"] = json!(waves.map_err(usage)?);
        }
        Ok(spec)
    }

    /// The parameters of the job with a number, from 1: those that name it; those that name none are of the last one.
    fn params_of(&self, number: usize) -> Vec<String> {
        let of = |text: &String| match text.split_once(':') {
            Some((place, rest)) if place.parse::<usize>().is_ok() => {
                (place.parse() == Ok(number)).then(|| rest.to_owned())
            }
            _ => (self.jobs.len() == number).then(|| text.clone()),
        };
        self.params.iter().filter_map(of).collect()
    }
}

fn usage(error: Unreadable) -> anyhow::Error {
    Failure::error(Exit::Usage, error.to_string())
}

fn read(path: Option<&std::path::Path>) -> anyhow::Result<Option<String>> {
    Ok(path.map(fs_err::read_to_string).transpose()?)
}
