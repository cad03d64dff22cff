//! Images that were built.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::image::Image;

const COLUMNS: &str = "id, name, recipe, parts, built_at";

fn from_row(row: &Row) -> Result<Image, Error> {
    Ok(Image {
        id: row.int("id")?,
        name: row.text("name")?,
        recipe: row.parsed("recipe")?,
        parts: row.json("parts")?,
        built_at: row.int("built_at")?,
    })
}

/// Keeps a new image; it is the one to use from now on.
pub async fn create(tx: &mut Tx, image: &Image) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO images (name, recipe, parts, built_at) VALUES ($1, $2, $3, $4) RETURNING id",
        args![&image.name, &image.recipe, to_json(&image.parts)?, image.built_at],
    )
    .await
}

/// The newest image of a name.
pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<Image>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM images WHERE name = $1 ORDER BY id DESC LIMIT 1");
    tx.optional(&sql, args![name]).await?.as_ref().map(from_row).transpose()
}

/// The newest image of each name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Image>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images i WHERE id = (SELECT max(n.id) FROM images n WHERE n.name = i.name) ORDER BY name"
    );
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}
