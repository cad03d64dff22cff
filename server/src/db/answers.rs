//! Answers to requests that may be repeated: what an `Idempotency-Key` stands for.
//!
//! Invariant: a request is marked in the very transaction that carries it out ([`super::Tx::commit`]), so it is never carried out twice and
//! never taken for carried out when it was not, whenever the server ends.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Error, Tx, args};

/// Keys are remembered for a day.
pub const KEPT_FOR: i64 = 24 * 3600 * crate::clock::SECOND;

tokio::task_local! {
    static MARK: Mark;
}

/// One request that must be carried out at most once.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Whose key it is: the number of the API token.
    pub token: i64,
    /// The key.
    pub key: String,
    /// Hash of the request.
    pub request: String,
    /// When it came.
    pub at: i64,
    written: Arc<AtomicBool>,
}

impl Mark {
    /// A request that has not been carried out.
    pub fn new(token: i64, key: String, request: String, at: i64) -> Self {
        Self { token, key, request, at, written: Arc::default() }
    }

    /// Runs what carries the request out: the first transaction that it commits holds the mark.
    pub async fn scope<F: Future>(&self, work: F) -> F::Output {
        MARK.scope(self.clone(), work).await
    }

    /// Whether anything was committed for the request.
    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::Acquire)
    }

    /// The mark that the present transaction has to write, if there is one.
    pub(super) fn pending() -> Option<Self> {
        MARK.try_with(Clone::clone).ok().filter(|mark| !mark.is_written())
    }

    pub(super) async fn write(&self, tx: &mut Tx) -> Result<(), Error> {
        let sql = "INSERT INTO answers (token_id, key, request, created_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (token_id, key) DO UPDATE SET request = excluded.request, status = NULL, etag = NULL, \
                   body = NULL, created_at = excluded.created_at WHERE answers.created_at <= $5";
        let args = args![self.token, &self.key, &self.request, self.at, self.at - KEPT_FOR];
        if tx.execute(sql, args).await? == 1 { Ok(()) } else { Err(Error::Repeated(self.key.clone())) }
    }

    pub(super) fn was_written(&self) {
        self.written.store(true, Ordering::Release);
    }
}

/// What is known of a request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Hash of the request.
    pub request: String,
    /// The answer, unless it was not kept.
    pub answer: Option<Answer>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// JSON text.
    pub body: String,
}

/// What is known of a key.
pub async fn find(tx: &mut Tx, token: i64, key: &str, now: i64) -> Result<Option<Kept>, Error> {
    let sql = "SELECT request, status, etag, body FROM answers WHERE token_id = $1 AND key = $2 AND created_at > $3";
    let Some(row) = tx.optional(sql, args![token, key, now - KEPT_FOR]).await? else { return Ok(None) };
    let status = row.opt_int("status")?.and_then(|status| u16::try_from(status).ok());
    let answer = match status {
        Some(status) => Some(Answer {
            status,
            etag: row.opt_text("etag")?,
            body: row.opt_text("body")?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(Some(Kept { request: row.text("request")?, answer }))
}

/// Keeps the answer to a request that was marked.
pub async fn keep(tx: &mut Tx, mark: &Mark, answer: &Answer) -> Result<(), Error> {
    let sql = "UPDATE answers SET status = $1, etag = $2, body = $3 WHERE token_id = $4 AND key = $5";
    let args = args![i64::from(answer.status), answer.etag.clone(), &answer.body, mark.token, &mark.key];
    tx.execute(sql, args).await?;
    Ok(())
}

/// Forgets keys that are too old.
pub async fn prune(tx: &mut Tx, now: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM answers WHERE created_at <= $1", args![now - KEPT_FOR]).await
}
