//! What the server counts about itself, for Prometheus (`OpenMetrics` text). What only the database knows is asked when somebody scrapes.
//!
//! Invariant: a name that was released keeps its meaning, since dashboards and alarms of sites depend on it;
//! `packaging/grafana/lotse.json` uses no other names. What is counted is this process's, but for what is read from the database
//! ([`Measured`]), which is the same on every node: take the maximum of it over nodes, not the sum.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    app::{cache::CacheStatus, measures::Measured},
    db::timings,
};

/// Requests take from under a millisecond to a minute (a poll that waits).
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// A kind of request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    job_type: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    job_type: String,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MirrorLabel {
    mirror: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    mirror: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WayLabels {
    mirror: String,
    way: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

/// Everything that is counted.
pub struct Metrics {
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    polls: Counter,
    polls_waiting: Gauge,
    streams: Gauge,
    ended: Family<OutcomeLabels, Counter>,
    /// Attempts that ended until then are counted.
    counted_until: Mutex<i64>,
    started_at: i64,
}

/// Counts up now, and down when it is dropped.
pub struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Nothing is counted yet. `now`: when the server started.
    pub fn new(now: i64) -> Self {
        Self {
            requests: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            polls: Counter::default(),
            polls_waiting: Gauge::default(),
            streams: Gauge::default(),
            ended: Family::default(),
            counted_until: Mutex::new(now),
            started_at: now,
        }
    }

    /// Counts a request that was answered. `route`: the pattern of its address, empty when there is none.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        // Whoever knocks at addresses and with methods that do not exist must not make the list of names longer.
        let (method, route) = if route.is_empty() { ("other", "other") } else { (method, route) };
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a poll of an agent, for as long as it waits.
    pub fn poll(&self) -> Counted {
        self.polls.inc();
        self.polls_waiting.inc();
        Counted(self.polls_waiting.clone())
    }

    /// Counts a reader of server-sent events, for as long as it reads.
    pub fn stream(&self) -> Counted {
        self.streams.inc();
        Counted(self.streams.clone())
    }

    /// Until when attempts that ended have been counted.
    pub fn counted_until(&self) -> i64 {
        *self.counted_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds attempts that ended in a span of time, unless somebody else has counted it meanwhile.
    fn count_ended(&self, measured: &Measured) {
        let mut counted_until = self.counted_until.lock().unwrap_or_else(PoisonError::into_inner);
        if *counted_until != measured.ended_after {
            return;
        }
        *counted_until = measured.ended_until;
        for (job_type, outcome, count) in &measured.ended {
            let labels = OutcomeLabels { job_type: job_type.clone(), outcome: outcome.as_str() };
            self.ended.get_or_create(&labels).inc_by(u64::try_from(*count).unwrap_or(0));
        }
    }

    /// Everything as text.
    ///
    /// # Errors
    /// A value cannot be written, which no value here can cause.
    pub fn text(&self, measured: &Measured) -> Result<String, std::fmt::Error> {
        self.count_ended(measured);
        let mut all = Registry::with_prefix("lotse");
        let build = Family::<VersionLabel, Gauge>::default();
        build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION") }).set(1);
        all.register("build_info", "The version that runs", build);
        let started: Gauge = Gauge::default();
        started.set(self.started_at / crate::clock::SECOND);
        all.register_with_unit(
            "start_time",
            "When the server started, since the Unix epoch",
            Unit::Seconds,
            started,
        );

        let clients = Family::<StageLabel, Gauge>::default();
        for (stage, count) in &measured.stages {
            clients.get_or_create(&StageLabel { stage: stage.as_str() }).set(*count);
        }
        all.register("clients", "Clients by stage", clients);
        let connected: Gauge = Gauge::default();
        connected.set(measured.connected);
        all.register("clients_connected", "Clients whose agent was heard a moment ago", connected);

        let open = Family::<JobLabels, Gauge>::default();
        for job in &measured.open {
            let labels = JobLabels { job_type: job.job_type.clone(), state: job.state.as_str() };
            open.get_or_create(&labels).set(job.count);
        }
        all.register("jobs_open", "Jobs that have not ended, by type and state", open);
        let oldest: Gauge = Gauge::default();
        oldest.set(measured.oldest_s);
        all.register_with_unit(
            "queue_age",
            "How long the oldest job that is due has waited",
            Unit::Seconds,
            oldest,
        );
        all.register(
            "attempts_ended",
            "Attempts that ended since the server started, by type and outcome",
            self.ended.clone(),
        );

        all.register("polls", "Polls of agents", self.polls.clone());
        all.register("polls_waiting", "Polls that wait for work", self.polls_waiting.clone());
        all.register("streams", "Readers of server-sent events", self.streams.clone());
        all.register_with_unit(
            "http_request_duration",
            "From the request to the head of its answer, by method, route and class of status",
            Unit::Seconds,
            self.requests.clone(),
        );
        let timings = timings::all();
        all.register_with_unit(
            "database_wait",
            "Waiting for a transaction to begin",
            Unit::Seconds,
            timings.wait.clone(),
        );
        all.register_with_unit(
            "database_commit",
            "Making a transaction last",
            Unit::Seconds,
            timings.commit.clone(),
        );
        cached(&mut all, &measured.cache);
        let mut text = String::new();
        encode(&mut text, &all)?;
        Ok(text)
    }
}

/// The package cache and its mirrors; their counts only grow, as long as the server runs.
fn cached(all: &mut Registry, cache: &CacheStatus) {
    let gauge = |value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    all.register_with_unit("cache_size", "What lies in the package cache", Unit::Bytes, gauge(cache.bytes));
    all.register_with_unit(
        "cache_limit",
        "Most that the package cache keeps",
        Unit::Bytes,
        gauge(cache.limit_bytes),
    );
    all.register("cache_files", "Files in the package cache", gauge(cache.files));
    let (requests, bytes) =
        (Family::<ResultLabels, Counter>::default(), Family::<WayLabels, Counter>::default());
    let (refused, up) = (Family::<MirrorLabel, Counter>::default(), Family::<MirrorLabel, Gauge>::default());
    for mirror in &cache.mirrors {
        let name = || mirror.name.clone();
        for (result, count) in [("hit", mirror.hits), ("miss", mirror.misses), ("joined", mirror.joined)] {
            requests.get_or_create(&ResultLabels { mirror: name(), result }).inc_by(count);
        }
        for (way, count) in [("served", mirror.served_bytes), ("fetched", mirror.fetched_bytes)] {
            bytes.get_or_create(&WayLabels { mirror: name(), way }).inc_by(count);
        }
        refused.get_or_create(&MirrorLabel { mirror: name() }).inc_by(mirror.refused);
        up.get_or_create(&MirrorLabel { mirror: name() }).set(i64::from(mirror.down_since.is_none()));
    }
    all.register("cache_requests", "Requests to the package cache, by mirror and result", requests);
    all.register("cache_transferred_bytes", "Bytes to clients and from mirrors", bytes);
    all.register("cache_refused", "Files of mirrors that were not what is signed", refused);
    all.register("cache_mirror_up", "Whether a mirror answered when it was last asked", up);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::AttemptState;

    fn measured(after: i64, until: i64) -> Measured {
        Measured {
            ended: vec![("reboot".to_owned(), AttemptState::Failed, 2)],
            ended_after: after,
            ended_until: until,
            ..Measured::default()
        }
    }

    #[test]
    fn two_that_scrape_at_once_count_an_attempt_once() {
        let metrics = Metrics::new(10);
        for _ in 0..2 {
            metrics.count_ended(&measured(10, 20));
        }
        let text = metrics.text(&measured(20, 30)).unwrap();
        let line = "lotse_attempts_ended_total{job_type=\"reboot\",outcome=\"failed\"} 4";
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn addresses_that_do_not_exist_make_one_line_however_many_are_tried() {
        let metrics = Metrics::new(0);
        for _ in 0..50 {
            metrics.answered("BREW", "", 404, Duration::from_millis(2));
        }
        let text = metrics.text(&Measured::default()).unwrap();
        let line =
            "lotse_http_request_duration_seconds_count{method=\"other\",route=\"other\",status=\"4xx\"} 50";
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn what_waits_is_counted_down_when_it_ends() {
        let metrics = Metrics::new(0);
        let poll = metrics.poll();
        assert!(metrics.text(&Measured::default()).unwrap().contains("lotse_polls_waiting 1\n"));
        drop(poll);
        let text = metrics.text(&Measured::default()).unwrap();
        assert!(text.contains("lotse_polls_waiting 0\n") && text.contains("lotse_polls_total 1\n"), "{text}");
    }
}
