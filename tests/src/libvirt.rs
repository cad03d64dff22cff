//! A real libvirt without machines: its `test` driver, which checks and keeps what it is given and forgets it at its end. A fake host's virsh
//! commands are put to one virsh(1) process that goes on, since the driver's state lives in it.
//!
//! The driver knows machines of its own type only, and cannot change media of one that runs.

use std::{
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use agent::host::fake::{Answer, FakeHost, Program};
use anyhow::{Context as _, Result};
use tempfile::TempDir;
use wire::event::Stream;

/// How virsh is told to say that an answer is over, and what it then says: not the same, since it also shows what it is told.
const MARK: (&str, &str) = ("echo 'end of' 'the answer'", "end of the answer");

/// A virsh that goes on. Clones are the same.
#[derive(Clone)]
pub struct Libvirt(Arc<Mutex<Virsh>>);

struct Virsh {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    work: TempDir,
    asked: Vec<String>,
    /// Where screens of machines are said to be, since this driver has none.
    screens: Option<PathBuf>,
}

impl Libvirt {
    /// Starts it, with the driver's own machine `test`, pool and network beside which ours are made.
    ///
    /// # Errors
    /// virsh is missing: `make setup` installs it.
    #[expect(clippy::disallowed_methods, reason = "the tests' own door to virsh")]
    pub fn start() -> Result<Self> {
        let mut child = Command::new("sh")
            // One pipe for both, so that errors stand where they belong.
            .args(["-c", "exec virsh --quiet --connect test:///default 2>&1"])
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting virsh")?;
        let commands = child.stdin.take().context("virsh has no input")?;
        let answers = BufReader::new(child.stdout.take().context("virsh has no output")?);
        let work = tempfile::tempdir()?;
        Ok(Self(Arc::new(Mutex::new(Virsh {
            child,
            commands,
            answers,
            work,
            asked: Vec::new(),
            screens: None,
        }))))
    }

    /// Says from now on that the screens of machines that run are at a socket.
    pub fn show_screens_at(&self, socket: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).screens = Some(socket.to_owned());
    }

    /// What the driver says of a machine, with its screen.
    fn with_screen(&self, words: &[&str], text: String) -> Result<String> {
        let screens = self.0.lock().unwrap_or_else(PoisonError::into_inner).screens.clone();
        let (Some(socket), ["dumpxml", domain]) = (screens, words) else { return Ok(text) };
        if self.ask(&["domstate", domain], None)?.1.trim() != "running" {
            return Ok(text);
        }
        let named = format!("<listen type='socket' socket='{}'/>", socket.display());
        Ok(text.replace("<listen type='socket'/>", &named))
    }

    /// Answers the commands of a fake host; all programs but virsh succeed and say nothing.
    pub fn program(&self) -> Program {
        let libvirt = self.clone();
        Arc::new(move |_: &FakeHost, command| {
            let words: Vec<_> = command.argv.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["virsh", "--quiet", "--connect", _, "--version"] => Answer::prints("9.0.0"),
                ["virsh", "--quiet", "--connect", _, words @ ..] => {
                    match libvirt.ask(words, command.stdin.as_deref()) {
                        Ok((true, text)) => match libvirt.with_screen(words, text) {
                            Ok(text) => Answer::prints(&text),
                            Err(error) => Answer::fails(1, &format!("{error:#}")),
                        },
                        Ok((false, text)) => Answer::default().and(Stream::Stderr, &text).with_status(1),
                        Err(error) => Answer::fails(1, &format!("{error:#}")),
                    }
                }
                _ => Answer::default(),
            }
        })
    }

    /// Puts a command to virsh; tells whether it went well, and what it said.
    ///
    /// # Errors
    /// virsh has ended.
    pub fn ask(&self, words: &[&str], input: Option<&str>) -> Result<(bool, String)> {
        let mut virsh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        virsh.asked.push(words.join(" "));
        let file = virsh.work.path().join("input.xml");
        if let Some(input) = input {
            fs_err::write(
                &file,
                input
                    .replace("<domain type=\"kvm\"", "<domain type=\"test\"")
                    .replace("<domain type=\"qemu\"", "<domain type=\"test\""),
            )?;
        }
        let file = file.display().to_string();
        let quoted = |word: &&str| {
            let word = if *word == "/dev/stdin" { file.as_str() } else { *word };
            format!("'{word}'")
        };
        let line = words.iter().map(quoted).collect::<Vec<_>>().join(" ");
        writeln!(virsh.commands, "{line}\n{}", MARK.0)?;
        virsh.commands.flush()?;
        let mut said = Vec::new();
        while !said.ends_with(MARK.1.as_bytes()) {
            let mut byte = [0];
            anyhow::ensure!(virsh.answers.read(&mut byte)? > 0, "virsh has ended");
            said.push(byte[0]);
        }
        said.truncate(said.len() - MARK.1.len());
        let said = String::from_utf8(said)?;
        // It shows its prompt and the words even when nobody sits before it.
        let lines = said.lines().filter(|line| !line.starts_with("virsh # ") && !line.trim().is_empty());
        let text = lines.fold(String::new(), |text, line| text + line + "\n");
        Ok((!text.contains("error: "), text))
    }

    /// Commands so far that begin with this word.
    pub fn asked(&self, word: &str) -> usize {
        let virsh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        virsh.asked.iter().filter(|asked| asked.split(' ').next() == Some(word)).count()
    }

    /// Names of all machines but the driver's own.
    ///
    /// # Errors
    /// virsh has ended.
    pub fn machines(&self) -> Result<Vec<String>> {
        self.names(&["list", "--all", "--name"], "test")
    }

    /// Names of all disks in our pool.
    ///
    /// # Errors
    /// virsh has ended.
    pub fn disks(&self) -> Result<Vec<String>> {
        self.names(&["vol-list", "lotse"], "")
    }

    fn names(&self, words: &[&str], but: &str) -> Result<Vec<String>> {
        let (good, text) = self.ask(words, None)?;
        anyhow::ensure!(good, "{text}");
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        Ok(names.filter(|name| *name != but).map(str::to_owned).collect())
    }
}

impl Drop for Virsh {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
