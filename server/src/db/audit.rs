//! The audit: entries are noted in the transaction of their change, and sealed into the chain when it commits.
//!
//! Invariant: whatever is committed for a request that runs within an [`Origin`] has an entry. Use cases note what they change; when a
//! transaction commits for which nobody noted anything, [`super::Tx::commit`] notes the request itself. What the server does by itself,
//! and what agents ask for, runs outside of any origin and leaves none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::{Error, Row, Tx, args, dialect, to_json};
use crate::domain::audit::{self, Entry};

tokio::task_local! {
    static ORIGIN: Origin;
}

/// Signs the end of the chain; behind it is the server's key.
pub type Signer = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Who asks, from where, and for what: set around a request that may change something.
#[derive(Clone)]
pub struct Origin {
    /// Who.
    pub actor: String,
    /// What let them in.
    pub via: String,
    /// From where.
    pub address: String,
    /// The request's number.
    pub request_id: String,
    /// When it came.
    pub at: i64,
    /// What is noted when nobody notes anything better: the method and the route.
    pub action: String,
    /// And with what: the path.
    pub object: String,
    /// Signs the end of the chain.
    pub signer: Signer,
    noted: Arc<AtomicBool>,
}

impl Origin {
    /// An origin for which nothing was noted.
    pub fn new(actor: &str, via: &str, at: i64, signer: Signer) -> Self {
        Self {
            actor: actor.to_owned(),
            via: via.to_owned(),
            address: String::new(),
            request_id: String::new(),
            at,
            action: "request".to_owned(),
            object: String::new(),
            signer,
            noted: Arc::default(),
        }
    }

    /// The same, now that it is known who asks.
    #[must_use]
    pub fn by(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.actor);
        self
    }

    /// Runs what is asked for; every entry noted meanwhile has this origin.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        ORIGIN.scope(self, work).await
    }

    /// The origin of the request that is carried out here; none when the server or an agent does something.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }
}

/// Notes a change. `before` and `after` are JSON values; `null` says that the object was or is not there. Outside of a request by
/// a person nothing is noted.
pub async fn note(
    tx: &mut Tx,
    action: &str,
    object: &str,
    before: &(impl Serialize + Sync),
    after: &(impl Serialize + Sync),
) -> Result<(), Error> {
    match Origin::current() {
        Some(origin) => note_from(tx, &origin, &origin.actor, action, object, before, after).await,
        None => Ok(()),
    }
}

/// Notes a change by somebody whom the request did not know yet when it came: a login.
pub async fn note_by(
    tx: &mut Tx,
    actor: &str,
    action: &str,
    object: &str,
    after: &(impl Serialize + Sync),
) -> Result<(), Error> {
    match Origin::current() {
        Some(origin) => note_from(tx, &origin, actor, action, object, &(), after).await,
        None => Ok(()),
    }
}

async fn note_from(
    tx: &mut Tx,
    origin: &Origin,
    actor: &str,
    action: &str,
    object: &str,
    before: &(impl Serialize + Sync),
    after: &(impl Serialize + Sync),
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO audit (at, actor, via, address, request_id, action, object, old_value, new_value) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![
            origin.at,
            actor,
            &origin.via,
            &origin.address,
            &origin.request_id,
            action,
            object,
            json(before)?,
            json(after)?
        ],
    )
    .await?;
    origin.noted.store(true, Ordering::Release);
    Ok(())
}

fn json(value: &impl Serialize) -> Result<Option<String>, Error> {
    let unwritable =
        |source: serde_json::Error| Error::Value { column: "JSON".to_owned(), source: source.into() };
    let value = serde_json::to_value(value).map_err(unwritable)?;
    if value.is_null() { Ok(None) } else { to_json(&audit::without_secrets(value)).map(Some) }
}

/// Gives what was noted in a transaction its place in the chain; the last thing before it commits. Whoever appends holds the head's lock
/// until then, so there is one order; and takes no other lock after it, so nobody waits in a circle.
pub(super) async fn seal(tx: &mut Tx) -> Result<(), Error> {
    let Some(origin) = Origin::current() else { return Ok(()) };
    let sql = "SELECT id, at, actor, via, address, request_id, action, object, old_value, new_value FROM audit \
               WHERE seq IS NULL ORDER BY id";
    let mut rows = tx.all(sql, []).await?;
    if rows.is_empty() {
        if origin.noted.load(Ordering::Acquire) {
            return Ok(());
        }
        note_from(tx, &origin, &origin.actor, &origin.action, &origin.object, &(), &()).await?;
        rows = tx.all(sql, []).await?;
    }
    let taken = "UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING seq, hash";
    let Some(head) = tx.optional(taken, []).await? else {
        return Err(Error::Value {
            column: "audit_head".to_owned(),
            source: "the end of the audit chain was removed; nothing can be changed until it is restored"
                .into(),
        });
    };
    let (mut seq, mut hash) = (head.int("seq")?, head.text("hash")?);
    for row in &rows {
        seq += 1;
        let mut entry = Entry { seq, hash: String::new(), ..from_row(row)? };
        entry.hash = audit::chained(&entry, &hash);
        hash.clone_from(&entry.hash);
        let sql = "UPDATE audit SET seq = $1, hash = $2 WHERE id = $3";
        tx.execute(sql, args![seq, &entry.hash, row.int("id")?]).await?;
    }
    let signature = (origin.signer)(&audit::head_text(seq, &hash));
    let sql = "UPDATE audit_head SET seq = $1, hash = $2, signature = $3 WHERE id = 1";
    tx.execute(sql, args![seq, &hash, &signature]).await?;
    Ok(())
}

/// All but place and hash.
fn from_row(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        seq: 0,
        at: row.int("at")?,
        actor: row.text("actor")?,
        via: row.text("via")?,
        address: row.text("address")?,
        request_id: row.text("request_id")?,
        action: row.text("action")?,
        object: row.text("object")?,
        before: row.opt_text("old_value")?,
        after: row.opt_text("new_value")?,
        hash: String::new(),
    })
}

fn sealed(row: &Row) -> Result<Entry, Error> {
    Ok(Entry {
        seq: row.opt_int("seq")?.unwrap_or(0),
        hash: row.opt_text("hash")?.unwrap_or_default(),
        ..from_row(row)?
    })
}

/// Which entries are wanted; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Who.
    pub actor: Option<String>,
    /// What: the whole word, or its beginning before a dot, such as `client`.
    pub action: Option<String>,
    /// With what: any part of it, small and large letters alike.
    pub object: Option<String>,
    /// Not before this time.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
}

const COLUMNS: &str = "seq, at, actor, via, address, request_id, action, object, old_value, new_value, hash";

/// Entries before a place in the chain, newest first.
pub async fn list(tx: &mut Tx, filter: &Filter, before: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE seq < $1 AND ($2 IS NULL OR actor = $2) \
         AND ($3 IS NULL OR action = $3 OR substr(action, 1, length($3) + 1) = $3 || '.') \
         AND ($4 IS NULL OR lower(object) LIKE '%' || $4 || '%' ESCAPE '!') \
         AND ($5 IS NULL OR at >= $5) AND ($6 IS NULL OR at < $6) ORDER BY seq DESC LIMIT $7"
    );
    let object = filter.object.as_ref().map(|text| dialect::within_like(&text.to_lowercase()));
    let args =
        args![before, filter.actor.clone(), filter.action.clone(), object, filter.since, filter.until, limit];
    tx.all(&sql, args).await?.iter().map(sealed).collect()
}

/// An entry by its place.
pub async fn find(tx: &mut Tx, seq: i64) -> Result<Option<Entry>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq = $1");
    tx.optional(&sql, args![seq]).await?.as_ref().map(sealed).transpose()
}

/// Entries after a place, in the order of the chain.
pub async fn after(tx: &mut Tx, seq: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2");
    tx.all(&sql, args![seq, limit]).await?.iter().map(sealed).collect()
}

/// The end of the chain: place, hash, signature.
pub async fn head(tx: &mut Tx) -> Result<Option<(i64, String, String)>, Error> {
    let row = tx.optional("SELECT seq, hash, signature FROM audit_head WHERE id = 1", []).await?;
    row.map(|row| Ok((row.int("seq")?, row.text("hash")?, row.text("signature")?))).transpose()
}

/// Whether there are rows that never came into the chain; no transaction leaves any.
pub async fn has_unsealed(tx: &mut Tx) -> Result<bool, Error> {
    Ok(tx.optional("SELECT id FROM audit WHERE seq IS NULL LIMIT 1", []).await?.is_some())
}

/// The different actions and actors there are, for filters.
pub async fn words(tx: &mut Tx) -> Result<(Vec<String>, Vec<String>), Error> {
    let mut texts = async |sql: &str| -> Result<Vec<String>, Error> {
        tx.all(sql, []).await?.iter().map(|row| row.text("word")).collect()
    };
    let actions = texts("SELECT DISTINCT action AS word FROM audit ORDER BY word LIMIT 500").await?;
    Ok((actions, texts("SELECT DISTINCT actor AS word FROM audit ORDER BY word LIMIT 500").await?))
}
