//! Sends the events of one attempt until the server has stored the last one, and hears its verdicts.
//!
//! Invariant: an event leaves the spool only by the server's word that it is stored. Sending is repeated for as long as
//! the server cannot be reached; it ends early only when the server says that the attempt is not the agent's any more.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::{
    AttemptId,
    event::{Event, EventKind, Outcome, ReportRequest, Verdict},
};

use crate::{
    backoff::{self, Backoff},
    server::Server,
    spool::Spool,
};

/// Output that comes within this time travels in one report.
const GATHER: Duration = Duration::from_millis(200);

/// How reporting ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// The server has stored every event.
    All,
    /// The attempt is not the agent's any more; why.
    Superseded(String),
}

/// What the server wants of a running attempt.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Somebody cancelled the job.
    pub cancel: CancellationToken,
    /// Somebody released the job.
    pub release: CancellationToken,
}

/// One attempt's reports.
pub struct Reports<'a> {
    /// Where they go.
    pub server: &'a dyn Server,
    /// Where they come from.
    pub spool: &'a Spool,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// The boot in which the agent runs.
    pub boot_id: &'a str,
    /// Without any report the lease ends after this many seconds.
    pub lease_s: u32,
    /// Told to whoever runs the attempt.
    pub wishes: Wishes,
}

impl Reports<'_> {
    /// Sends until the spool is over.
    pub async fn send(&self) -> Reported {
        let heartbeat = Duration::from_secs((self.lease_s / 3).max(1).into());
        let mut backoff = Backoff::within_lease(self.lease_s);
        // At once: a resumed attempt must know whether it is still the agent's.
        let mut heartbeat_at = Instant::now();
        loop {
            let events = match self.spool.next_batch() {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the spool cannot be read; trying again"
                    );
                    sleep(backoff.fail(backoff::random())).await;
                    continue;
                }
            };
            if events.is_empty() {
                if self.spool.is_over() {
                    return Reported::All;
                }
                if Instant::now() < heartbeat_at {
                    tokio::select! {
                        () = self.spool.fresh() => if !self.spool.is_finished() { sleep(GATHER).await },
                        () = sleep_until(heartbeat_at) => {}
                    }
                    continue;
                }
            }
            let request = ReportRequest { boot_id: self.boot_id.to_owned(), events };
            match self.server.report(self.attempt, &request).await {
                Ok(response) => {
                    backoff.succeed();
                    heartbeat_at = Instant::now() + heartbeat;
                    if let Err(error) = self.spool.acknowledge(response.stored_seq) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a sent part of the spool stays on disk"
                        );
                    }
                    match response.verdict {
                        Verdict::Continue | Verdict::Unknown => {}
                        Verdict::Cancel { reason } => {
                            tracing::info!(attempt = self.attempt.0, reason, "the job is cancelled");
                            self.wishes.cancel.cancel();
                        }
                        Verdict::Release => self.wishes.release.cancel(),
                        Verdict::Superseded { reason } => return Reported::Superseded(reason),
                    }
                    if let Some(first) = request.events.first()
                        && first.seq > response.stored_seq + 1
                    {
                        return self.give_up(response.stored_seq, first.at).await;
                    }
                    // A server that took nothing of a full batch would be asked again without a pause.
                    if !request.events.is_empty() && response.stored_seq < request.events[0].seq {
                        sleep(backoff.fail(backoff::random())).await;
                    }
                }
                Err(error) if error.is_transient() => {
                    tracing::info!(error = chain(&error), "a report did not get through; trying again");
                    sleep(backoff.fail(backoff::random())).await;
                }
                Err(error) => return Reported::Superseded(chain(&error)),
            }
        }
    }
}

impl Reports<'_> {
    /// The server has not stored what comes before the first event that is left here, although it once said so: nothing that
    /// follows would ever be stored. So it hears, under the number that it waits for, that the attempt has failed.
    async fn give_up(&self, stored_seq: u64, at: i64) -> Reported {
        let reason =
            "the server has lost what was reported before, as after going back to a backup".to_owned();
        let outcome = Outcome::Failed { step: String::new(), reason: reason.clone(), transient: true };
        let event = Event { seq: stored_seq + 1, at, kind: EventKind::Finished { outcome } };
        let request = ReportRequest { boot_id: self.boot_id.to_owned(), events: vec![event] };
        let mut backoff = Backoff::within_lease(self.lease_s);
        while let Err(error) = self.server.report(self.attempt, &request).await {
            if !error.is_transient() {
                break;
            }
            sleep(backoff.fail(backoff::random())).await;
        }
        Reported::Superseded(reason)
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
