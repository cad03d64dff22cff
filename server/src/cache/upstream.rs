//! The mirrors themselves: asking them, and what is known of how they are.
//!
//! Invariant: only the configured addresses are asked. A mirror that does not answer is left alone for a moment, so that hundreds of
//! clients do not each wait for it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::{StatusCode, header};
use tokio::sync::Semaphore;

use super::failure::Failure;
use crate::clock::{Clock, SECOND};

/// Files that are fetched from one mirror at once.
const AT_ONCE: usize = 16;
/// A mirror that did not answer is asked again after so long.
const LEFT_ALONE_FOR: i64 = 10 * SECOND;
/// That something was not what is signed is shown for so long, unless the right thing comes before.
const UNFIT_FOR: i64 = 86_400 * SECOND;
/// No file takes longer.
const LONGEST: Duration = Duration::from_hours(2);

/// A mirror.
#[derive(Debug)]
pub struct Mirror {
    /// Its name.
    pub name: Arc<str>,
    /// What was counted since the server started.
    pub counts: Counts,
    /// So many files are fetched at once.
    pub permits: Semaphore,
    base: String,
    client: reqwest::Client,
    clock: Clock,
    state: Mutex<State>,
    reports: Arc<Reports>,
}

/// What was counted since the server started.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were answered from the disk.
    pub hits: AtomicU64,
    /// Requests that began a transfer from the mirror.
    pub misses: AtomicU64,
    /// Requests that joined a transfer that was under way.
    pub joined: AtomicU64,
    /// Bytes that went to clients.
    pub served: AtomicU64,
    /// Bytes that came from the mirror.
    pub fetched: AtomicU64,
    /// Files that were not passed on, because they were not what is signed.
    pub unfit: AtomicU64,
}

/// How a mirror is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Since when it does not answer, and why.
    pub down: Option<(i64, Arc<str>)>,
    /// When it last gave something that is not what is signed: which path, and what was wrong.
    pub unfit: Option<(i64, Arc<str>, Arc<str>)>,
    /// When it last answered.
    pub answered_at: Option<i64>,
    /// How many seconds our clock is ahead of its.
    pub ahead_s: Option<i64>,
    ask_again_at: i64,
}

/// What somebody should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub at: i64,
    /// `mirror.unfit`, `mirror.down` or `mirror.back`.
    pub kind: &'static str,
    /// Which mirror, and what.
    pub text: String,
}

/// What was not yet told.
#[derive(Debug, Default)]
pub struct Reports(Mutex<Vec<Report>>);

impl Reports {
    /// Most that wait to be told: a mirror that lies about everything says nothing new after so many.
    const MOST: usize = 100;

    fn add(&self, report: Report) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < Self::MOST {
            waiting.push(report);
        }
    }

    /// Takes what waits to be told.
    pub fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mirror {
    /// A mirror that was not asked yet.
    pub fn new(name: &str, base: &str, client: reqwest::Client, clock: Clock, reports: Arc<Reports>) -> Self {
        Self {
            name: name.into(),
            counts: Counts::default(),
            permits: Semaphore::new(AT_ONCE),
            base: base.to_owned(),
            client,
            clock,
            state: Mutex::default(),
            reports,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is. What was wrong long ago, and was not asked for again, is forgotten.
    pub fn state(&self) -> State {
        let mut state = self.lock();
        if state.unfit.as_ref().is_some_and(|(at, ..)| self.clock.now() - at > UNFIT_FOR) {
            state.unfit = None;
        }
        state.clone()
    }

    /// Asks for a file; any answer of the mirror is one here.
    ///
    /// # Errors
    /// [`Failure::Down`]: there is no answer, or there was none a moment ago.
    pub async fn ask(&self, path: &str, headers: header::HeaderMap) -> Result<reqwest::Response, Failure> {
        if let Some((_, why)) = self.left_alone() {
            return Err(Failure::Down { mirror: Arc::clone(&self.name), why });
        }
        let url = format!("{}/{path}", self.base);
        match self.client.get(url).headers(headers).timeout(LONGEST).send().await {
            Ok(answer)
                if answer.status() == StatusCode::BAD_GATEWAY
                    || answer.status() == StatusCode::GATEWAY_TIMEOUT =>
            {
                Err(self.is_down(path, format!("cannot be reached: {}", answer.status())))
            }
            Ok(answer) => {
                self.answers(answer.headers());
                Ok(answer)
            }
            Err(error) if error.is_redirect() => {
                let error = anyhow::Error::from(error.without_url());
                Err(self.is_down(path, format!("cannot be used: {}", error.root_cause())))
            }
            Err(error) => {
                let error = anyhow::Error::from(error.without_url());
                tracing::warn!(
                    mirror = &*self.name,
                    path,
                    error = format!("{error:#}"),
                    "the mirror does not answer"
                );
                Err(self.is_down(path, "does not answer".to_owned()))
            }
        }
    }

    fn left_alone(&self) -> Option<(i64, Arc<str>)> {
        let state = self.lock();
        state.down.clone().filter(|_| self.clock.now() < state.ask_again_at)
    }

    fn answers(&self, headers: &header::HeaderMap) {
        let now = self.clock.now();
        let date =
            headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let theirs = date.and_then(|date| date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
        let mut state = self.lock();
        state.answered_at = Some(now);
        state.ahead_s = theirs.map(|theirs| now / SECOND - i64::try_from(theirs.as_secs()).unwrap_or(0));
        if state.down.take().is_some() {
            tracing::info!(mirror = &*self.name, "the mirror answers again");
            let text = format!("the mirror {} answers again", self.name);
            self.reports.add(Report { at: now, kind: "mirror.back", text });
        }
    }

    /// Notes that it does not answer.
    pub fn is_down(&self, path: &str, why: String) -> Failure {
        let now = self.clock.now();
        let why: Arc<str> = why.into();
        let mut state = self.lock();
        state.ask_again_at = now + LEFT_ALONE_FOR;
        match &mut state.down {
            Some((_, known)) => *known = Arc::clone(&why),
            down => {
                *down = Some((now, Arc::clone(&why)));
                tracing::warn!(mirror = &*self.name, path, why = &*why, "the mirror is down");
                let text = format!("the mirror {} {why}", self.name);
                self.reports.add(Report { at: now, kind: "mirror.down", text });
            }
        }
        Failure::Down { mirror: Arc::clone(&self.name), why }
    }

    /// Notes that it gave something that is not what is signed.
    pub fn is_unfit(&self, path: &str, why: &str) -> Failure {
        let now = self.clock.now();
        self.counts.unfit.fetch_add(1, Ordering::Relaxed);
        let (path, why): (Arc<str>, Arc<str>) = (path.into(), why.into());
        let failure =
            Failure::Unfit { mirror: Arc::clone(&self.name), path: Arc::clone(&path), why: Arc::clone(&why) };
        tracing::warn!(mirror = &*self.name, path = &*path, why = &*why, "not passed on");
        let mut state = self.lock();
        let known = state.unfit.as_ref().is_some_and(|(_, known, before)| *known == path && *before == why);
        state.unfit = Some((now, path, why));
        if !known {
            self.reports.add(Report { at: now, kind: "mirror.unfit", text: failure.to_string() });
        }
        failure
    }

    /// Forgets that something was unfit: the same came again, and fitted.
    pub fn fits(&self, path: &str) {
        let mut state = self.lock();
        if state.unfit.as_ref().is_some_and(|(_, unfit, _)| **unfit == *path) {
            state.unfit = None;
        }
    }
}

/// The headers that take up a transfer where it broke off (RFC 9110, 13.1.5 and 14.2).
pub(super) fn range(from: u64, validator: Option<&header::HeaderValue>) -> header::HeaderMap {
    let mut headers = header::HeaderMap::new();
    if from > 0 {
        if let Ok(range) = format!("bytes={from}-").parse() {
            headers.insert(header::RANGE, range);
        }
        if let Some(validator) = validator {
            headers.insert(header::IF_RANGE, validator.clone());
        }
    }
    headers
}
