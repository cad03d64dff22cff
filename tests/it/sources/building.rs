//! Packages made of files: what the real dpkg makes of them.

use std::{path::Path, process::Output};

use harness::server::{Answer, Engine, TestServer, answer};
use reqwest::Method;
use serde_json::json;
use server::domain::people::Role;

use super::said;

/// A program where nothing but a dpkg without packages is.
struct Dpkg(tempfile::TempDir);

impl Dpkg {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["info", "updates", "triggers"] {
            fs_err::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).unwrap();
        }
        fs_err::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        Self(root)
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    async fn run(&self, words: &[&str], package: &Path) -> Output {
        let root = format!("--root={}", self.root().display());
        run("dpkg", &[&[root.as_str(), "--force-confdef"], words, &[package.to_str().unwrap()]].concat())
            .await
    }
}

#[expect(clippy::disallowed_methods, reason = "dpkg is what is tested against")]
async fn run(program: &str, words: &[&str]) -> Output {
    tokio::process::Command::new(program).args(words).env("LC_ALL", "C").output().await.unwrap()
}

fn archive(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

async fn build(server: &TestServer, words: &str, files: Vec<u8>) -> Answer {
    let path = format!("/api/v1/repositories/ours/builds?{words}");
    answer(server.request(Some(Role::Operator), Method::POST, &path).body(files)).await.unwrap()
}

fn content(server: &TestServer, built: &serde_json::Value) -> tempfile::NamedTempFile {
    let stored = server.data().join("repositories").join(built["sha256"].as_str().unwrap());
    let file = tempfile::Builder::new().suffix(".deb").tempfile().unwrap();
    fs_err::copy(stored, file.path()).unwrap();
    file
}

pub(super) async fn a_package_of_files_is_what_dpkg_installs(engine: Engine) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let server = TestServer::start(engine).await.unwrap();
    server
        .send(Method::POST, "/api/v1/repositories", &json!({ "name": "ours" }))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let long = format!("usr/share/{}/file", "folder/".repeat(20));
    let files = archive(&[
        ("etc/tool.conf", 0o664, "one"),
        ("usr/bin/tool", 0o775, "#!/bin/sh\necho hello\n"),
        (&long, 0o600, "deep"),
    ]);
    let words = "package=tool&version=1.0&description=A%20tool%0AIt%20does%20much.";
    let built = build(&server, words, files.clone()).await.ok().unwrap();
    assert_eq!((&built["name"], &built["suites"]), (&json!("tool"), &json!(["testing"])), "{built:#}");
    assert_eq!(build(&server, words, files).await.ok().unwrap()["id"], built["id"], "the same is the same");
    let package = content(&server, &built);
    let info = said(&run("dpkg-deb", &["--info", package.path().to_str().unwrap()]).await);
    assert!(info.contains("Description: A tool\n  It does much.") && info.contains("conffiles"), "{info}");
    let list = said(&run("dpkg-deb", &["--contents", package.path().to_str().unwrap()]).await);
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
    let dpkg = Dpkg::new();
    let installed = dpkg.run(&["--install"], package.path()).await;
    assert!(installed.status.success() && !said(&installed).contains("warning"), "{}", said(&installed));
    let program = fs_err::metadata(dpkg.root().join("usr/bin/tool")).unwrap();
    assert_eq!((program.permissions().mode() & 0o7777, program.uid()), (0o755, 0));
    assert_eq!(fs_err::read_to_string(dpkg.root().join(&long)).unwrap(), "deep");

    // Somebody has changed the configuration: the next version leaves it as it is.
    let changed = dpkg.root().join("etc/tool.conf");
    fs_err::write(&changed, "mine").unwrap();
    let next =
        archive(&[("etc/tool.conf", 0o644, "two"), ("usr/bin/tool", 0o755, "#!/bin/sh\necho there\n")]);
    let words = words.replace("1.0", "1.1");
    let built = build(&server, &words, next).await.ok().unwrap();
    let installed = dpkg.run(&["--install"], content(&server, &built).path()).await;
    assert!(installed.status.success(), "{}", said(&installed));
    assert_eq!(fs_err::read_to_string(&changed).unwrap(), "mine");
    assert!(!dpkg.root().join(&long).exists(), "what the next version lacks is gone");
    server.stop().await.unwrap();
}

pub(super) async fn files_that_make_no_package_are_refused_with_the_reason(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    server
        .send(Method::POST, "/api/v1/repositories", &json!({ "name": "ours" }))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let one = archive(&[("usr/bin/tool", 0o755, "x")]);
    let refused = async |words: &str, files: &[u8], part: &str| {
        let answer = build(&server, words, files.to_vec()).await;
        assert!(answer.is_problem(422) && answer.text.contains(part), "{words}: {answer:?}");
    };
    let good = "package=tool&version=1.0&description=x";
    refused("package=Tool&version=1.0&description=x", &one, "package").await;
    refused("package=tool&version=1.0&description=x&depends=a%0AEssential:%20yes", &one, "depends").await;
    refused("package=tool&version=1.0&description=x&below=../etc", &one, "below").await;
    refused(good, b"", "no files").await;
    refused(good, &one[..700], "cannot be read").await;
    refused(good, &archive(&[("usr/bin/su", 0o4755, "x")]), "setuid").await;
    let built = build(&server, good, one.clone()).await.ok().unwrap();
    assert_eq!(built["version"], "1.0");
    // Other files are another package: it needs a version of its own.
    assert!(build(&server, good, archive(&[("usr/bin/tool", 0o755, "y")])).await.is_problem(409));
    let path = "/api/v1/repositories/ours/builds?package=tool&version=2&description=x";
    let viewer = server.request(Some(Role::Helpdesk), Method::POST, path).body(one);
    assert!(answer(viewer).await.unwrap().is_problem(403));
    server.stop().await.unwrap();
}
