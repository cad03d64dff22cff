//! An archive of packages that a test makes with Debian's own tools, and a mirror of it on loopback that can be told to lie.
//!
//! Invariant: it ends with the test; the key belongs to nobody. The mirror remembers every request.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What every package and suite of the archive is for.
pub const ARCHITECTURE: &str = "amd64";

/// An archive, its key, and what signs it.
pub struct Archive {
    directory: TempDir,
    /// Every release is a minute younger than the one before.
    releases: AtomicI64,
}

/// What is known of a package that was made.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its path below the mirror.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl Drop for Archive {
    #[expect(clippy::disallowed_methods, reason = "the tool that ends the key's agent")]
    fn drop(&mut self) {
        // The agent that holds the key is a process of its own.
        let home = self.directory.path().join("keys");
        run(Command::new("gpgconf").arg("--homedir").arg(home).args(["--kill", "gpg-agent"])).ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "Debian's own tools make the archive")]
impl Archive {
    /// An archive without packages.
    ///
    /// # Errors
    /// Its tools are not installed (`packaging/setup.sh` does that).
    pub fn new() -> Result<Self> {
        let archive = Self { directory: tempfile::tempdir()?, releases: AtomicI64::new(0) };
        fs_err::create_dir_all(archive.root().join("pool/main"))?;
        archive.make_key("archive")?;
        Ok(archive)
    }

    /// Where it is on disk, as a mirror has it.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    /// The keyring that clients and servers have.
    pub fn keyring(&self) -> PathBuf {
        self.directory.path().join("archive.gpg")
    }

    /// A public key in armour, as source lists have it.
    ///
    /// # Errors
    /// There is no such key.
    pub fn armoured_key(&self, name: &str) -> Result<String> {
        let key = output(self.gpg().args(["--armor", "--export", name]))?;
        ensure!(!key.is_empty(), "there is no key {name}");
        Ok(String::from_utf8(key)?)
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.directory.path().join("keys")).args(["--batch", "--yes", "--quiet"]);
        gpg
    }

    /// Makes another key, with which nobody is to sign this archive.
    ///
    /// # Errors
    /// gpg refuses.
    pub fn make_key(&self, name: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let home = self.directory.path().join("keys");
        fs_err::create_dir_all(&home)?;
        fs_err::set_permissions(&home, std::fs::Permissions::from_mode(0o700))?;
        let made = ["--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never"];
        run(self.gpg().args(made))?;
        let keyring = self.directory.path().join(format!("{name}.gpg"));
        run(self.gpg().arg("--output").arg(keyring).args(["--export", name]))
    }

    /// A package that installs nothing, with so many bytes that nobody has seen before.
    ///
    /// # Errors
    /// dpkg-deb refuses.
    pub fn package(&self, name: &str, version: &str, bytes: usize) -> Result<Package> {
        self.package_with(name, version, bytes, None)
    }

    /// The same, with a script that dpkg runs after it has unpacked the files.
    ///
    /// # Errors
    /// As [`Archive::package`].
    pub fn package_with(
        &self,
        name: &str,
        version: &str,
        bytes: usize,
        postinst: Option<&str>,
    ) -> Result<Package> {
        let scratch = tempfile::tempdir()?;
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@school.example>\nDescription: {name}\n"
        );
        fs_err::create_dir_all(scratch.path().join("DEBIAN"))?;
        fs_err::create_dir_all(scratch.path().join("usr/share"))?;
        fs_err::write(scratch.path().join("DEBIAN/control"), control)?;
        if let Some(script) = postinst {
            use std::os::unix::fs::PermissionsExt;
            let file = scratch.path().join("DEBIAN/postinst");
            fs_err::write(&file, script)?;
            fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        }
        let mut noise = vec![0; bytes];
        aws_lc_rs::rand::fill(&mut noise).ok().context("no random bytes")?;
        fs_err::write(scratch.path().join("usr/share").join(name), noise)?;
        let path = format!("pool/main/{name}_{version}_all.deb");
        let to = self.root().join(&path);
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .arg(scratch.path())
            .arg(&to))?;
        Ok(Package { path, content: fs_err::read(to)? })
    }

    /// Writes and signs the indices of a suite, with the packages that are there now. Indices of earlier releases stay under their hashes.
    ///
    /// # Errors
    /// A tool refuses.
    pub fn release(&self, suite: &str) -> Result<()> {
        self.release_with(suite, "archive", &[])
    }

    /// The same, signed by another key, or with other fields such as `Valid-Until`.
    ///
    /// # Errors
    /// A tool refuses.
    pub fn release_with(&self, suite: &str, key: &str, fields: &[(&str, &str)]) -> Result<()> {
        let root = self.root();
        let folder = root.join("dists").join(suite);
        let indices = folder.join("main").join(format!("binary-{ARCHITECTURE}"));
        fs_err::create_dir_all(indices.join("by-hash/SHA256"))?;
        let packages = output(Command::new("apt-ftparchive").args(["packages", "pool"]).current_dir(&root))?;
        fs_err::write(indices.join("Packages"), &packages)?;
        run(Command::new("xz").args(["--keep", "--force"]).arg(indices.join("Packages")))?;
        run(Command::new("gzip").args(["--keep", "--force", "--no-name"]).arg(indices.join("Packages")))?;
        for name in ["Packages", "Packages.xz", "Packages.gz"] {
            let content = fs_err::read(indices.join(name))?;
            let hash = server::blobs::hash(&content);
            fs_err::write(indices.join("by-hash/SHA256").join(hash.as_str()), content)?;
        }
        for name in ["InRelease", "Release", "Release.gpg"] {
            fs_err::remove_file(folder.join(name)).ok();
        }
        let number = self.releases.fetch_add(1, Ordering::Relaxed) + 1;
        let made_at = server::clock::Clock::system().now() / server::clock::SECOND - 86_400 + 60 * number;
        let date = output(Command::new("date").args(["-u", "-R", "-d", &format!("@{made_at}")]))?;
        let date = String::from_utf8_lossy(&date).trim().replace("+0000", "UTC");
        let mut command = Command::new("apt-ftparchive");
        let option = |name: &str, value: &str| format!("APT::FTPArchive::Release::{name}={value}");
        for (name, value) in [
            ("Suite", suite),
            ("Codename", suite),
            ("Architectures", ARCHITECTURE),
            ("Components", "main"),
            ("Acquire-By-Hash", "yes"),
            ("Date", date.as_str()),
        ] {
            command.args(["-o", &option(name, value)]);
        }
        for (name, wanted) in [("MD5", "false"), ("SHA1", "false"), ("SHA512", "false")] {
            command.args(["-o", &format!("APT::FTPArchive::Release::{name}={wanted}")]);
        }
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let mut release = lines.concat().into_bytes();
        release.extend(output(command.arg("release").arg(".").current_dir(&folder))?);
        fs_err::write(folder.join("Release"), &release)?;
        let sign = |how: &str, name: &str| {
            run(self
                .gpg()
                .args(["--local-user", key, "--output"])
                .arg(folder.join(name))
                .arg(how)
                .arg(folder.join("Release")))
        };
        sign("--clearsign", "InRelease")?;
        sign("--detach-sign", "Release.gpg")
    }
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| {
        format!("starting {}; packaging/setup.sh installs it", command.get_program().display())
    })?;
    ensure!(
        output.status.success(),
        "{:?} ended with {}: {}",
        command,
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// How a mirror answers for a file.
#[derive(Clone, Debug)]
pub enum Manner {
    /// These bytes in place of the right ones.
    Gives(Vec<u8>),
    /// So many bytes, then the connection breaks, although all were announced. Once: the next request is answered well.
    BreaksAfter(usize),
    /// So many bytes; the rest when [`Mirror::go_on`] was called.
    WaitsAfter(usize),
    /// A redirect.
    Redirects(String),
    /// This status.
    Status(u16),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its path below the root.
    pub path: String,
    /// The byte from which on something was wanted.
    pub from: Option<u64>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// Whether it was conditional, and answered with "not modified".
    pub unchanged: bool,
}

/// A mirror of a folder on loopback.
pub struct Mirror {
    /// Its address, such as `http://127.0.0.1:1234`.
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    manners: Mutex<HashMap<String, Manner>>,
    asked: Mutex<Vec<Asked>>,
    go: watch::Sender<bool>,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mirror {
    /// Serves a folder.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn serve(root: &Path) -> Result<Self> {
        Self::serve_at(root, "127.0.0.1:0").await
    }

    /// Serves a folder at an address, such as that of a mirror that went down.
    ///
    /// # Errors
    /// The address is not free.
    pub async fn serve_at(root: &Path, address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            manners: Mutex::default(),
            asked: Mutex::default(),
            go: watch::channel(false).0,
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A client that goes away is no fault of the mirror.
                connections.spawn(async move { shared.answer(socket).await.ok() });
            }
        });
        Ok(Self { url, shared, task })
    }

    /// Answers for a path in another manner from now on.
    pub fn set(&self, path: &str, manner: Manner) {
        self.shared.manners.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), manner);
    }

    /// Answers well for every path.
    pub fn mend(&self) {
        self.shared.manners.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lets those go on that wait in the middle of a file.
    pub fn go_on(&self) {
        self.shared.go.send_replace(true);
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often something was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }
}

/// The answer that needs no file: a redirection, a mere status, or that nothing has changed.
fn without_content(manner: Option<&Manner>, unchanged: bool) -> Option<String> {
    match manner {
        Some(Manner::Redirects(to)) => {
            Some(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
        }
        Some(Manner::Status(status)) => Some(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")),
        _ => unchanged.then(|| "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()),
    }
}

impl Shared {
    async fn answer(&self, socket: TcpStream) -> Result<()> {
        let mut socket = BufReader::new(socket);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if socket.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            if !self.one(&head, socket.get_mut()).await? {
                return Ok(());
            }
        }
    }

    /// Answers a request; false when the connection must end.
    async fn one(&self, head: &[String], socket: &mut TcpStream) -> Result<bool> {
        let path = head.first().and_then(|line| line.split(' ').nth(1)).context("no path")?;
        let path = path.trim_start_matches('/').to_owned();
        let header = |name: &str| {
            head.iter().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let from: Option<u64> =
            header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let manner = self.manners.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let content = match &manner {
            Some(Manner::Gives(content)) => Some(content.clone()),
            _ => fs_err::read(self.root.join(&path)).ok(),
        };
        let etag =
            content.as_deref().map(|content| format!("\"{}\"", &server::blobs::hash(content).as_str()[..16]));
        let unchanged = etag.is_some() && header("if-none-match") == etag;
        let if_range = header("if-range");
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
            path: path.clone(),
            from,
            if_range: if_range.clone(),
            unchanged,
        });
        if let Some(head) = without_content(manner.as_ref(), unchanged) {
            socket.write_all(head.as_bytes()).await?;
            return Ok(true);
        }
        let (Some(content), Some(etag)) = (content, etag) else {
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            return Ok(true);
        };
        let mut answer = Vec::new();
        let common = format!("etag: {etag}\r\nlast-modified: Sat, 21 Nov 2026 00:00:00 GMT\r\n");
        let wanted = from.filter(|_| if_range.is_none() || if_range.as_ref() == Some(&etag));
        let start = if let Some(from) = wanted {
            let (size, start) = (content.len(), usize::try_from(from)?.min(content.len()));
            let last = size.saturating_sub(1);
            write!(
                answer,
                "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{last}/{size}\r\n{common}content-length: {}\r\n\r\n",
                size - start
            )?;
            start
        } else {
            write!(answer, "HTTP/1.1 200 OK\r\n{common}content-length: {}\r\n\r\n", content.len())?;
            0
        };
        let body = &content[start..];
        socket.write_all(&answer).await?;
        match manner {
            Some(Manner::BreaksAfter(bytes)) => {
                socket.write_all(&body[..bytes.min(body.len())]).await?;
                self.manners.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
                socket.shutdown().await?;
                return Ok(false);
            }
            Some(Manner::WaitsAfter(bytes)) => {
                let (now, later) = body.split_at(bytes.min(body.len()));
                socket.write_all(now).await?;
                self.go.subscribe().wait_for(|go| *go).await?;
                socket.write_all(later).await?;
            }
            _ => socket.write_all(body).await?,
        }
        Ok(true)
    }
}
