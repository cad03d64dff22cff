//! Reports that are mailed by the calendar, and their sendings: one for each period.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::report_mail::{MailWish, ReportMail, Sending};

const COLUMNS: &str = "id, name, wanted, next_at, created_at";

fn from_row(row: &Row) -> Result<ReportMail, Error> {
    Ok(ReportMail {
        id: row.int("id")?,
        name: row.text("name")?,
        wish: row.json("wanted")?,
        next_at: row.int("next_at")?,
        created_at: row.int("created_at")?,
    })
}

/// Makes a report mail.
///
/// # Errors
/// [`Error::Exists`] when the name is taken.
pub async fn create(tx: &mut Tx, name: &str, wish: &MailWish, next_at: i64, now: i64) -> Result<i64, Error> {
    let sql =
        "INSERT INTO report_mails (name, wanted, next_at, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    tx.insert(sql, args![name, to_json(wish)?, next_at, now]).await
}

/// All report mails by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<ReportMail>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM report_mails ORDER BY name");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// A report mail by name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<ReportMail>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM report_mails WHERE name = $1");
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// A report mail by number.
pub async fn by_id(tx: &mut Tx, id: i64) -> Result<Option<ReportMail>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM report_mails WHERE id = $1");
    tx.optional(&sql, args![id]).await?.as_ref().map(from_row).transpose()
}

/// Changes what is sent, and when next.
pub async fn update(tx: &mut Tx, id: i64, wish: &MailWish, next_at: i64) -> Result<(), Error> {
    let sql = "UPDATE report_mails SET wanted = $1, next_at = $2, version = version + 1 WHERE id = $3";
    tx.execute(sql, args![to_json(wish)?, next_at, id]).await?;
    Ok(())
}

/// Removes a report mail with its sendings.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM report_mails WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Report mails whose period has begun.
pub async fn due(tx: &mut Tx, now: i64) -> Result<Vec<ReportMail>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM report_mails WHERE next_at <= $1 ORDER BY next_at, id");
    tx.all(&sql, args![now]).await?.iter().map(from_row).collect()
}

/// Goes on to the next period; tells whether no other server has done so.
pub async fn go_on(tx: &mut Tx, mail: &ReportMail, next_at: i64) -> Result<bool, Error> {
    let sql = "UPDATE report_mails SET next_at = $1 WHERE id = $2 AND next_at = $3";
    Ok(tx.execute(sql, args![next_at, mail.id, mail.next_at]).await? == 1)
}

/// Puts the sending of a period on its way.
pub async fn post(tx: &mut Tx, mail: i64, period_at: i64, now: i64) -> Result<(), Error> {
    let sql = "INSERT INTO report_sendings (mail_id, period_at, state, next_at) VALUES ($1, $2, 'waiting', $3) \
               ON CONFLICT (mail_id, period_at) DO NOTHING";
    tx.execute(sql, args![mail, period_at, now]).await?;
    Ok(())
}

fn sending(row: &Row) -> Result<Sending, Error> {
    Ok(Sending {
        id: row.int("id")?,
        mail: row.int("mail_id")?,
        period_at: row.int("period_at")?,
        state: row.text("state")?,
        attempts: row.int("attempts")?,
        next_at: row.int("next_at")?,
        error: row.text("error")?,
        rows: row.opt_int("row_count")?,
        finished_at: row.opt_int("finished_at")?,
    })
}

/// Whether anything is to be done: a period has begun, a sending is due, or one was left behind.
pub async fn any_work(tx: &mut Tx, now: i64) -> Result<bool, Error> {
    let sql = "SELECT id FROM report_mails WHERE next_at <= $1 UNION ALL \
               SELECT id FROM report_sendings WHERE state IN ('waiting', 'sending') AND next_at <= $1 LIMIT 1";
    Ok(tx.optional(sql, args![now]).await?.is_some())
}

/// Takes one sending that waits and is due, so that nobody else sends it: until `until` it is being sent.
pub async fn take(tx: &mut Tx, now: i64, until: i64) -> Result<Option<Sending>, Error> {
    let sql = "SELECT * FROM report_sendings WHERE state = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT 1";
    let Some(row) = tx.optional(sql, args![now]).await? else { return Ok(None) };
    let found = sending(&row)?;
    let sql = "UPDATE report_sendings SET state = 'sending', attempts = attempts + 1, next_at = $1 \
               WHERE id = $2 AND state = 'waiting' AND attempts = $3";
    let taken = tx.execute(sql, args![until, found.id, found.attempts]).await? == 1;
    Ok(taken.then(|| Sending { attempts: found.attempts + 1, state: "sending".to_owned(), ..found }))
}

/// Notes how a sending has ended.
pub async fn finish(
    tx: &mut Tx,
    id: i64,
    state: &str,
    error: &str,
    rows: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE report_sendings SET state = $1, error = $2, row_count = $3, finished_at = $4 WHERE id = $5 AND state = 'sending'";
    tx.execute(sql, args![state, error, rows, now, id]).await?;
    Ok(())
}

/// Notes that nothing was sent, and when it is tried again.
pub async fn again(tx: &mut Tx, id: i64, error: &str, next_at: i64) -> Result<(), Error> {
    let sql = "UPDATE report_sendings SET state = 'waiting', error = $1, next_at = $2 WHERE id = $3 AND state = 'sending'";
    tx.execute(sql, args![error, next_at, id]).await?;
    Ok(())
}

/// Ends sendings whose server has ended in the middle: they may have arrived. Tells how many.
pub async fn abandon(tx: &mut Tx, error: &str, now: i64) -> Result<u64, Error> {
    let sql = "UPDATE report_sendings SET state = 'unknown', error = $1, finished_at = $2 WHERE state = 'sending' AND next_at <= $2";
    tx.execute(sql, args![error, now]).await
}

/// The newest sendings of a report mail.
pub async fn sendings(tx: &mut Tx, mail: i64, limit: i64) -> Result<Vec<Sending>, Error> {
    let sql = "SELECT * FROM report_sendings WHERE mail_id = $1 ORDER BY period_at DESC LIMIT $2";
    tx.all(sql, args![mail, limit]).await?.iter().map(sending).collect()
}

/// Forgets sendings that ended before a time.
pub async fn prune(tx: &mut Tx, before: i64) -> Result<u64, Error> {
    tx.execute("DELETE FROM report_sendings WHERE finished_at < $1", args![before]).await
}
