//! Searches that people keep, for themselves or for everybody.

use super::{Error, search::SortBy};
use crate::{
    context::Ctx,
    db::{Tx, audit, filters},
    domain::search::parse,
};

pub use crate::db::filters::SavedFilter;

/// Longest name, in characters.
const LONGEST_NAME: usize = 60;

/// The filters that somebody sees: their own and shared ones, by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx, owner: &str) -> Result<Vec<SavedFilter>, Error> {
    Ok(filters::list(tx, owner).await?)
}

/// A search to be kept.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFilter {
    /// Its name; one of the same name is replaced.
    pub name: String,
    /// The search.
    #[serde(default)]
    pub query: String,
    /// By which column the list is sorted, with `-` before it the largest first; empty for the usual one.
    #[serde(default)]
    pub sort: String,
    /// Which columns are shown, separated by commas; empty for the usual ones.
    #[serde(default)]
    pub columns: String,
    /// Others see it, too.
    #[serde(default)]
    pub shared: bool,
}

/// Keeps a search.
///
/// # Errors
/// The name is empty or too long, or something cannot be read.
pub async fn save(ctx: &Ctx, new: &NewFilter, owner: &str) -> Result<SavedFilter, Error> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            format!("`{name}` cannot be the name of a filter"),
            format!("give it a name of at most {LONGEST_NAME} characters"),
        ));
    }
    parse(&new.query)?;
    let words = new.columns.split(',').map(str::trim).filter(|word| !word.is_empty());
    for word in words.chain(Some(new.sort.trim_start_matches('-')).filter(|word| !word.is_empty())) {
        word.parse::<SortBy>().map_err(|error| {
            let all = SortBy::ALL.map(SortBy::as_str).join(", ");
            Error::invalid(error.to_string(), format!("possible are: {all}"))
        })?;
    }
    let mut filter = SavedFilter {
        id: 0,
        owner: owner.to_owned(),
        name: name.to_owned(),
        query: new.query.trim().to_owned(),
        sort: new.sort.clone(),
        columns: new.columns.clone(),
        shared: new.shared,
    };
    let mut tx = ctx.db.write().await?;
    let before = filters::list(&mut tx, owner).await?;
    let before = before.into_iter().find(|known| known.owner == owner && known.name == filter.name);
    filter.id = filters::save(&mut tx, &filter, ctx.now()).await?;
    audit::note(&mut tx, "filter.save", &format!("filter {}", filter.name), &before, &filter).await?;
    tx.commit().await?;
    Ok(filter)
}

/// Forgets a filter of one's own.
///
/// # Errors
/// There is none, or it is somebody else's.
pub async fn delete(ctx: &Ctx, id: i64, owner: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let before = filters::list(&mut tx, owner).await?.into_iter().find(|known| known.id == id);
    if !filters::delete(&mut tx, id, owner).await? {
        return Err(Error::not_found(format!("filter {id} of {owner}")));
    }
    audit::note(&mut tx, "filter.delete", &format!("filter {id}"), &before, &()).await?;
    tx.commit().await?;
    Ok(())
}
