//! The real apt, with directories of its own, against the server.

use std::{collections::BTreeSet, path::Path, process::Output};

use tempfile::TempDir;

use super::{SUITE, Site, dists};

/// What apt keeps of one client.
struct Apt(TempDir);

impl Apt {
    fn new(site: &Site) -> Self {
        let place = tempfile::tempdir().unwrap();
        for folder in ["etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"]
        {
            fs_err::create_dir_all(place.path().join(folder)).unwrap();
        }
        fs_err::write(place.path().join("state/status"), "").unwrap();
        let keyring = site.archive.keyring();
        let line = format!(
            "deb [arch=amd64 signed-by={}] {}/mirror/debian {SUITE} main\n",
            keyring.display(),
            site.server.ctx.addresses.boot
        );
        fs_err::write(place.path().join("etc/sources.list"), line).unwrap();
        Self(place)
    }

    fn archives(&self) -> std::path::PathBuf {
        self.0.path().join("cache/archives")
    }

    #[expect(clippy::disallowed_methods, reason = "apt is what is tested against")]
    async fn run(&self, words: &[&str]) -> Output {
        let place = |name: &str| self.0.path().join(name).display().to_string();
        let mut command = tokio::process::Command::new("apt-get");
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
        command.args(["-y"]).args(words).output().await.unwrap()
    }

    async fn well(&self, words: &[&str]) {
        let output = self.run(words).await;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("W:"), "{text}");
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs_err::read(path).unwrap()
}

#[tokio::test]
async fn apt_updates_and_downloads_and_the_second_client_costs_the_mirror_nothing() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 300_000).unwrap()).await;
    // A transfer that breaks off is taken up again, so a path may stand there twice; but never because of a second client.
    let mut asked_by_first = 0;
    for client in 0..2 {
        let apt = Apt::new(&site);
        apt.well(&["update"]).await;
        apt.well(&["--download-only", "install", "hello"]).await;
        assert_eq!(read(&apt.archives().join("hello_1_all.deb")), hello.content);
        let asked = site.mirror.asked();
        let paths: BTreeSet<_> = asked.iter().map(|asked| &asked.path).collect();
        assert_eq!(paths.len(), 3, "{asked:#?}");
        match client {
            0 => asked_by_first = asked.len(),
            _ => assert_eq!(asked.len(), asked_by_first, "{asked:#?}"),
        }
    }
    assert_eq!(site.mirror.count(&hello.path), 1);
    site.stop().await;
}

#[tokio::test]
async fn apt_goes_on_when_the_mirror_is_down_and_sees_what_is_new_when_it_is_back() {
    let (site, _) = Site::with(|archive| archive.package("hello", "1", 100_000).unwrap()).await;
    let apt = Apt::new(&site);
    apt.well(&["update"]).await;
    apt.well(&["--download-only", "install", "hello"]).await;
    let (address, root) = (site.mirror.url.trim_start_matches("http://").to_owned(), site.archive.root());
    let Site { archive, mirror, server, clock } = site;
    drop(mirror);
    clock.advance(60);
    // The listener ends with its task; until then nobody is answered either.
    let other = async {
        loop {
            match harness::archive::Mirror::serve_at(&root, &address).await {
                Ok(mirror) => return mirror,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let mirror = other.await;
    mirror.set(&dists("InRelease"), harness::archive::Manner::Status(502));
    let site = Site { archive, mirror, server, clock };
    let apt = Apt::new(&site);
    apt.well(&["update"]).await;
    apt.well(&["--download-only", "install", "hello"]).await;
    let newer = site.archive.package("hello", "2", 100_000).unwrap();
    site.archive.release(SUITE).unwrap();
    site.mirror.mend();
    site.later();
    apt.well(&["update"]).await;
    apt.well(&["--download-only", "install", "hello"]).await;
    assert_eq!(read(&apt.archives().join("hello_2_all.deb")), newer.content);
    site.stop().await;
}

#[tokio::test]
async fn apt_does_not_install_what_a_mirror_has_poisoned() {
    let (site, hello) = Site::with(|archive| archive.package("hello", "1", 300_000).unwrap()).await;
    let apt = Apt::new(&site);
    apt.well(&["update"]).await;
    let mut poisoned = hello.content.clone();
    *poisoned.last_mut().unwrap() ^= 1;
    site.mirror.set(&hello.path, harness::archive::Manner::Gives(poisoned));
    let output = apt.run(&["--download-only", "install", "hello"]).await;
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("Hash Sum mismatch"), "a whole wrong file reached apt: {text}");
    assert!(!apt.archives().join("hello_1_all.deb").exists());
    site.mirror.mend();
    site.later();
    apt.well(&["--download-only", "install", "hello"]).await;
    assert_eq!(read(&apt.archives().join("hello_1_all.deb")), hello.content);
    site.stop().await;
}
