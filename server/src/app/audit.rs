//! The audit as people ask for it: listed, exported, verified; and logins that failed.

use std::sync::Arc;

use super::{
    Error,
    people::{Actor, pass_word},
};
use crate::{
    context::Ctx,
    db::{
        Tx,
        audit::{self, Origin, Signer},
    },
    domain::audit::{Break, Entry, Walk, head_text},
};

pub use crate::db::audit::Filter;

/// Entries that are looked at in one go.
const BATCH: i64 = 1000;

/// The end of the chain. Whoever notes it down elsewhere can later prove that nothing before it was rewritten.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Head {
    /// Number of the last entry; 0 when there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// Signature (Ed25519, base64) of the server's key over `lotse audit head SEQ HASH`.
    pub signature: String,
    /// The public key, hexadecimal; agents pinned the same one.
    pub key: String,
}

/// What looking through the whole chain has shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Verdict {
    /// Everything is as it was written.
    pub good: bool,
    /// Number of the last good entry.
    pub entries: i64,
    /// Where it is broken first.
    pub broken: Option<Break>,
    /// The end of the chain.
    pub head: Head,
}

/// Signs the end of the chain with the server's key.
pub fn signer(ctx: &Ctx) -> Signer {
    let ctx = ctx.clone();
    Arc::new(move |text| ctx.authority.sign_text(text))
}

/// The origin of what somebody asks for; nobody before a login.
pub fn origin(ctx: &Ctx, actor: Option<&Actor>) -> Origin {
    match actor {
        None => Origin::new("nobody", "nobody", ctx.now(), signer(ctx)),
        Some(actor) => Origin::new(&actor.name, &pass_word(&actor.pass), ctx.now(), signer(ctx)),
    }
}

/// Notes that somebody was not let in. Such an entry is the only trace that the attempt leaves.
///
/// # Errors
/// The database refuses.
pub async fn login_failed(ctx: &Ctx, object: &str, reason: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let object: String = object.chars().filter(|letter| !letter.is_control()).take(200).collect();
    audit::note(&mut tx, "login.failed", &object, &(), &serde_json::json!({ "reason": reason })).await?;
    Ok(tx.commit().await?)
}

/// Entries before a place in the chain, newest first.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx, filter: &Filter, before: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    Ok(audit::list(tx, filter, before, limit).await?)
}

/// Entries after a place in the chain, oldest first: for an export.
///
/// # Errors
/// The database refuses.
pub async fn after(tx: &mut Tx, seq: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    Ok(audit::after(tx, seq, limit).await?)
}

/// The different actions and actors there are.
///
/// # Errors
/// The database refuses.
pub async fn words(tx: &mut Tx) -> Result<(Vec<String>, Vec<String>), Error> {
    Ok(audit::words(tx).await?)
}

/// The end of the chain.
///
/// # Errors
/// The database refuses.
pub async fn head(ctx: &Ctx, tx: &mut Tx) -> Result<Head, Error> {
    let (seq, hash, signature) = audit::head(tx).await?.unwrap_or_default();
    Ok(Head { seq, hash, signature, key: ctx.authority.plan_key() })
}

/// Looks through the whole chain: every entry's hash, the numbers, the signed end; and, with `expected`, whether an end that was noted
/// down earlier (number and hash) is still a part of it.
///
/// # Errors
/// The database refuses.
pub async fn verify(ctx: &Ctx, expected: Option<&(i64, String)>) -> Result<Verdict, Error> {
    let mut tx = ctx.db.read().await?;
    let mut walk = Walk::default();
    loop {
        let mut broken = walk_along(&mut tx, &mut walk, expected).await?;
        // Read after the entries: what was appended meanwhile is walked along as well, so nothing may stand behind the end.
        let there = audit::head(&mut tx).await?.is_some();
        let head = head(ctx, &mut tx).await?;
        if broken.is_none() && head.seq > walk.seq && !audit::after(&mut tx, walk.seq, 1).await?.is_empty() {
            continue;
        }
        if broken.is_none() {
            broken = end_of(ctx, &mut tx, there, &head, &walk).await?;
        }
        if let (None, Some((seq, _))) = (&broken, expected.filter(|(seq, _)| *seq > walk.seq)) {
            let reason = format!("the chain ends with entry {}, but there was an entry {seq}", walk.seq);
            broken = Some(Break { seq: walk.seq + 1, reason });
        }
        return Ok(Verdict { good: broken.is_none(), entries: walk.seq, broken, head });
    }
}

async fn walk_along(
    tx: &mut Tx,
    walk: &mut Walk,
    expected: Option<&(i64, String)>,
) -> Result<Option<Break>, Error> {
    loop {
        let entries = audit::after(tx, walk.seq, BATCH).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in &entries {
            if let Err(broken) = walk.step(entry) {
                return Ok(Some(broken));
            }
            if expected.is_some_and(|(seq, hash)| *seq == entry.seq && *hash != entry.hash) {
                let reason = format!(
                    "entry {} has another hash than the one that was noted down: the chain was rewritten up to there",
                    entry.seq
                );
                return Ok(Some(Break { seq: entry.seq, reason }));
            }
        }
    }
}

/// What is wrong with the end of a chain whose entries fit together.
async fn end_of(
    ctx: &Ctx,
    tx: &mut Tx,
    there: bool,
    head: &Head,
    walk: &Walk,
) -> Result<Option<Break>, Error> {
    let next = walk.seq + 1;
    if !there {
        return Ok(Some(Break { seq: next, reason: "the record of the chain's end is missing".to_owned() }));
    }
    if head.seq != walk.seq {
        let reason = if head.seq > walk.seq {
            format!("entry {next} and all after it are missing: the chain ended with entry {}", head.seq)
        } else {
            format!("the record of the chain's end names entry {}, but there are more", head.seq)
        };
        return Ok(Some(Break { seq: head.seq.min(walk.seq) + 1, reason }));
    }
    if head.hash != walk.hash {
        let reason = "the record of the chain's end has another hash than the last entry".to_owned();
        return Ok(Some(Break { seq: walk.seq, reason }));
    }
    let signed = head.seq == 0 || ctx.authority.has_signed(&head_text(head.seq, &head.hash), &head.signature);
    if !signed {
        let reason = "the end of the chain is not signed by this server's key: the chain was rewritten by somebody without it";
        return Ok(Some(Break { seq: walk.seq, reason: reason.to_owned() }));
    }
    if audit::has_unsealed(tx).await? {
        let reason = "there are entries outside of the chain, which the server never leaves".to_owned();
        return Ok(Some(Break { seq: next, reason }));
    }
    Ok(None)
}
