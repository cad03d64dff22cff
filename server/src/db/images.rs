//! Images that were built.

use super::{Error, Row, Tx, args, to_json};
use crate::domain::image::Image;

const COLUMNS: &str = "id, name, recipe, parts, built_at, version";

fn from_row(row: &Row) -> Result<Image, Error> {
    Ok(Image {
        id: row.int("id")?,
        name: row.text("name")?,
        recipe: row.parsed("recipe")?,
        parts: row.json("parts")?,
        built_at: row.int("built_at")?,
        version: row.text("version")?,
    })
}

/// Keeps a new image; it is the one to use from now on.
pub async fn create(tx: &mut Tx, image: &Image) -> Result<i64, Error> {
    tx.insert(
        "INSERT INTO images (name, recipe, parts, built_at, version) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        args![&image.name, &image.recipe, to_json(&image.parts)?, image.built_at, &image.version],
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

/// All images, those of a name newest first.
pub async fn all(tx: &mut Tx) -> Result<Vec<Image>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM images ORDER BY name, id DESC");
    tx.all(&sql, []).await?.iter().map(from_row).collect()
}

/// Removes an image; its files are another matter.
pub async fn delete(tx: &mut Tx, id: i64) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM images WHERE id = $1", args![id]).await? == 1)
}

/// Texts of the plans of jobs that are not over: what they name must stay.
pub async fn open_plans(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let sql = "SELECT p.text FROM plans p JOIN jobs j ON j.id = p.job_id \
               WHERE j.state IN ('held', 'queued', 'running')";
    tx.all(sql, []).await?.iter().map(|row| row.text("text")).collect()
}

/// How many clients shall have each distribution.
pub async fn wanted_distributions(tx: &mut Tx) -> Result<Vec<(String, i64)>, Error> {
    // The configuration is JSON text; what it begins with is the same for all clients of a distribution, so the database counts.
    let sql = "SELECT distribution, count(*) AS count FROM \
                 (SELECT substr(config, 1, 200) AS distribution FROM clients WHERE stage <> 'retired') d \
               GROUP BY distribution";
    let mut counts: Vec<(String, i64)> = Vec::new();
    for row in &tx.all(sql, []).await? {
        let (text, count) = (row.text("distribution")?, row.int("count")?);
        let name = text.split("\"distribution\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(name) = name else { continue };
        match counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += count,
            None => counts.push((name.to_owned(), count)),
        }
    }
    Ok(counts)
}
