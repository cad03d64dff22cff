//! Saved searches on the command line.

use reqwest::Method;
use serde_json::json;

use crate::{
    app::filters::SavedFilter,
    cli::{Exit, Failure, api::Api, output::say},
};

/// What a list is asked for.
pub(super) struct Asked {
    /// The search.
    pub(super) query: String,
    /// By which column.
    pub(super) sort: String,
    /// The saved search that must hold, too.
    pub(super) filter: Option<String>,
    /// The name under which it is saved instead.
    pub(super) save: Option<String>,
    /// Everybody sees it.
    pub(super) share: bool,
}

/// Search and order of a list; none when the search was only to be saved.
pub(super) async fn resolved(api: &Api, asked: Asked) -> anyhow::Result<Option<(String, String)>> {
    let Asked { query, sort, filter, save: name, share } = asked;
    match (name, filter) {
        (Some(name), _) => save(api, &name, &query, &sort, share).await.map(|()| None),
        (None, Some(filter)) => with(api, &filter, &query, sort).await.map(Some),
        (None, None) => Ok(Some((query, sort))),
    }
}

/// Keeps a search under a name.
async fn save(api: &Api, name: &str, query: &str, sort: &str, share: bool) -> anyhow::Result<()> {
    let body = json!({ "name": name, "query": query, "sort": sort, "shared": share });
    let kept: SavedFilter = api.send_json(Method::POST, "/filters", &body).await?;
    if !api.wrote_json(&kept)? {
        say(&format!("The search is saved; `lotse client list --filter '{name}'` uses it."));
    }
    Ok(())
}

/// What a saved search asks together with what was asked beside it, and how the list is sorted.
async fn with(api: &Api, name: &str, query: &str, sort: String) -> anyhow::Result<(String, String)> {
    let known: Vec<SavedFilter> = api.get("/filters").await?;
    let Some(filter) = known.iter().find(|filter| filter.name == name) else {
        let names: Vec<_> = known.iter().map(|filter| filter.name.as_str()).collect();
        return Err(Failure::error(
            Exit::NotFound,
            format!("there is no saved search `{name}`\n  → there are: {}", names.join(", ")),
        ));
    };
    let query = match (filter.query.is_empty(), query.is_empty()) {
        (true, _) => query.to_owned(),
        (false, true) => filter.query.clone(),
        (false, false) => format!("({}) ({query})", filter.query),
    };
    Ok((query, if sort.is_empty() { filter.sort.clone() } else { sort }))
}
