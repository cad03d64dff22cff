//! The list of clients: searched, sorted, page by page, with a choice of some of them that goes along from page to page.
//!
//! The choice is in the form and nowhere else: buttons that lead to another page or order send it, and the answer carries it on.

use std::collections::BTreeSet;

use axum::{
    Form, Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

pub(super) use super::status::Status;
use super::{
    Rejection, batches,
    columns::{self, Cell, Head},
    frame::{Frame, Page, Visitor, page, query_encoded},
};
use crate::{
    app::{
        filters::{self, NewFilter, SavedFilter},
        search::{self, Search, SortBy, Wanted},
    },
    context::Ctx,
    domain::{
        client::is_name,
        people::Role,
        search::{FIELDS, SearchError, parse},
    },
};

/// Rows of one page.
const ROWS: i64 = 100;
/// So many clients can be chosen one by one; a search can mean more.
const MOST_CHOSEN: usize = 10_000;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients", get(list).post(list_with_choice))
        .route("/clients-words", get(words))
        .route("/filters", post(keep))
        .route("/filters/{id}/delete", post(forget))
}

/// What the address of a list says.
#[derive(Clone, Default)]
struct Asked {
    q: String,
    sort: String,
    columns: String,
    after: String,
    before: String,
}

impl Asked {
    /// Reads the query of an address. A form says `column=` once for each column; an address that is kept says them all at once.
    fn read(query: Option<&str>) -> Self {
        let mut asked = Self::default();
        let mut columns = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "q" => asked.q = value.into_owned(),
                "sort" => asked.sort = value.into_owned(),
                "columns" => asked.columns = value.into_owned(),
                "column" => columns.push(value.into_owned()),
                "after" => asked.after = value.into_owned(),
                "before" => asked.before = value.into_owned(),
                _ => {}
            }
        }
        if !columns.is_empty() {
            asked.columns = columns.join(",");
        }
        asked
    }

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
    filters: Vec<FilterView>,
    fields: Vec<(&'static str, &'static str)>,
    may_order: bool,
    actions: Vec<&'static str>,
    /// How many clients are chosen.
    chosen: usize,
    /// Those of them that this page does not show.
    elsewhere: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    chosen: bool,
    cells: Vec<Cell>,
}

/// A column that can be shown.
#[derive(Serialize)]
struct Choice {
    word: &'static str,
    shown: bool,
}

/// A search that somebody keeps.
#[derive(Serialize)]
struct FilterView {
    id: i64,
    name: String,
    owner: String,
    query: String,
    href: String,
    own: bool,
    shared: bool,
}

impl FilterView {
    fn new(filter: SavedFilter, visitor: &str) -> Self {
        let asked = Asked { q: filter.query.clone(), columns: filter.columns.clone(), ..Asked::default() };
        Self {
            id: filter.id,
            href: asked.address(&filter.sort, None),
            own: filter.owner == visitor,
            name: filter.name,
            owner: filter.owner,
            query: filter.query,
            shared: filter.shared,
        }
    }
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
    RawQuery(query): RawQuery,
) -> Result<Page, Rejection> {
    shown(&ctx, &visitor, Asked::read(query.as_deref()), BTreeSet::new()).await
}

/// The same, with clients that were chosen on it or on pages before.
async fn list_with_choice(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Page, Rejection> {
    shown(&ctx, &visitor, Asked::read(query.as_deref()), chosen(&body)).await
}

/// Names that a form says are chosen.
fn chosen(body: &[u8]) -> BTreeSet<String> {
    let names = form_urlencoded::parse(body).filter(|(name, value)| name == "client" && is_name(value));
    names.map(|(_, value)| value.into_owned()).take(MOST_CHOSEN).collect()
}

/// The heads of the columns; each leads to the list sorted by it, and turns it round where it is already.
fn heads(asked: &Asked, columns: &[SortBy], by: SortBy, descending: bool) -> Vec<Head> {
    let head = |column: &SortBy| {
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
    };
    columns.iter().map(head).collect()
}

async fn shown(
    ctx: &Ctx,
    visitor: &Visitor,
    asked: Asked,
    mut chosen: BTreeSet<String>,
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
    let wanted =
        Wanted { by, descending, after: asked.after.clone(), before: asked.before.clone(), limit: ROWS };
    let found = match expr {
        Some(expr) => {
            let search = Search::of(ctx, &mut tx, expr).await?.seen_by(visitor.actor()?.sees());
            Some(search::list(ctx, &mut tx, &search, &wanted).await?)
        }
        None => None,
    };
    let (standings, total, next, previous) = match found {
        Some(found) => (found.clients, found.total, found.next, found.previous),
        None => (Vec::new(), 0, None, None),
    };
    let heads = heads(&asked, &columns, by, descending);
    let count = chosen.len();
    let rows: Vec<Row> = standings
        .iter()
        .map(|standing| Row {
            name: standing.client.name.clone(),
            chosen: chosen.remove(&standing.client.name),
            cells: columns
                .iter()
                .map(|column| columns::cell(ctx, *column, standing, visitor.language))
                .collect(),
        })
        .collect();
    let view = View {
        page: visitor.frame("/clients"),
        filtered: !asked.q.trim().is_empty(),
        next: next.map(|place| asked.address(&asked.sort, Some(("after", &place)))),
        previous: previous.map(|place| asked.address(&asked.sort, Some(("before", &place)))),
        filters: filters::list(&mut tx, visitor.name())
            .await?
            .into_iter()
            .map(|filter| FilterView::new(filter, visitor.name()))
            .collect(),
        fields: FIELDS.iter().map(|field| (field.name, field.example)).collect(),
        choices: SortBy::ALL
            .into_iter()
            .filter(|column| *column != SortBy::Name)
            .map(|column| Choice { word: column.as_str(), shown: columns.contains(&column) })
            .collect(),
        may_order: visitor.may(Role::Helpdesk),
        actions: batches::offered(visitor.role()),
        asked: asked.q,
        sort: asked.sort,
        columns: asked.columns,
        fault,
        heads,
        rows,
        total,
        chosen: count,
        elsewhere: chosen.into_iter().collect(),
    };
    page(ctx, visitor, "pages/clients.html", &view)
}

#[derive(Serialize)]
struct Words {
    words: Vec<String>,
}

/// What could be typed next, as the options of the search field.
async fn words(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Page, Rejection> {
    let asked = Asked::read(query.as_deref());
    let mut tx = ctx.db.read().await?;
    let words = search::complete(&mut tx, &asked.q).await?;
    page(&ctx, &visitor, "pages/clients-words.html", &Words { words })
}

#[derive(Deserialize)]
struct Kept {
    name: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    columns: String,
    shared: Option<String>,
}

async fn keep(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(kept): Form<Kept>,
) -> Result<Response, Rejection> {
    let new = NewFilter {
        name: kept.name,
        query: kept.query,
        sort: kept.sort,
        columns: kept.columns,
        shared: kept.shared.is_some(),
    };
    let filter = filters::save(&ctx, &new, visitor.name()).await?;
    Ok(Redirect::to(&FilterView::new(filter, visitor.name()).href).into_response())
}

async fn forget(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Redirect, Rejection> {
    filters::delete(&ctx, id, visitor.name()).await?;
    Ok(Redirect::to("/clients"))
}
