//! The database in a backup: a copy of one moment, made while the server writes, and the way back into an empty one.
//!
//! Passwords reach PostgreSQL's programs by their environment, never by their words, which everybody on the host can see.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use reqwest::Url;

use crate::{
    db::{self, Location},
    process,
};

const SQLITE: &str = "database.sqlite";
const DUMP: &str = "database.dump";

/// `sqlite` or `postgres`.
pub(super) fn kind(location: &Location) -> &'static str {
    match location {
        Location::Sqlite(_) => "sqlite",
        Location::Postgres(_) => "postgres",
    }
}

/// Copies it into a directory.
pub(super) async fn copy(location: &Location, directory: &Path) -> anyhow::Result<()> {
    match location {
        Location::Sqlite(path) => {
            Ok(db::copy_sqlite(path, &directory.join(SQLITE)).await.context("copying the database")?)
        }
        Location::Postgres(url) => {
            let file = directory.join(DUMP).display().to_string();
            run(&["pg_dump", "--format=custom", "--no-owner", "--file", &file], url).await
        }
    }
}

/// Puts it back from a directory, where there is none; all of it or nothing.
pub(super) async fn put_back(location: &Location, directory: &Path) -> anyhow::Result<()> {
    match location {
        Location::Sqlite(path) => {
            ensure!(
                !path.exists(),
                "there is a database {}\n  → move it away; nothing of it is overwritten",
                path.display()
            );
            fs_err::copy(directory.join(SQLITE), path)?;
            Ok(())
        }
        Location::Postgres(url) => {
            let dump = directory.join(DUMP).display().to_string();
            let (name, _) = environment(url)?;
            let words = [
                "pg_restore",
                "--no-owner",
                "--single-transaction",
                "--exit-on-error",
                "--dbname",
                &name,
                &dump,
            ];
            run(&words, url).await
        }
    }
}

async fn run(words: &[&str], url: &str) -> anyhow::Result<()> {
    let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let program = words.first().copied().unwrap_or_default();
    let ended = process::given(&argv, &environment(url)?.1, "", |_| {})
        .await
        .with_context(|| format!("running {program} (Debian's package postgresql-client)"))?;
    if !ended.is_fine {
        bail!("{program}: {}", ended.stderr.trim());
    }
    Ok(())
}

/// A database's name, and how PostgreSQL's programs reach it (libpq, 34.15 "Environment Variables").
fn environment(url: &str) -> anyhow::Result<(String, Vec<(&'static str, String)>)> {
    // An error of the parser could show the password.
    let Ok(url) = url.parse::<Url>() else { bail!("the database's address cannot be read") };
    let plain = |text: &str| -> String {
        form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect()
    };
    let name = plain(url.path().trim_start_matches('/'));
    let port = url.port().map(|port| port.to_string());
    let user = (!url.username().is_empty()).then(|| plain(url.username()));
    let known = [
        ("PGDATABASE", Some(name.clone())),
        ("PGHOST", url.host_str().filter(|host| !host.is_empty()).map(plain)),
        ("PGPORT", port),
        ("PGUSER", user),
        ("PGPASSWORD", url.password().map(plain)),
    ];
    let mut environment: Vec<_> = known.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "host" => environment.push(("PGHOST", value.into_owned())),
            "port" => environment.push(("PGPORT", value.into_owned())),
            "user" => environment.push(("PGUSER", value.into_owned())),
            "password" => environment.push(("PGPASSWORD", value.into_owned())),
            "sslmode" => environment.push(("PGSSLMODE", value.into_owned())),
            "sslrootcert" => environment.push(("PGSSLROOTCERT", value.into_owned())),
            _ => {}
        }
    }
    Ok((name, environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_and_the_directory_of_a_socket_reach_the_programs_as_they_are() {
        let (name, environment) =
            environment("postgres://lotse:a%40b+c@%2Fvar%2Frun%2Fpostgresql:5433/site").unwrap();
        assert_eq!(name, "site");
        let expected = [
            ("PGDATABASE", "site"),
            ("PGHOST", "/var/run/postgresql"),
            ("PGPORT", "5433"),
            ("PGUSER", "lotse"),
            ("PGPASSWORD", "a@b+c"),
        ];
        assert_eq!(environment, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_cannot_be_read_shows_no_password() {
        let error = environment("geheim").unwrap_err().to_string();
        assert!(!error.contains("geheim"), "{error}");
    }
}
