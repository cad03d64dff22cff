//! Values kept under a name for new clients.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::client::ClientConfig;

/// Values for new clients.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// What is wanted of a client.
    pub config: ClientConfig,
    /// Names of the groups it shall belong to.
    pub groups: Vec<String>,
}

fn from_row(row: &Row) -> Result<Preset, Error> {
    Ok(Preset { name: row.text("name")?, config: row.json("config")?, groups: row.json("member_of")? })
}

/// Keeps a preset, replacing an older one of the name.
pub async fn set(tx: &mut Tx, preset: &Preset, now: i64) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO presets (name, config, member_of, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) \
         DO UPDATE SET config = excluded.config, member_of = excluded.member_of, updated_at = excluded.updated_at",
        args![&preset.name, to_json(&preset.config)?, to_json(&preset.groups)?, now],
    )
    .await?;
    Ok(())
}

/// All presets by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Preset>, Error> {
    let rows = tx.all("SELECT name, config, member_of FROM presets ORDER BY name", []).await?;
    rows.iter().map(from_row).collect()
}

/// A preset by name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Preset>, Error> {
    let row = tx.optional("SELECT name, config, member_of FROM presets WHERE name = $1", args![name]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Removes a preset.
pub async fn delete(tx: &mut Tx, name: &str) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM presets WHERE name = $1", args![name]).await? == 1)
}
