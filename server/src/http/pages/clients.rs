//! The list of clients: searched, sorted, page by page.

use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

pub(super) use super::status::Status;
use super::{
    Rejection,
    columns::{self, Cell, Head},
    frame::{Frame, Page, Visitor, page, query_encoded},
};
use crate::{
    app::{
        filters::{self, SavedFilter},
        search::{self, Search, SortBy, Wanted},
    },
    context::Ctx,
    domain::search::{FIELDS, SearchError, parse},
};

/// Rows of one page.
const ROWS: i64 = 100;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/clients", get(list)).route("/clients-words", get(words))
}

/// What the address of a list says.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    columns: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    before: String,
}

impl Asked {
    /// The address of the list, with some of it changed.
    fn address(&self, sort: &str, place: Option<(&str, &str)>) -> String {
        let mut parts = Vec::new();
        let place = place.unwrap_or_default();
        for (name, value) in [("q", self.q.as_str()), ("sort", sort), ("columns", &self.columns), place] {
            if !value.is_empty() {
                parts.push(format!("{name}={}", query_encoded(value)));
            }
        }
        if parts.is_empty() { "/clients".to_owned() } else { format!("/clients?{}", parts.join("&")) }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    asked: String,
    sort: String,
    columns: String,
    fault: Option<Fault>,
    heads: Vec<Head>,
    rows: Vec<Row>,
    total: i64,
    next: Option<String>,
    previous: Option<String>,
    filtered: bool,
    choices: Vec<Choice>,
    filters: Vec<SavedFilter>,
    fields: Vec<(&'static str, &'static str)>,
    may_order: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

/// A column that can be shown.
#[derive(Serialize)]
struct Choice {
    word: &'static str,
    shown: bool,
}

/// Why a search could not be read.
#[derive(Serialize)]
struct Fault {
    kind: &'static str,
    found: String,
    place: usize,
    possible: String,
}

impl From<SearchError> for Fault {
    fn from(error: SearchError) -> Self {
        Self {
            kind: error.kind.as_str(),
            found: error.found,
            place: error.place,
            possible: error.possible.join(", "),
        }
    }
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let (expr, fault) = match parse(&asked.q) {
        Ok(expr) => (Some(expr), None),
        Err(error) => (None, Some(Fault::from(error))),
    };
    let columns = columns::chosen(&asked.columns);
    let (by, descending) = match asked.sort.strip_prefix('-') {
        Some(word) => (word.parse().unwrap_or_default(), true),
        None => (asked.sort.parse().unwrap_or_default(), false),
    };
    let wanted = Wanted {
        by,
        descending,
        after: asked.after.clone(),
        before: asked.before.clone(),
        limit: ROWS,
    };
    let found = match expr {
        Some(expr) => {
            let search = Search::of(&ctx, &mut tx, expr).await?;
            Some(search::list(&ctx, &mut tx, &search, &wanted).await?)
        }
        None => None,
    };
    let (standings, total, next, previous) = match found {
        Some(found) => (found.clients, found.total, found.next, found.previous),
        None => (Vec::new(), 0, None, None),
    };
    let heads = columns
        .iter()
        .map(|column| {
            let (is_sorted, turned) = (*column == by, *column == by && !descending);
            let sort = if turned { format!("-{}", column.as_str()) } else { column.as_str().to_owned() };
            Head {
                word: column.as_str(),
                href: asked.address(&sort, None),
                sorted: match (is_sorted, descending) {
                    (false, _) => "none",
                    (true, false) => "ascending",
                    (true, true) => "descending",
                },
            }
        })
        .collect();
    let now = ctx.now();
    let rows = standings
        .iter()
        .map(|standing| Row {
            name: standing.client.name.clone(),
            cells: columns.iter().map(|column| columns::cell(*column, standing, now, visitor.language)).collect(),
        })
        .collect();
    let view = View {
        page: visitor.frame("/clients"),
        filtered: !asked.q.trim().is_empty(),
        next: next.map(|place| asked.address(&asked.sort, Some(("after", &place)))),
        previous: previous.map(|place| asked.address(&asked.sort, Some(("before", &place)))),
        filters: filters::list(&mut tx, visitor.name()).await?,
        fields: FIELDS.iter().map(|field| (field.name, field.example)).collect(),
        choices: SortBy::ALL
            .into_iter()
            .filter(|column| *column != SortBy::Name)
            .map(|column| Choice { word: column.as_str(), shown: columns.contains(&column) })
            .collect(),
        may_order: visitor.may(crate::domain::people::Role::Helpdesk),
        asked: asked.q,
        sort: asked.sort,
        columns: asked.columns,
        fault,
        heads,
        rows,
        total,
    };
    page(&ctx, &visitor, "pages/clients.html", &view)
}

#[derive(Serialize)]
struct Words {
    words: Vec<String>,
}

/// What could be typed next, as the options of the search field.
async fn words(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let words = search::complete(&mut tx, &asked.q).await?;
    page(&ctx, &visitor, "pages/clients-words.html", &Words { words })
}
