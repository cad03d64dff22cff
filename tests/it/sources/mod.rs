//! Source lists, looking for packages, and own repositories: real archives, real signatures, and the real apt with directories of its own.

mod building;
mod lists;
mod pins;
mod repository;
mod script;
mod searching;
mod taking;

use std::{path::PathBuf, process::Output};

use harness::{
    archive::{Archive, Mirror},
    server::{Engine, TestServer},
};
use serde_json::{Value, json};
use server::{clock::Clock, config::Config};
use tempfile::TempDir;

on_both_engines! {
    building::a_package_of_files_is_what_dpkg_installs,
    building::files_that_make_no_package_are_refused_with_the_reason,
    lists::a_list_is_kept_once_its_archives_are_what_it_says,
    lists::a_client_has_the_lists_of_its_distribution_and_of_its_groups,
    lists::a_list_through_the_cache_is_verified_with_its_own_key,
    searching::packages_are_found_by_name_and_description_and_what_is_new_is_seen,
    searching::an_archive_that_is_away_costs_nothing_but_news,
    searching::an_index_that_cannot_be_read_says_why,
    repository::what_is_uploaded_promoted_and_rolled_back_is_what_apt_sees,
    repository::what_is_no_package_or_another_one_of_the_same_version_is_refused,
    repository::old_states_and_what_nobody_needs_are_forgotten,
    taking::only_what_was_ordered_comes_of_a_client,
    taking::a_taking_is_ordered_at_its_repository,
}

const SUITE: &str = "bookworm";

/// An archive with a mirror, and a server that knows it as `debian`.
struct Site {
    archive: Archive,
    mirror: Mirror,
    server: TestServer,
    clock: Clock,
}

impl Site {
    async fn new(engine: Engine, names: &[&str]) -> Self {
        let archive = Archive::new().unwrap();
        for name in names {
            archive.package(name, "1", 1000).unwrap();
        }
        archive.release(SUITE).unwrap();
        let mirror = Mirror::serve(&archive.root()).await.unwrap();
        let clock = Clock::fixed(Clock::system().now());
        let server =
            TestServer::start_as(engine, clock.clone(), configured(&mirror, &archive)).await.unwrap();
        Self { archive, mirror, server, clock }
    }

    fn key(&self) -> String {
        self.archive.armoured_key("archive").unwrap()
    }

    /// A list with one source at the mirror's own address.
    fn list(&self, key: &str) -> Value {
        json!({ "sources": [{ "uris": [self.mirror.url], "suites": [SUITE], "components": ["main"], "key": key }] })
    }

    async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

fn configured(mirror: &Mirror, archive: &Archive) -> impl FnOnce(&mut Config) + use<> {
    let (url, keyring) = (mirror.url.clone(), archive.keyring());
    move |config| {
        config.mirrors = vec![("debian".to_owned(), url)];
        config.cache_keyrings = vec![("debian".to_owned(), keyring)];
    }
}

/// What apt keeps of one client.
struct Apt(TempDir);

impl Apt {
    /// One source, with a key in armour.
    fn new(uri: &str, suite: &str, key: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let folders = [
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "state/lists/partial",
            "cache/archives/partial",
        ];
        for folder in folders {
            fs_err::create_dir_all(place.path().join(folder)).unwrap();
        }
        fs_err::write(place.path().join("state/status"), "").unwrap();
        let keyring = place.path().join("key.asc");
        fs_err::write(&keyring, key).unwrap();
        let text = format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\nSigned-By: {}\n",
            keyring.display()
        );
        fs_err::write(place.path().join("etc/sources.list.d/one.sources"), text).unwrap();
        Self(place)
    }

    fn archives(&self) -> PathBuf {
        self.0.path().join("cache/archives")
    }

    #[expect(clippy::disallowed_methods, reason = "apt is what is tested against")]
    async fn run(&self, words: &[&str]) -> Output {
        let place = |name: &str| self.0.path().join(name).display().to_string();
        let mut command =
            tokio::process::Command::new(if words[0] == "policy" { "apt-cache" } else { "apt-get" });
        for (option, value) in [
            ("Dir::Etc", place("etc")),
            ("Dir::State", place("state")),
            ("Dir::State::status", place("state/status")),
            ("Dir::Cache", place("cache")),
            ("APT::Architecture", "amd64".to_owned()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::http::Proxy", "DIRECT".to_owned()),
            ("Debug::NoLocking", "true".to_owned()),
            ("Acquire::Retries", "0".to_owned()),
        ] {
            command.args(["-o", &format!("{option}={value}")]);
        }
        if words[0] != "policy" {
            command.arg("-y");
        }
        command.args(words).env("LC_ALL", "C").output().await.unwrap()
    }

    async fn well(&self, words: &[&str]) -> String {
        let output = self.run(words).await;
        let text = said(&output);
        assert!(output.status.success() && !text.contains("W:"), "{words:?}: {text}");
        text
    }

    /// The version that apt would install.
    async fn candidate(&self, package: &str) -> String {
        self.well(&["update"]).await;
        let text = self.well(&["policy", package]).await;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        line.unwrap_or("(unknown)").to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
