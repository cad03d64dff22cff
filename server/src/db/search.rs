//! Finds the clients that an expression means: one statement, whatever is asked.
//!
//! Invariant: whatever people type is a bound value; the text of the statement is made of constants of this file alone.
//!
//! Conditions say `c.stage || ''` and `c.id + 0`, so that SQLite walks its index of everything that searches look at, in the order of
//! the list, and stops when a page is full. By another index it would fetch whole clients and sort them: 50 ms instead of one at 50 000.

use std::net::IpAddr;

use wire::ClientId;

use super::{Arg, Error, Tx, args, traits::address_key};
use crate::domain::{
    client::Stage,
    client_status::ONLINE_FOR,
    job::UnknownWord,
    reach::Sees,
    search::{ActivityWord, Age, Comparison, Expr, HealthWord, Number, Pattern, Test, Text, version},
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
    pub const ALL: [Self; 17] = [
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

/// A part of the clients that an expression means, in order.
pub async fn part(
    tx: &mut Tx,
    expr: &Expr,
    around: Around<'_>,
    part: &Part,
) -> Result<Vec<(ClientId, Place)>, Error> {
    let mut sql = Statement::new(around);
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
    let rows = tx.all(&sql.text, sql.args).await?;
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
    "SELECT count(*) AS count FROM clients c WHERE ".clone_into(&mut sql.text);
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    let row = tx.optional(&sql.text, sql.args).await?;
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
    let rows = tx.all(&sql.text, sql.args).await?;
    rows.iter().map(|row| row.int("id").map(ClientId)).collect()
}

/// All clients that an expression means, by name.
pub async fn all(tx: &mut Tx, expr: &Expr, around: Around<'_>) -> Result<Vec<ClientId>, Error> {
    let mut sql = Statement::new(around);
    "SELECT c.id FROM clients c WHERE ".clone_into(&mut sql.text);
    sql.only_seen();
    sql.condition(expr, &mut Vec::new());
    sql.text.push_str(" ORDER BY c.name");
    let rows = tx.all(&sql.text, sql.args).await?;
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
        SortBy::Group => (
            "coalesce((SELECT min(g.name) FROM client_groups g JOIN group_members m ON m.group_id = g.id \
             WHERE m.client_id = c.id), '')",
            true,
        ),
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

struct Statement<'a> {
    text: String,
    args: Vec<Arg>,
    around: Around<'a>,
}

impl<'a> Statement<'a> {
    fn new(around: Around<'a>) -> Self {
        Self { text: String::new(), args: Vec::new(), around }
    }

    /// Leaves out what whoever asks does not see.
    fn only_seen(&mut self) {
        if *self.around.sees != Sees::Everything {
            self.text.push_str(&format!("{} AND ", super::reach::seen(self.around.sees, "c.id")));
        }
    }

    /// A bound value.
    fn value(&mut self, value: impl Into<Arg>) {
        self.args.push(value.into());
        self.text.push_str(&format!("${}", self.args.len()));
    }

    /// The condition of an expression; `inside` are the groups whose own expressions surround it.
    fn condition(&mut self, expr: &Expr, inside: &mut Vec<String>) {
        match expr {
            Expr::All(parts) if parts.is_empty() => self.text.push_str("1 = 1"),
            Expr::All(parts) => self.joined(parts, " AND ", inside),
            Expr::Any(parts) => self.joined(parts, " OR ", inside),
            Expr::Not(part) => {
                self.text.push_str("NOT (");
                self.condition(part, inside);
                self.text.push(')');
            }
            Expr::Test(test, _) => {
                self.text.push('(');
                self.test(test, inside);
                self.text.push(')');
            }
        }
    }

    fn joined(&mut self, parts: &[Expr], by: &str, inside: &mut Vec<String>) {
        self.text.push('(');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.push_str(by);
            }
            self.condition(part, inside);
        }
        self.text.push(')');
    }

    fn test(&mut self, test: &Test, inside: &mut Vec<String>) {
        match test {
            Test::Word(word) => self.word(word),
            Test::Text(Text::Group, pattern) => self.group(pattern, inside),
            Test::Text(text, pattern) => self.text_test(*text, pattern),
            Test::Network(address, prefix) => self.network(*address, *prefix),
            Test::Stage(stage) => self.stage(*stage),
            Test::Health(word) => self.health(*word),
            Test::Activity(word) => self.text.push_str(match word {
                ActivityWord::Working => "c.id + 0 IN (SELECT client_id FROM jobs WHERE state = 'running')",
                ActivityWord::Waiting => {
                    "c.id + 0 IN (SELECT client_id FROM jobs WHERE state IN ('held', 'queued', 'running')) \
                     AND c.id + 0 NOT IN (SELECT client_id FROM jobs WHERE state = 'running')"
                }
                ActivityWord::Idle => {
                    "c.id + 0 NOT IN (SELECT client_id FROM jobs WHERE state IN ('held', 'queued', 'running'))"
                }
            }),
            Test::Package(name, version) => self.package(name, version.as_ref()),
            Test::Number(number, comparison, value) => {
                let column = match number {
                    Number::Memory => "c.memory_bytes",
                    Number::Disk => "c.disk_bytes",
                    Number::Threads => "c.threads",
                };
                // 0 says that it is not known.
                self.text.push_str(&format!("{column} > 0 AND {column} {} ", comparison.as_str()));
                self.value(i64::try_from(*value).unwrap_or(i64::MAX));
            }
            Test::Age(age, comparison, micros) => self.age(*age, *comparison, *micros),
            Test::NeverSeen => self.text.push_str("c.last_seen_at IS NULL"),
        }
    }

    fn stage(&mut self, stage: Stage) {
        self.text.push_str("c.stage || '' = ");
        self.value(stage.as_str());
    }

    /// The same as `domain::client_status::health`, whose last word of an agent is at most 15 seconds younger.
    fn health(&mut self, word: HealthWord) {
        let critical = "(c.alarmed OR (c.failed_job IS NOT NULL AND c.stage || '' = 'installing'))";
        match word {
            HealthWord::Critical => self.text.push_str(critical),
            HealthWord::Warning => {
                self.text
                    .push_str("NOT c.alarmed AND c.failed_job IS NOT NULL AND c.stage || '' <> 'installing'");
            }
            HealthWord::Offline => {
                self.text.push_str("NOT c.alarmed AND c.failed_job IS NULL AND ");
                self.silent();
            }
            HealthWord::Ok => {
                self.text.push_str("NOT c.alarmed AND c.failed_job IS NULL AND NOT (");
                self.silent();
                self.text.push(')');
            }
        }
    }

    fn silent(&mut self) {
        self.text.push_str("c.stage || '' = 'installed' AND coalesce(c.last_seen_at, 0) <= ");
        self.value(self.around.now - ONLINE_FOR);
    }

    fn age(&mut self, age: Age, comparison: Comparison, micros: i64) {
        let since = self.around.now.saturating_sub(micros);
        let sign = comparison.turned().as_str();
        match age {
            Age::Seen => self.text.push_str(&format!("coalesce(c.last_seen_at {sign} ")),
            Age::Added => self.text.push_str(&format!("c.created_at {sign} ")),
            Age::Failed => self.text.push_str(&format!(
                "c.id + 0 IN (SELECT client_id FROM jobs WHERE state = 'failed' AND finished_at {sign} "
            )),
        }
        self.value(since);
        self.text.push_str(match age {
            Age::Seen => ", FALSE)",
            Age::Added => "",
            Age::Failed => ")",
        });
    }

    /// Bare words: only those tables are looked at that can hold such a word.
    fn word(&mut self, word: &str) {
        let word = word.to_lowercase();
        let like = format!("%{}%", literal(&word));
        self.text.push_str("c.name LIKE ");
        self.value(&like);
        self.text.push_str(" ESCAPE '!' OR lower(c.serial) LIKE ");
        self.value(&like);
        self.text.push_str(" ESCAPE '!'");
        let made_of = |more: &str| word.chars().all(|c| c.is_ascii_hexdigit() || more.contains(c));
        for (fits, table, column) in
            [(made_of(":"), "client_macs", "mac"), (made_of(".:"), "client_addresses", "address")]
        {
            if fits {
                self.text.push_str(&format!(
                    " OR c.id + 0 IN (SELECT client_id FROM {table} WHERE {column} LIKE "
                ));
                self.value(&like);
                self.text.push_str(" ESCAPE '!')");
            }
        }
    }

    /// A column that equals a pattern, begins with it or holds it.
    fn fits(&mut self, column: &str, pattern: &Pattern, how: How) {
        let text = pattern.0.to_lowercase();
        let like = literal(&text).replace('*', "%");
        let like = match how {
            _ if text.contains('*') => like,
            How::Begins if !text.is_empty() => format!("{like}%"),
            How::Holds if !text.is_empty() => format!("%{like}%"),
            How::Equals | How::Begins | How::Holds => {
                self.text.push_str(&format!("{column} = "));
                return self.value(text);
            }
        };
        self.text.push_str(&format!("{column} LIKE "));
        self.value(like);
        self.text.push_str(" ESCAPE '!'");
    }

    fn text_test(&mut self, text: Text, pattern: &Pattern) {
        let none = pattern.0.is_empty();
        match text {
            Text::Name | Text::Group => self.fits("c.name", pattern, How::Equals),
            Text::Distribution => self.fits("c.distribution", pattern, How::Equals),
            Text::Model => self.fits("c.model_key", pattern, How::Holds),
            Text::Serial => self.fits("lower(c.serial)", pattern, How::Holds),
            Text::Agent => self.fits("lower(coalesce(c.agent_version, ''))", pattern, How::Equals),
            Text::Os => {
                self.fits("c.os", pattern, How::Equals);
                if !none && !pattern.0.contains('*') {
                    for more in ["-*", ".*"] {
                        self.text.push_str(" OR ");
                        self.fits("c.os", &Pattern(format!("{}{more}", pattern.0)), How::Equals);
                    }
                }
            }
            Text::Mac | Text::Ip => {
                let (table, column) = match text {
                    Text::Mac => ("client_macs", "mac"),
                    _ => ("client_addresses", "address"),
                };
                if none {
                    self.text.push_str(&format!("c.id + 0 NOT IN (SELECT client_id FROM {table})"));
                } else {
                    self.text.push_str(&format!("c.id + 0 IN (SELECT client_id FROM {table} WHERE "));
                    self.fits(column, pattern, How::Begins);
                    self.text.push(')');
                }
            }
        }
    }

    fn network(&mut self, address: IpAddr, prefix: u8) {
        let prefix = u32::from(prefix) + if address.is_ipv4() { 96 } else { 0 };
        let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
        let first = address_key(address) & !hosts;
        self.text.push_str("c.id + 0 IN (SELECT client_id FROM client_addresses WHERE address_key BETWEEN ");
        self.value(format!("{first:032x}"));
        self.text.push_str(" AND ");
        self.value(format!("{:032x}", first | hosts));
        self.text.push(')');
    }

    fn package(&mut self, name: &Pattern, version: Option<&(Comparison, String)>) {
        self.text.push_str(
            "c.id + 0 IN (SELECT i.client_id FROM client_packages i JOIN packages p ON p.id = i.package_id WHERE ",
        );
        self.fits("p.name", name, How::Equals);
        if let Some((comparison, wanted)) = version {
            self.text.push_str(&format!(" AND p.version_key {} ", comparison.as_str()));
            self.value(version::key(wanted));
        }
        self.text.push(')');
    }

    fn group(&mut self, pattern: &Pattern, inside: &mut Vec<String>) {
        if pattern.0.is_empty() {
            self.text.push_str("c.id + 0 NOT IN (SELECT client_id FROM group_members)");
        } else {
            self.text.push_str(
                "c.id + 0 IN (SELECT m.client_id FROM group_members m JOIN client_groups g ON g.id = m.group_id WHERE ",
            );
            self.fits("g.name", pattern, How::Equals);
            self.text.push(')');
        }
        for (name, expr) in self.around.groups {
            let meant = pattern.fits(name) && !pattern.0.is_empty();
            // A group that leads to itself is refused when it is saved; were it there, it would not be asked twice.
            if (meant || pattern.0.is_empty()) && !inside.contains(name) {
                self.text.push_str(if meant { " OR (" } else { " AND NOT (" });
                inside.push(name.clone());
                self.condition(expr, inside);
                inside.pop();
                self.text.push(')');
            }
        }
    }
}

/// How a pattern without `*` fits.
#[derive(Clone, Copy)]
enum How {
    Equals,
    Begins,
    Holds,
}
