//! What goes into a statement and what comes out of a row: the same for both engines.

use std::str::FromStr;

use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use super::Error;

/// A value bound to `$1`, `$2` … of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Bool(bool),
}

macro_rules! into_arg {
    ($($from:ty => |$value:ident| $arg:expr;)*) => {
        $(impl From<$from> for Arg {
            fn from($value: $from) -> Self {
                $arg
            }
        })*
    };
}

into_arg! {
    i64 => |value| Self::Int(Some(value));
    Option<i64> => |value| Self::Int(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    String => |value| Self::Text(Some(value));
    &String => |value| Self::Text(Some(value.clone()));
    Option<String> => |value| Self::Text(value);
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    bool => |value| Self::Bool(value);
    wire::ClientId => |value| Self::Int(Some(value.0));
    wire::JobId => |value| Self::Int(Some(value.0));
    wire::AttemptId => |value| Self::Int(Some(value.0));
    wire::GroupId => |value| Self::Int(Some(value.0));
    wire::Mac => |value| Self::Text(Some(value.to_string()));
    &wire::Sha256 => |value| Self::Text(Some(value.to_string()));
}

/// The arguments of a statement, in the order of its placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($self:expr, $name:expr, $type:ty) => {
        match $self {
            Row::Sqlite(row) => row.try_get::<$type, _>($name),
            Row::Postgres(row) => row.try_get::<$type, _>($name),
        }
        .map_err(|source| Error::Value { column: $name.to_owned(), source: source.into() })
    };
}

impl Row {
    pub(crate) fn int(&self, name: &str) -> Result<i64, Error> {
        column!(self, name, i64)
    }

    pub(crate) fn opt_int(&self, name: &str) -> Result<Option<i64>, Error> {
        column!(self, name, Option<i64>)
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, Error> {
        column!(self, name, String)
    }

    pub(crate) fn opt_text(&self, name: &str) -> Result<Option<String>, Error> {
        column!(self, name, Option<String>)
    }

    pub(crate) fn bool(&self, name: &str) -> Result<bool, Error> {
        column!(self, name, bool)
    }

    /// A text column that holds one word of an enum or another parsed value.
    pub(crate) fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
        name: &str,
    ) -> Result<T, Error> {
        self.text(name)?
            .parse()
            .map_err(|source: T::Err| Error::Value { column: name.to_owned(), source: source.into() })
    }

    /// A text column that holds JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        serde_json::from_str(&self.text(name)?)
            .map_err(|source| Error::Value { column: name.to_owned(), source: source.into() })
    }
}

/// Most numbers in one list of a statement.
pub(crate) const MOST_IN_LIST: usize = 500;

/// A list of numbers for `IN`, `($1, $2 …)`, with its arguments. It is filled up with its last number, so that lists of all lengths are
/// a few different statements, which the engine keeps prepared; an empty list holds a number that nothing has.
pub(crate) fn id_list(ids: impl IntoIterator<Item = i64>) -> (String, Vec<Arg>) {
    let mut ids: Vec<i64> = ids.into_iter().collect();
    let last = ids.last().copied().unwrap_or(-1);
    let length = [1, 10, 25, 50, 100].into_iter().find(|length| *length >= ids.len());
    ids.resize(length.unwrap_or_else(|| ids.len().next_multiple_of(100)), last);
    let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    (format!("({})", places.join(", ")), ids.into_iter().map(Arg::from).collect())
}

/// JSON text of a value that always can be written as JSON.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|source| Error::Value { column: "JSON".to_owned(), source: source.into() })
}
