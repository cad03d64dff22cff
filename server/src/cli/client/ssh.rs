//! A machine over SSH, by the ssh(1) of whoever asks: so it has its agent, its configuration and its jump hosts, and no key lies on the
//! server.
//!
//! Invariants: no connection is made with another host key than the one that was accepted, whatever the person's own configuration
//! says; a password is in no argument, environment or file, but in a pipe that only this account can open.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, bail};
use aws_lc_rs::digest;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use crate::process;

/// By this name the machine's host key is kept for the connection.
const ALIAS: &str = "lotse-machine";
/// A server asks once for each way of asking, and some ask twice.
const ANSWERS: usize = 4;

/// Becomes root if it is not yet, by sudo(8), and reads the script there. The first line of its input is the password, which only sudo is
/// given; `sudo -k` asks for it in any case, so that it is never read as a part of the script.
const AS_ROOT: &str = r#"sh -c 'IFS= read -r password
if [ "$(id -u)" = 0 ]; then exec sh
elif ! command -v sudo > /dev/null; then echo "lotse: this account is not root, and there is no sudo" >&2; exit 1
elif sudo -n true 2> /dev/null; then exec sudo -n sh
elif [ -z "$password" ]; then echo "lotse: sudo asks for a password here: add --password" >&2; exit 1
else { printf "%s\n" "$password"; cat; } | sudo -k -S -p "" sh
fi'"#;

/// Where to: `USER@HOST[:PORT]`, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    user: String,
    host: String,
    port: u16,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "must be USER@HOST or USER@HOST:PORT, an IPv6 address as USER@[ADDRESS]:PORT".to_owned();
        let (user, place) = text.split_once('@').ok_or_else(wrong)?;
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (host, port.strip_prefix(':'))
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(22), str::parse).map_err(|_| wrong())?;
        // What begins with a hyphen would be an option of ssh(1).
        let plain = |text: &str, more: &[u8]| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || more.contains(&b))
        };
        let is_host = plain(host, if place.starts_with('[') { b":%" } else { b"" });
        if !plain(user, b"+$\\") || !is_host || port == 0 {
            return Err(wrong());
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}@{open}{}{close}:{}", self.user, self.host, self.port)
    }
}

/// A machine whose host key was seen; nothing was said to it yet.
pub(super) struct Seen {
    target: Target,
    directory: TempDir,
    /// Kind and fingerprint of the key, as `ssh-keygen -l` shows them.
    pub(super) kind: String,
    /// `SHA256:…`
    pub(super) host_key: String,
}

/// By what the account is let in.
pub(super) struct Account<'a> {
    /// File of a private key; none takes what ssh(1) finds.
    pub(super) identity: Option<&'a Path>,
    /// For the account and for sudo.
    pub(super) password: Option<&'a str>,
}

/// Asks a machine for its host key.
pub(super) async fn look(target: Target) -> anyhow::Result<Seen> {
    let directory = tempfile::Builder::new().prefix("lotse-ssh-").tempdir().context("making a directory")?;
    let known = directory.path().join("known_hosts");
    // Nothing lets in here; by then the key was shown.
    let words = ["StrictHostKeyChecking=accept-new", "PreferredAuthentications=none", "BatchMode=yes"];
    let argv = argv(&target, &known, &words, None, "true");
    let ended = process::given(&argv, &[], "", |_| {}).await?;
    let text = fs_err::read_to_string(&known).unwrap_or_default();
    let Some((kind, host_key)) = text.lines().find_map(fingerprint) else {
        bail!("{target} does not show a host key: {}", ended.stderr.trim());
    };
    Ok(Seen { target, directory, kind, host_key })
}

impl Seen {
    /// Where it is.
    pub(super) fn address(&self) -> String {
        self.target.to_string()
    }

    /// Lets a shell read a script there, as root; `on_line` is given what that says.
    pub(super) async fn run(
        &self,
        account: &Account<'_>,
        script: &str,
        on_line: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let known = self.directory.path().join("known_hosts");
        let mut words = vec!["StrictHostKeyChecking=yes"];
        let mut environment = Vec::new();
        let mut answers = None;
        match (account.identity, account.password) {
            // The password is sudo's.
            (Some(_), _) | (None, None) => {
                words.extend(["PasswordAuthentication=no", "KbdInteractiveAuthentication=no"]);
            }
            (None, Some(password)) => {
                words.extend([
                    "PubkeyAuthentication=no",
                    "PreferredAuthentications=password,keyboard-interactive",
                ]);
                words.push("NumberOfPasswordPrompts=1");
                let (pipe, program) = self.answers(password)?;
                answers = Some(pipe);
                environment.push(("SSH_ASKPASS", program.display().to_string()));
                environment.push(("SSH_ASKPASS_REQUIRE", "force".to_owned()));
            }
        }
        let argv = argv(&self.target, &known, &words, account.identity, AS_ROOT);
        let input = format!("{}\n{script}", account.password.unwrap_or_default());
        let ended = process::given(&argv, &environment, &input, on_line).await?;
        drop(answers);
        if ended.is_fine {
            return Ok(());
        }
        bail!("{} was not taken over: {}", self.target, said(&ended.stderr));
    }

    /// A pipe that has the password, and the program that ssh(1) asks. What nobody has read is gone with the pipe.
    fn answers(&self, password: &str) -> anyhow::Result<(File, PathBuf)> {
        let pipe = self.directory.path().join("password");
        mkfifo(&pipe, Mode::from_bits_truncate(0o600)).context("making a pipe for the password")?;
        // Open for both, so that it keeps what nobody reads yet.
        let mut open = OpenOptions::new().read(true).write(true).open(&pipe).context("opening the pipe")?;
        open.write_all(format!("{password}\n").repeat(ANSWERS).as_bytes()).context("filling the pipe")?;
        let program = self.directory.path().join("ask");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&program)
            .with_context(|| format!("writing {}", program.display()))?;
        let text =
            "#!/bin/sh\nIFS= read -r password < \"${0%/*}/password\" && printf '%s\\n' \"$password\"\n";
        file.write_all(text.as_bytes()).with_context(|| format!("writing {}", program.display()))?;
        Ok((open, program))
    }
}

/// The words of ssh(1). What the person has configured counts, but for what has to be as it is here.
fn argv(
    target: &Target,
    known: &Path,
    words: &[&str],
    identity: Option<&Path>,
    command: &str,
) -> Vec<String> {
    let known = format!("UserKnownHostsFile={}", known.display());
    let alias = format!("HostKeyAlias={ALIAS}");
    let fixed = [
        known.as_str(),
        &alias,
        "GlobalKnownHostsFile=/dev/null",
        "VerifyHostKeyDNS=no",
        "UpdateHostKeys=no",
        "HashKnownHosts=no",
        "CheckHostIP=no",
        // A connection that is open already would not look at the key.
        "ControlMaster=no",
        "ControlPath=none",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=15",
        "LogLevel=ERROR",
    ];
    let mut argv = vec!["ssh".to_owned(), "-T".to_owned()];
    for word in fixed.iter().chain(words) {
        argv.extend(["-o".to_owned(), (*word).to_owned()]);
    }
    if let Some(identity) = identity {
        argv.extend(["-o".to_owned(), "IdentitiesOnly=yes".to_owned()]);
        argv.extend(["-i".to_owned(), identity.display().to_string()]);
    }
    argv.extend(["-p".to_owned(), target.port.to_string(), "-l".to_owned(), target.user.clone()]);
    argv.extend(["--".to_owned(), target.host.clone(), command.to_owned()]);
    argv
}

/// Kind and fingerprint of a line of `known_hosts` (sshd(8)).
fn fingerprint(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with('@'));
    let (_, kind, key) = (words.next()?, words.next()?, words.next()?);
    let hash = digest::digest(&digest::SHA256, &STANDARD.decode(key).ok()?);
    Some((kind.to_owned(), format!("SHA256:{}", STANDARD_NO_PAD.encode(hash.as_ref()))))
}

/// The last words of what went wrong, in one line.
fn said(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut text = String::new();
    for line in lines.get(lines.len().saturating_sub(4)..).unwrap_or_default() {
        // Writing into a text does not fail.
        write!(text, "{}{line}", if text.is_empty() { "" } else { "; " }).ok();
    }
    if text.is_empty() { "ssh ended without a reason".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_user_a_host_and_a_port_and_never_an_option() {
        let shown = |text: &str| text.parse::<Target>().map(|target| target.to_string());
        assert_eq!(shown("root@pc-07"), Ok("root@pc-07:22".to_owned()));
        assert_eq!(shown("ann@pc-07.school.example:2222"), Ok("ann@pc-07.school.example:2222".to_owned()));
        assert_eq!(shown("root@[fd00::7]:2222"), Ok("root@[fd00::7]:2222".to_owned()));
        let wrong = [
            "pc-07",
            "@pc-07",
            "root@",
            "root@-oProxyCommand=x",
            "-l@host",
            "root@host:0",
            "root@host:x",
            "a b@host",
            "root@fd00::7",
        ];
        for text in wrong {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_key_has_the_fingerprint_that_ssh_keygen_shows() {
        let line =
            "lotse-machine ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let expected =
            ("ssh-ed25519".to_owned(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU".to_owned());
        assert_eq!(fingerprint(line), Some(expected));
        assert_eq!(fingerprint("# nothing"), None);
    }

    #[test]
    fn no_secret_stands_in_the_words_of_ssh() {
        let target = "ann@pc-07".parse().unwrap();
        let words = argv(&target, Path::new("/tmp/k"), &["StrictHostKeyChecking=yes"], None, AS_ROOT);
        assert_eq!(words[words.len() - 3..words.len() - 1], ["--", "pc-07"]);
        assert!(words.contains(&"ControlPath=none".to_owned()));
    }

    #[test]
    fn the_last_words_of_a_failure_are_told_in_one_line() {
        assert_eq!(said("a\nb\n\nc\nd\ne\n"), "b; c; d; e");
        assert_eq!(said(""), "ssh ended without a reason");
    }
}
