//! The one door to the database: every line of SQL of the server is in this folder.
//!
//! One text of SQL serves `SQLite` and `PostgreSQL`; what differs is in [`migrate`] and [`dialect`] with its reason.
//! Functions take a [`Tx`] first; times are bound parameters, never the database's own clock.
//! Rows become domain types here and nowhere else.

pub mod accounts;
pub mod answers;
pub mod approvals;
pub mod archives;
pub mod attempts;
pub mod audit;
pub mod batches;
pub mod boot;
pub mod channels;
pub mod clients;
mod copy;
pub mod desktops;
mod dialect;
mod durable;
pub mod events;
pub mod filters;
pub mod groups;
pub mod health;
pub mod hosted;
pub mod identities;
pub mod images;
pub mod integrations;
pub mod job_scripts;
pub mod jobs;
pub mod layouts;
mod location;
pub mod mass;
pub mod measures;
mod migrate;
pub mod notes;
pub mod overview;
pub mod packages;
pub mod people;
pub mod presets;
pub mod provider_images;
pub mod providers;
pub mod reach;
pub mod report_mails;
pub mod reports;
pub mod repositories;
pub mod rollouts;
pub mod rules;
pub mod search;
pub mod selections;
pub mod serial;
pub mod sessions;
pub mod settings;
pub mod source_lists;
pub mod standing;
pub mod timings;
mod traits;
mod values;

use std::{os::unix::fs::OpenOptionsExt, path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection as _,
    postgres::{PgPool, PgPoolOptions, PgRow},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use location::without_password;

pub use copy::copy_sqlite;
pub use location::Location;
pub use migrate::newest as newest_schema;
pub(crate) use values::{Arg, MOST_IN_LIST, Row, args, id_list, to_json};

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or opened.
    #[error("opening the database {location}")]
    Open {
        /// Where, without a password.
        location: String,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date; the old state stays.
    #[error("bringing the database to schema version {version}")]
    Migrate {
        /// The migration that failed.
        version: i64,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The database was written by a newer program.
    #[error(
        "the database has schema version {found}, this program knows {known}: install the newer Lotse again"
    )]
    Newer {
        /// Version in the database.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// A value that must be unique exists already.
    #[error("{0} exists already")]
    Exists(String),
    /// A request with this key was carried out before.
    #[error("the request with the Idempotency-Key `{0}` was carried out already")]
    Repeated(String),
    /// There is no room left for the database.
    #[error("the disk of the database is full")]
    Full(#[source] sqlx::Error),
    /// No connection became free in time.
    #[error("the database has more to do than it can")]
    Busy(#[source] sqlx::Error),
    /// A statement failed.
    #[error("the database refused a statement: {statement}")]
    Statement {
        /// Its first line.
        statement: String,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value cannot be read.
    #[error("reading {column} from the database")]
    Value {
        /// The column.
        column: String,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A database that is open.
#[derive(Clone, Debug)]
pub enum Db {
    /// `SQLite`: one connection writes, several read, in write-ahead mode.
    Sqlite {
        /// Exactly one connection, so that writers queue here instead of failing with "busy".
        write: SqlitePool,
        /// Readers.
        read: SqlitePool,
        /// What makes commits last.
        durable: Arc<durable::Durable>,
    },
    /// `PostgreSQL`.
    Postgres(PgPool),
}

impl Db {
    /// Opens the database and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Migrate`], [`Error::Newer`].
    pub async fn open(location: &Location, now: i64) -> Result<Self, Error> {
        let db = match location {
            Location::Sqlite(path) => Self::open_sqlite(path).await?,
            Location::Postgres(url) => {
                let pool = PgPoolOptions::new()
                    .max_connections(16)
                    .acquire_timeout(Duration::from_secs(10))
                    .connect(url)
                    .await
                    .map_err(|source| Error::Open { location: without_password(url), source })?;
                Self::Postgres(pool)
            }
        };
        migrate::run(&db, now).await?;
        traits::fill(&db).await?;
        Ok(db)
    }

    async fn open_sqlite(path: &Path) -> Result<Self, Error> {
        let open = |source| Error::Open { location: path.display().to_string(), source };
        // SQLite makes its other files with the mode of this one: tokens' hashes and secrets are nobody else's business.
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| open(sqlx::Error::Io(error)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What a commit needs to last, `durable` does for many at a time.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            // When the disk is full, SQLite itself takes the transaction back, but the driver goes on counting it and would refuse
            // every later one: such a connection is replaced.
            .before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            })
            .connect_with(options.clone())
            .await
            .map_err(open)?;
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(open)?;
        let durable = Arc::new(durable::Durable::new(path));
        Ok(Self::Sqlite { write, read, durable })
    }

    /// A transaction that only reads: everything it sees is of one moment.
    pub async fn read(&self) -> Result<Tx, Error> {
        let begun = async {
            match self {
                Self::Sqlite { read, .. } => read.begin().await.map(|tx| Tx::Sqlite(tx, None)),
                Self::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
            }
        };
        timings::timed(&timings::all().wait, "read", begun)
            .await
            .map_err(|source| statement_error("BEGIN", source))
    }

    /// A transaction that writes; dropped without [`Tx::commit`] it leaves no trace.
    pub async fn write(&self) -> Result<Tx, Error> {
        let begun = async {
            match self {
                // A deferred transaction that writes after reading fails at once with SQLITE_BUSY_SNAPSHOT.
                Self::Sqlite { write, durable, .. } => {
                    let durable = Some(Arc::clone(durable));
                    write.begin_with("BEGIN IMMEDIATE").await.map(|tx| Tx::Sqlite(tx, durable))
                }
                Self::Postgres(pool) => pool.begin().await.map(Tx::Postgres),
            }
        };
        timings::timed(&timings::all().wait, "write", begun)
            .await
            .map_err(|source| statement_error("BEGIN", source))
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction on either engine.
#[derive(Debug)]
pub enum Tx {
    /// On `SQLite`; with what makes it last, when it writes.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>, Option<Arc<durable::Durable>>),
    /// On `PostgreSQL`.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Binds `args` to `sql` and runs it on the transaction's own driver.
macro_rules! on_engine {
    ($tx:expr, $sql:expr, $args:expr, $call:ident) => {{
        let sql: &str = $sql;
        tracing::trace!(target: "lotse::sql", statement = sql);
        macro_rules! bound {
            () => {{
                // Every statement is a constant of this folder; what users type is always bound, never spliced.
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
                for arg in $args {
                    query = match arg {
                        Arg::Int(value) => query.bind(value),
                        Arg::Text(value) => query.bind(value.map(dialect::storable)),
                        Arg::Bool(value) => query.bind(value),
                    };
                }
                query
            }};
        }
        match $tx {
            Tx::Sqlite(tx, _) => bound!().$call(&mut **tx).await.map(OnEngine::from_sqlite),
            Tx::Postgres(tx) => bound!().$call(&mut **tx).await.map(OnEngine::from_postgres),
        }
        .map_err(|source| statement_error(sql, source))
    }};
}

/// What comes back from an engine, made the same for both.
trait OnEngine<S, P> {
    fn from_sqlite(value: S) -> Self;
    fn from_postgres(value: P) -> Self;
}

impl OnEngine<sqlx::sqlite::SqliteQueryResult, sqlx::postgres::PgQueryResult> for u64 {
    fn from_sqlite(value: sqlx::sqlite::SqliteQueryResult) -> Self {
        value.rows_affected()
    }
    fn from_postgres(value: sqlx::postgres::PgQueryResult) -> Self {
        value.rows_affected()
    }
}

impl OnEngine<Vec<SqliteRow>, Vec<PgRow>> for Vec<Row> {
    fn from_sqlite(rows: Vec<SqliteRow>) -> Self {
        rows.into_iter().map(Row::Sqlite).collect()
    }
    fn from_postgres(rows: Vec<PgRow>) -> Self {
        rows.into_iter().map(Row::Postgres).collect()
    }
}

impl Tx {
    /// Makes everything that was written in the transaction last.
    ///
    /// # Errors
    /// [`Error::Repeated`] when the request that it belongs to was carried out before; then nothing of it was done again.
    pub async fn commit(mut self) -> Result<(), Error> {
        let mark = answers::Mark::pending();
        if let Some(mark) = &mark {
            mark.write(&mut self).await?;
        }
        audit::seal(&mut self).await?;
        let committed = async {
            match self {
                Self::Sqlite(tx, durable) => match (tx.commit().await, durable) {
                    (Ok(()), Some(durable)) => durable.wait().await.map_err(sqlx::Error::Io),
                    (committed, _) => committed,
                },
                Self::Postgres(tx) => tx.commit().await,
            }
        };
        timings::timed(&timings::all().commit, "write", committed)
            .await
            .map_err(|source| statement_error("COMMIT", source))?;
        if let Some(mark) = mark {
            mark.was_written();
        }
        Ok(())
    }

    /// Runs a statement and tells how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        args: impl IntoIterator<Item = Arg>,
    ) -> Result<u64, Error> {
        on_engine!(self, sql, args, execute)
    }

    /// Runs a query and gives all its rows.
    pub(crate) async fn all(
        &mut self,
        sql: &str,
        args: impl IntoIterator<Item = Arg>,
    ) -> Result<Vec<Row>, Error> {
        on_engine!(self, sql, args, fetch_all)
    }

    /// Runs a query and gives its first row.
    pub(crate) async fn optional(
        &mut self,
        sql: &str,
        args: impl IntoIterator<Item = Arg>,
    ) -> Result<Option<Row>, Error> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// Runs an `INSERT … RETURNING id` and gives the id.
    pub(crate) async fn insert(
        &mut self,
        sql: &str,
        args: impl IntoIterator<Item = Arg>,
    ) -> Result<i64, Error> {
        match self.optional(sql, args).await? {
            Some(row) => row.int("id"),
            None => Err(statement_error(sql, sqlx::Error::RowNotFound)),
        }
    }
}

fn statement_error(sql: &str, source: sqlx::Error) -> Error {
    if let sqlx::Error::Database(database) = &source
        && database.is_unique_violation()
    {
        return Error::Exists(dialect::unique_value(database.as_ref()));
    }
    if matches!(source, sqlx::Error::PoolTimedOut) {
        return Error::Busy(source);
    }
    if dialect::is_full(&source) {
        return Error::Full(source);
    }
    Error::Statement { statement: sql.split_whitespace().take(6).collect::<Vec<_>>().join(" "), source }
}
