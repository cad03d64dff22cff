//! Finds the clients that an expression means: one statement, whatever is asked.
//!
//! Invariant: whatever people type is a bound value; the text of a statement is made of constants of this folder and of numbers of packages.
//! Conditions say `c.stage || ''` and `c.id + 0` for `SQLite`'s planner; [`dialect::search`] tells why.

mod condition;

use wire::ClientId;

use self::condition::Statement;
use super::{Error, Tx, args, dialect};
use crate::domain::{
    client_status::ONLINE_FOR,
    job::UnknownWord,
    reach::Sees,
    search::{Expr, Test, Text},
};

/// What surrounds a search.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The moment.
    pub now: i64,
    /// Groups whose members are found by a search, each with its expression.
    pub groups: &'a [(String, Expr)],
    /// Which clients whoever asks sees.
    pub sees: &'a Sees,
}

/// By what a list is sorted. Clients that are equal by it are sorted by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the language and of the columns")]
pub enum SortBy {
    #[default]
    Name,
    Stage,
    Activity,
    Health,
    Group,
    Os,
    Distribution,
    Model,
    Serial,
    Mac,
    Ip,
    Memory,
    Disk,
    Threads,
    Updates,
    Agent,
    Seen,
    Added,
}

impl std::str::FromStr for SortBy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|by| by.as_str() == word);
        found.ok_or_else(|| UnknownWord { word: word.to_owned(), what: "column" })
    }
}

impl SortBy {
    /// All of them, as columns are offered.
    pub const ALL: [Self; 18] = [
        Self::Name,
        Self::Stage,
        Self::Activity,
        Self::Health,
        Self::Group,
        Self::Os,
        Self::Distribution,
        Self::Model,
        Self::Serial,
        Self::Mac,
        Self::Ip,
        Self::Memory,
        Self::Disk,
        Self::Threads,
        Self::Updates,
        Self::Agent,
        Self::Seen,
        Self::Added,
    ];

    /// The word for it, which is the word of the column, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Stage => "stage",
            Self::Activity => "activity",
            Self::Health => "health",
            Self::Group => "group",
            Self::Os => "os",
            Self::Distribution => "distribution",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::Mac => "mac",
            Self::Ip => "ip",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Threads => "threads",
            Self::Updates => "updates",
            Self::Agent => "agent",
            Self::Seen => "seen",
            Self::Added => "added",
        }
    }
}

/// A place between two clients of a sorted list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The value that the list is sorted by; of a list by names it is not looked at.
    pub key: Key,
    /// The client's name.
    pub name: String,
}

/// A value that a list is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A number, or the place of a word.
    Int(i64),
    /// A text.
    Text(String),
}

/// Which part of a sorted list is wanted.
#[derive(Clone, Debug)]
pub struct Part {
    /// By what it is sorted.
    pub by: SortBy,
    /// The largest first.
    pub descending: bool,
    /// Beginning behind this place.
    pub from: Option<Place>,
    /// Backwards from there; the answer is in the order of the list all the same.
    pub backwards: bool,
    /// At most so many.
    pub limit: i64,
}

/// Most packages that stand in a statement one by one.
const MOST_NAMED: usize = 200;

/// Which packages the tests of an expression mean, those that mean few. A statement that had to find that out itself would be planned for
/// a package as frequent as packages are on average, and `PostgreSQL` would read all clients to find the few with an old version.
async fn named_packages(
    tx: &mut Tx,
    expr: &Expr,
    around: Around<'_>,
) -> Result<Vec<(Test, Vec<i64>)>, Error> {
    let mut found: Vec<(Test, Vec<i64>)> = Vec::new();
    for test in expr.tests() {
        let Test::Package(name, version) = test else { continue };
        if found.iter().any(|(known, _)| known == test) {
            continue;
        }
        let mut sql = Statement::new(around);
        "SELECT p.id FROM packages p WHERE ".clone_into(&mut sql.text);
        sql.package(name, version.as_ref());
        sql.text.push_str(&format!(" LIMIT {}", MOST_NAMED + 1));
        let rows = tx.all(&sql.text, sql.args).await?;
        if rows.len() <= MOST_NAMED {
            let ids = rows.iter().map(|row| row.int("id")).collect::<Result<_, _>>()?;
            found.push((test.clone(), ids));
        }
    }
    Ok(found)
}

/// A part of the clients that an expression means, in order.
pub async fn part(
    tx: &mut Tx,
    expr: &Expr,
    around: Around<'_>,
    part: &Part,
) -> Result<Vec<(ClientId, Place)>, Error> {
    let mut sql = Statement::new(around);
    sql.packages = named_packages(tx, expr, around).await?;
    let (column, is_text) = sort_column(part.by);
    if part.by == SortBy::Health {
        sql.args.push((around.now - ONLINE_FOR).into());
    }
    sql.text = format!("SELECT c.id, c.name, {column} AS sort_key FROM clients c WHERE ");
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    let forwards = part.descending == part.backwards;
    let (sign, direction) = if forwards { (">", "ASC") } else { ("<", "DESC") };
    if let Some(place) = &part.from {
        sql.text.push_str(" AND ");
        if part.by == SortBy::Name {
            sql.text.push_str(&format!("c.name {sign} "));
            sql.value(&place.name);
        } else {
            sql.text.push_str(&format!("({column}, c.name) {sign} ("));
            match &place.key {
                Key::Int(value) => sql.value(*value),
                Key::Text(value) => sql.value(value),
            }
            sql.text.push_str(", ");
            sql.value(&place.name);
            sql.text.push(')');
        }
    }
    sql.text.push_str(&match part.by {
        SortBy::Name => format!(" ORDER BY c.name {direction} LIMIT "),
        _ => format!(" ORDER BY sort_key {direction}, c.name {direction} LIMIT "),
    });
    sql.value(part.limit);
    let rows = tx.all(&dialect::search(tx, sql.text), sql.args).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let key = if is_text { Key::Text(row.text("sort_key")?) } else { Key::Int(row.int("sort_key")?) };
        found.push((ClientId(row.int("id")?), Place { key, name: row.text("name")? }));
    }
    if part.backwards {
        found.reverse();
    }
    Ok(found)
}

/// How many clients an expression means.
pub async fn count(tx: &mut Tx, expr: &Expr, around: Around<'_>) -> Result<i64, Error> {
    let mut sql = Statement::new(around);
    sql.packages = named_packages(tx, expr, around).await?;
    "SELECT count(*) AS count FROM clients c WHERE ".clone_into(&mut sql.text);
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    let row = tx.optional(&dialect::search(tx, sql.text), sql.args).await?;
    row.map_or(Ok(0), |row| row.int("count"))
}

/// Which of some clients an expression means.
pub async fn among(
    tx: &mut Tx,
    expr: &Expr,
    around: Around<'_>,
    ids: &[ClientId],
) -> Result<Vec<ClientId>, Error> {
    let mut sql = Statement::new(around);
    let (list, args) = super::id_list(ids.iter().map(|id| id.0));
    sql.args = args;
    sql.text = format!("SELECT c.id FROM clients c WHERE c.id IN {list} AND ");
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    let rows = tx.all(&dialect::search(tx, sql.text), sql.args).await?;
    rows.iter().map(|row| row.int("id").map(ClientId)).collect()
}

/// All clients that an expression means, by name.
pub async fn all(tx: &mut Tx, expr: &Expr, around: Around<'_>) -> Result<Vec<ClientId>, Error> {
    let mut sql = Statement::new(around);
    sql.packages = named_packages(tx, expr, around).await?;
    "SELECT c.id FROM clients c WHERE ".clone_into(&mut sql.text);
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    sql.text.push_str(" ORDER BY c.name");
    let rows = tx.all(&dialect::search(tx, sql.text), sql.args).await?;
    rows.iter().map(|row| row.int("id").map(ClientId)).collect()
}

/// Values that clients have in a field and that begin so, for completion.
pub async fn values(tx: &mut Tx, field: Text, beginning: &str, limit: i64) -> Result<Vec<String>, Error> {
    let (table, column) = match field {
        Text::Name => ("clients", "name"),
        Text::Group => ("client_groups", "name"),
        Text::Mac => ("client_macs", "mac"),
        Text::Ip => ("client_addresses", "address"),
        Text::Os => ("clients", "os"),
        Text::Distribution => ("clients", "distribution"),
        Text::Model => ("clients", "model"),
        Text::Serial => ("clients", "serial"),
        Text::Agent => ("clients", "agent_version"),
        Text::Selection => ("selections", "name"),
    };
    let sql = format!(
        "SELECT DISTINCT {column} AS value FROM {table} WHERE lower({column}) LIKE $1 ESCAPE '!' AND {column} <> '' \
         ORDER BY {column} LIMIT $2"
    );
    let rows = tx.all(&sql, args![format!("{}%", literal(beginning)), limit]).await?;
    rows.iter().map(|row| row.text("value")).collect()
}

/// How a client is, the worst first; `$1` is since when a silent client counts as offline.
const HEALTH: &str = "CAST(CASE WHEN c.alarmed OR (c.failed_job IS NOT NULL AND c.stage || '' = 'installing') THEN 0 \
                      WHEN c.failed_job IS NOT NULL THEN 1 \
                      WHEN c.stage || '' = 'installed' AND coalesce(c.last_seen_at, 0) <= $1 THEN 2 ELSE 3 END AS BIGINT)";
const STAGE: &str = "CAST(CASE c.stage WHEN 'registered' THEN 0 WHEN 'discovered' THEN 1 WHEN 'installing' THEN 2 \
                     WHEN 'installed' THEN 3 ELSE 4 END AS BIGINT)";
const ACTIVITY: &str = "CAST(CASE WHEN c.id + 0 IN (SELECT client_id FROM jobs WHERE state = 'running') THEN 0 \
                        WHEN c.id + 0 IN (SELECT client_id FROM jobs WHERE state IN ('held', 'queued', 'running')) THEN 1 \
                        ELSE 2 END AS BIGINT)";

/// The expression that a list is sorted by, and whether it is a text.
fn sort_column(by: SortBy) -> (&'static str, bool) {
    match by {
        SortBy::Name => ("c.name", true),
        SortBy::Stage => (STAGE, false),
        SortBy::Activity => (ACTIVITY, false),
        SortBy::Health => (HEALTH, false),
        SortBy::Group => ("c.group_key", true),
        SortBy::Os => ("c.os", true),
        SortBy::Distribution => ("c.distribution", true),
        SortBy::Model => ("c.model_key", true),
        SortBy::Serial => ("c.serial", true),
        SortBy::Mac => {
            ("coalesce((SELECT min(m.mac) FROM client_macs m WHERE m.client_id = c.id), '')", true)
        }
        SortBy::Ip => (
            "coalesce((SELECT min(a.address_key) FROM client_addresses a WHERE a.client_id = c.id), '')",
            true,
        ),
        SortBy::Memory => ("c.memory_bytes", false),
        SortBy::Disk => ("c.disk_bytes", false),
        SortBy::Threads => ("c.threads", false),
        // -1 is not known: behind those that lack nothing when the largest come first.
        SortBy::Updates => ("c.updates", false),
        SortBy::Agent => ("coalesce(c.agent_version, '')", true),
        SortBy::Seen => ("coalesce(c.last_seen_at, 0)", false),
        SortBy::Added => ("c.created_at", false),
    }
}

/// Whether a list that is sorted so has texts as keys.
pub fn is_text(by: SortBy) -> bool {
    sort_column(by).1
}

/// A text in which nothing has a meaning for `LIKE … ESCAPE '!'`.
pub(super) fn literal(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
