//! A real browser for tests: headless Chromium by the `DevTools` protocol.
//!
//! Invariants: whatever a page complains about (an error of a script, a violation of the content security policy, a file that cannot
//! be loaded) fails the test that opened it, unless the test has forgiven it by name. The server's certificate is verified: the browser
//! is given the key of the server's CA, and no check is switched off. Nothing waits by the clock, only for conditions.

mod axe;
mod devtools;
mod page;
mod tour;

use std::{process::Stdio, sync::Arc};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, Uid},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use self::devtools::DevTools;
pub use self::{
    page::{Look, Page},
    tour::{Stop, stops},
};

/// Debian's name of the program, then others'.
const PROGRAMS: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/local/bin/chromium"];

/// A browser that runs until it is dropped.
pub struct Browser {
    devtools: Arc<DevTools>,
    child: Child,
    /// As the browser names itself.
    agent: String,
    profile: TempDir,
}

impl Browser {
    /// Starts a browser that trusts the servers of one CA.
    ///
    /// # Errors
    /// Chromium is not installed, or does not start; the error shows what it said.
    #[expect(clippy::disallowed_methods, reason = "the tests' own door to the browser")]
    pub async fn start(ca_pem: &str) -> Result<Self> {
        let program = PROGRAMS
            .into_iter()
            .find(|path| std::path::Path::new(path).is_file())
            .context("Chromium is missing: `make setup` installs it (Debian package chromium)")?;
        let profile = tempfile::Builder::new().prefix("lotse-browser-").tempdir()?;
        let log = profile.path().join("stderr");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--remote-debugging-pipe".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
            format!("--ignore-certificate-errors-spki-list={}", key_hash(ca_pem)?),
        ];
        for word in [
            "no-first-run",
            "no-default-browser-check",
            "no-proxy-server",
            "disable-background-networking",
            "disable-component-update",
            "disable-dev-shm-usage",
            "disable-extensions",
            "disable-gpu",
            "disable-sync",
            "hide-scrollbars",
            "lang=en",
        ] {
            arguments.push(format!("--{word}"));
        }
        // Chromium refuses to build its sandbox as root, which containers of CI are.
        if Uid::effective().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        // The browser reads requests from descriptor 3 and writes answers to 4: a shell turns our two pipes into those.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", program])
            .args(&arguments)
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(&log)?.into_file())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{program} has no pipes");
        };
        let devtools = Arc::new(DevTools::new(requests, answers));
        let version = devtools.call(None, "Browser.getVersion", json!({})).await;
        let version = version.with_context(|| {
            format!("starting {program}: {}", fs_err::read_to_string(&log).unwrap_or_default().trim())
        })?;
        let agent = version["userAgent"].as_str().unwrap_or_default().to_owned();
        Ok(Self { devtools, child, agent, profile })
    }

    /// Opens an empty page with cookies of its own, as a person at another desk would.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn page(&self, look: Look) -> Result<Page> {
        Page::open(Arc::clone(&self.devtools), &self.agent, look).await
    }

    /// Where the browser may put files for as long as it runs.
    pub fn directory(&self) -> &std::path::Path {
        self.profile.path()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is many processes, all of its own group.
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
    }
}

/// What `--ignore-certificate-errors-spki-list` wants: the SHA-256 of a public key (`SubjectPublicKeyInfo`), as base64.
fn key_hash(ca_pem: &str) -> Result<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(ca_pem.as_bytes()).context("reading the CA")?;
    let certificate = pem.parse_x509().context("reading the CA")?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.public_key().raw);
    Ok(BASE64.encode(digest.as_ref()))
}
