//! Finding clients: the list in any order, page by page, and how many there are.
//!
//! Invariant: what a search means is decided by the database at the moment of asking, groups that are found by a search included.

use std::collections::HashMap;

use wire::{ClientId, problem::FieldProblem};

use super::{Error, clients, clients::Standing};
use crate::{
    context::Ctx,
    db::{
        Tx, clients as rows, groups, packages,
        search::{self, Around, Key, Part, Place},
    },
    domain::{
        reach::Sees,
        search::{Completion, Expr, SearchError, Span, Test, Text, check_expansion, completions, parse},
    },
};

pub use crate::db::search::SortBy;

/// Words that are offered while somebody types.
const OFFERED: i64 = 12;

/// A search with everything that it needs.
pub struct Search {
    /// What was asked.
    pub expr: Expr,
    groups: Vec<(String, Expr)>,
    sees: Sees,
    now: i64,
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        let remedy = match error.possible.as_slice() {
            [] => "look at that place; docs/search.md describes the language".to_owned(),
            [example] => format!("write it like {example}"),
            words => format!("possible are: {}", words.join(", ")),
        };
        let field = FieldProblem { field: "q".to_owned(), message: error.to_string() };
        Self::Invalid { title: format!("the search cannot be read: {error}"), fields: vec![field], remedy }
    }
}

impl Search {
    /// Prepares a search for what somebody has typed.
    ///
    /// # Errors
    /// It cannot be read, or it grows too large by the groups that it names.
    pub async fn new(ctx: &Ctx, tx: &mut Tx, text: &str) -> Result<Self, Error> {
        Self::of(ctx, tx, parse(text)?).await
    }

    /// Prepares a search for an expression.
    ///
    /// # Errors
    /// It grows too large by the groups that it names.
    pub async fn of(ctx: &Ctx, tx: &mut Tx, expr: Expr) -> Result<Self, Error> {
        let groups = found_groups(tx).await?;
        check_expansion(&expr, &groups).map_err(|error| {
            Error::invalid(error.to_string(), "name fewer groups, or change the searches of these groups")
        })?;
        Ok(Self { expr, groups, sees: Sees::Everything, now: ctx.now() })
    }

    /// The same among the clients that somebody sees.
    #[must_use]
    pub fn seen_by(self, sees: Sees) -> Self {
        Self { sees, ..self }
    }

    fn around(&self) -> Around<'_> {
        Around { now: self.now, groups: &self.groups, sees: &self.sees }
    }

    /// How many clients are meant.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn count(&self, tx: &mut Tx) -> Result<i64, Error> {
        Ok(search::count(tx, &self.expr, self.around()).await?)
    }

    /// All clients that are meant, by name.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn all(&self, tx: &mut Tx) -> Result<Vec<ClientId>, Error> {
        Ok(search::all(tx, &self.expr, self.around()).await?)
    }
}

/// Groups whose members are found by a search.
pub(super) async fn found_groups(tx: &mut Tx) -> Result<Vec<(String, Expr)>, Error> {
    let mut found = Vec::new();
    for (name, query) in groups::found(tx).await? {
        // A newer program may have written what this one cannot read: such a group has no members here.
        match parse(&query) {
            Ok(expr) => found.push((name, expr)),
            Err(error) => tracing::warn!(group = name, error = %error, "reading the search of a group"),
        }
    }
    Ok(found)
}

/// Names of the groups whose search finds each of some clients; at most [`crate::db::MOST_IN_LIST`] of them.
pub(super) async fn groups_of(
    ctx: &Ctx,
    tx: &mut Tx,
    ids: &[ClientId],
) -> Result<HashMap<ClientId, Vec<String>>, Error> {
    let groups = found_groups(tx).await?;
    let mut found: HashMap<ClientId, Vec<String>> = HashMap::new();
    for (name, expr) in &groups {
        let around = Around { now: ctx.now(), groups: &groups, sees: &Sees::Everything };
        for id in search::among(tx, expr, around, ids).await? {
            found.entry(id).or_default().push(name.clone());
        }
    }
    Ok(found)
}

/// Everything that `expr` means and that is in a group.
pub fn within_group(expr: Expr, name: &str) -> Expr {
    let pattern = crate::domain::search::Pattern(name.to_owned());
    let group = Expr::Test(Test::Text(Text::Group, pattern), Span(0..0));
    if expr.is_everything() { group } else { Expr::All(vec![group, expr]) }
}

/// Which part of the list of clients is wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By what it is sorted.
    pub by: SortBy,
    /// The largest first.
    pub descending: bool,
    /// Behind this client, as an earlier page has said.
    pub after: String,
    /// Before this client, as an earlier page has said.
    pub before: String,
    /// At most so many.
    pub limit: i64,
}

/// A part of the list of clients.
pub struct Found {
    /// The clients.
    pub clients: Vec<Standing>,
    /// How many there are in all.
    pub total: i64,
    /// Where the next part begins.
    pub next: Option<String>,
    /// Where the part before this one ends.
    pub previous: Option<String>,
}

/// A part of the clients that are meant, with their three answers.
///
/// # Errors
/// The place was not said by an earlier page, or the database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx, search: &Search, wanted: &Wanted) -> Result<Found, Error> {
    let backwards = !wanted.before.is_empty();
    let from = if backwards { &wanted.before } else { &wanted.after };
    let part = Part {
        by: wanted.by,
        descending: wanted.descending,
        from: if from.is_empty() { None } else { Some(place(wanted.by, from)?) },
        backwards,
        limit: wanted.limit + 1,
    };
    let mut found = search::part(tx, &search.expr, search.around(), &part).await?;
    let more = i64::try_from(found.len()).unwrap_or(i64::MAX) > wanted.limit;
    if more && backwards {
        found.remove(0);
    } else if more {
        found.pop();
    }
    let total = search.count(tx).await?;
    let place = |entry: Option<&(ClientId, Place)>, is_there: bool| {
        entry.filter(|_| is_there).map(|(_, place)| shown(wanted.by, place))
    };
    let next = place(found.last(), more || backwards);
    let previous = place(found.first(), if backwards { more } else { part.from.is_some() });
    let ids: Vec<ClientId> = found.iter().map(|(id, _)| *id).collect();
    let records = rows::find_many(tx, &ids).await?;
    Ok(Found { clients: clients::standings(ctx, tx, records).await?, total, next, previous })
}

/// A place as pages carry it: a name, or value and name when the list is sorted by something else. No name holds a tilde.
fn shown(by: SortBy, place: &Place) -> String {
    match &place.key {
        _ if by == SortBy::Name => place.name.clone(),
        Key::Int(value) => format!("{value}~{}", place.name),
        Key::Text(value) => format!("{value}~{}", place.name),
    }
}

fn place(by: SortBy, text: &str) -> Result<Place, Error> {
    let unknown = || {
        Error::invalid(
            format!("`{text}` is no place in a list that is sorted by {}", by.as_str()),
            "give what the page before has said as `next` or `previous`, with the same `sort`",
        )
    };
    if by == SortBy::Name {
        return Ok(Place { key: Key::Int(0), name: text.to_owned() });
    }
    let (key, name) = text.rsplit_once('~').ok_or_else(unknown)?;
    let key = if search::is_text(by) {
        Key::Text(key.to_owned())
    } else {
        Key::Int(key.parse().map_err(|_| unknown())?)
    };
    Ok(Place { key, name: name.to_owned() })
}

/// What somebody may want to type next, as whole texts.
///
/// # Errors
/// The database refuses.
pub async fn complete(tx: &mut Tx, text: &str) -> Result<Vec<String>, Error> {
    let (before, words) = match completions(text) {
        Completion::Words(before, words) => (before, words),
        Completion::Values(before, field, beginning) => {
            (before, search::values(tx, field, beginning.trim_start_matches('"'), OFFERED).await?)
        }
        Completion::Packages(before, beginning) => (before, packages::names(tx, &beginning, OFFERED).await?),
    };
    let quoted =
        |word: String| if word.contains(' ') && !word.ends_with(' ') { format!("\"{word}\"") } else { word };
    Ok(words.into_iter().map(|word| format!("{before}{}", quoted(word))).collect())
}
