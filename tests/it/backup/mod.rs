//! Backups of the server itself, with the real restic: saved while it works, and put back where nothing is. On both databases.

use std::{collections::BTreeSet, path::Path};

use harness::server::{Engine, TestServer, config};
use reqwest::Method;
use serde_json::json;
use server::{
    backup::{self, Repository},
    clock::Clock,
    config::Config,
    db::{Location, clients},
    startup::Server,
};

on_both_engines! {
    a_server_that_works_is_saved_and_comes_back_elsewhere_as_the_same,
    nothing_is_overwritten_and_nothing_is_left_of_what_failed,
}

async fn repository(place: &Path) -> Repository {
    let password_file = place.join("password");
    fs_err::write(&password_file, "correct horse battery staple\n").unwrap();
    let repository = Repository { repository: place.join("backup").display().to_string(), password_file };
    repository.init().await.unwrap();
    repository
}

/// An empty place for a server.
async fn elsewhere(engine: Engine, place: &Path) -> Config {
    let database: Option<Location> = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(harness::postgres::database().await.unwrap()),
    };
    config(place.join("elsewhere"), database)
}

async fn add(server: &TestServer, name: &str) {
    let body = json!({ "name": name });
    server.send(Method::POST, "/api/v1/clients", &body).await.unwrap().ok().unwrap();
}

async fn a_server_that_works_is_saved_and_comes_back_elsewhere_as_the_same(engine: Engine) {
    let place = tempfile::tempdir().unwrap();
    let repository = repository(place.path()).await;
    let server = TestServer::start(engine).await.unwrap();
    add(&server, "before").await;
    let uploaded = server.ctx.config.data.join("repositories/ours/pool");
    fs_err::create_dir_all(&uploaded).unwrap();
    fs_err::write(uploaded.join("hello.deb"), b"a package").unwrap();
    // It goes on working: every client that it has said yes to before the copy began is in the backup.
    let saved = async { backup::create(&server.ctx.config, &repository, &Clock::system()).await.unwrap() };
    let working = async {
        for number in 0..20 {
            add(&server, &format!("during-{number}")).await;
        }
    };
    let (made, ()) = tokio::join!(saved, working);
    assert_eq!(made.version, env!("CARGO_PKG_VERSION"));
    assert!(!server.data().join("backup").exists(), "a copy of the database was left lying about");
    add(&server, "after").await;
    repository.check().await.unwrap();
    assert_eq!(repository.list().await.unwrap().len(), 1);
    let fingerprint = server.ctx.addresses.ca.clone();
    server.stop().await.unwrap();

    let config = elsewhere(engine, place.path()).await;
    let restored = backup::restore(&config, &repository, "latest").await.unwrap();
    assert_eq!((restored.ca_fingerprint.as_str(), &restored.description), (fingerprint.as_str(), &made));
    let package = config.data.join("repositories/ours/pool/hello.deb");
    assert_eq!(fs_err::read(package).unwrap(), b"a package");
    assert!(!config.data.join("backup").exists() && !config.data.join("restoring").exists());
    let again = Server::bind(config, Clock::system()).await.unwrap();
    assert!(again.first_login().is_none(), "it took itself for a new server");
    assert_eq!(again.ctx().addresses.ca, fingerprint);
    let mut tx = again.ctx().db.read().await.unwrap();
    assert!(clients::find_by_name(&mut tx, "before").await.unwrap().is_some());
    assert!(clients::find_by_name(&mut tx, "after").await.unwrap().is_none());
}

async fn nothing_is_overwritten_and_nothing_is_left_of_what_failed(engine: Engine) {
    let place = tempfile::tempdir().unwrap();
    let repository = repository(place.path()).await;
    assert!(repository.init().await.is_err(), "a repository that is there is made anew");
    let server = TestServer::start(engine).await.unwrap();
    backup::create(&server.ctx.config, &repository, &Clock::system()).await.unwrap();

    let refused = async |config: &Config, repository: &Repository, snapshot: &str| {
        format!("{:#}", backup::restore(config, repository, snapshot).await.unwrap_err())
    };
    let taken = refused(&server.ctx.config, &repository, "latest").await;
    assert!(taken.contains("is not empty") && taken.contains("move the directory away"), "{taken}");
    let config = elsewhere(engine, place.path()).await;
    let no_snapshot = refused(&config, &repository, "00000000").await;
    assert!(no_snapshot.contains("restic"), "{no_snapshot}");
    let wrong = place.path().join("wrong");
    fs_err::write(&wrong, "another\n").unwrap();
    let locked = Repository { password_file: wrong, ..repository.clone() };
    assert!(refused(&config, &locked, "latest").await.contains("wrong password"));
    let other = match engine {
        Engine::Sqlite => elsewhere(Engine::Postgres, place.path()).await,
        Engine::Postgres => harness::server::config(config.data.clone(), None),
    };
    let kind = refused(&other, &repository, "latest").await;
    assert!(kind.contains("configure the same kind as before"), "{kind}");
    let left: BTreeSet<_> = fs_err::read_dir(&config.data)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    backup::restore(&config, &repository, "latest").await.unwrap();
    server.stop().await.unwrap();
}
