//! This server's boot ISO at providers.

use wire::Sha256;

use super::{Error, Row, Tx, args};
use crate::domain::provider_image::{ImageState, ProviderImage};

fn from_row(row: &Row) -> Result<ProviderImage, Error> {
    Ok(ProviderImage {
        id: row.int("id")?,
        provider_id: row.int("provider_id")?,
        sha256: row.parsed("sha256")?,
        name: row.text("name")?,
        remote: row.opt_text("remote")?,
        state: row.parsed("state")?,
        said: row.text("said")?,
        percent: row.opt_int("percent")?,
        looks: row.int("looks")?,
        registered_at: row.int("registered_at")?,
        changed_at: row.int("changed_at")?,
    })
}

/// The images at a provider, the newest first.
pub async fn of(tx: &mut Tx, provider: i64) -> Result<Vec<ProviderImage>, Error> {
    let sql = "SELECT * FROM provider_images WHERE provider_id = $1 ORDER BY id DESC";
    tx.all(sql, args![provider]).await?.iter().map(from_row).collect()
}

/// Takes the look after a provider's images, so that no other server does it before; tells whether it is due.
pub async fn take_look(tx: &mut Tx, provider: i64, before: i64, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE providers SET images_at = $1 WHERE id = $2 AND images_at <= $3";
    Ok(tx.execute(sql, args![now, provider, before]).await? == 1)
}

/// Writes down an image that is about to be asked for.
///
/// # Errors
/// [`Error::Exists`] when another server asks for it.
pub async fn intend(tx: &mut Tx, provider: i64, sha256: &Sha256, name: &str, now: i64) -> Result<i64, Error> {
    let sql = "INSERT INTO provider_images (provider_id, sha256, name, state, registered_at, changed_at) \
               VALUES ($1, $2, $3, 'intended', $4, $4) RETURNING id";
    tx.insert(sql, args![provider, sha256.as_str(), name, now]).await
}

/// It is about to be asked for under another name.
pub async fn rename(tx: &mut Tx, id: i64, name: &str) -> Result<(), Error> {
    let sql = "UPDATE provider_images SET name = $1, looks = 0 WHERE id = $2";
    tx.execute(sql, args![name, id]).await?;
    Ok(())
}

/// Notes that it was looked for in vain.
pub async fn looked(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("UPDATE provider_images SET looks = looks + 1 WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Moves an image to a state, with what is known of it there.
pub async fn set_state(
    tx: &mut Tx,
    id: i64,
    state: ImageState,
    remote: Option<&str>,
    (said, percent): (&str, Option<i64>),
    now: i64,
) -> Result<(), Error> {
    let sql = "UPDATE provider_images SET changed_at = CASE WHEN state = $1 THEN changed_at ELSE $5 END, state = $1, \
               remote = coalesce($2, remote), said = $3, percent = $4 WHERE id = $6";
    tx.execute(sql, args![state.as_str(), remote, said, percent, now, id]).await?;
    Ok(())
}

/// Forgets an image that is not there.
pub async fn forget(tx: &mut Tx, id: i64) -> Result<(), Error> {
    tx.execute("DELETE FROM provider_images WHERE id = $1", args![id]).await?;
    Ok(())
}

/// Whether a desktop's machine is being made from an image there, or has it in its drive.
pub async fn is_used(tx: &mut Tx, provider: i64, remote: &str) -> Result<bool, Error> {
    let sql = "SELECT count(*) AS id FROM desktop_trials t JOIN desktops d ON d.id = t.desktop_id \
               WHERE t.provider_id = $1 AND t.place LIKE $2 AND (t.state IN ('building', 'clearing') \
               OR (t.state = 'succeeded' AND t.round >= d.first_round AND d.iso_attached AND d.state = 'ready'))";
    Ok(tx.insert(sql, args![provider, format!("%\"iso\":\"{remote}\"%")]).await? > 0)
}
