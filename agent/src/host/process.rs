//! Processes of the real machine: started in a group of their own, read line by line, always waited for.
//!
//! Invariant: when [`run`] ends or is dropped, the process has ended; after a stop its whole group has. Nothing is read
//! ahead of what `on_line` has taken, so memory stays bounded whatever a command prints.

use std::{
    collections::VecDeque,
    ffi::CString,
    io,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use wire::event::Stream;

use super::{Command, Error};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LINE_BYTES: usize = 16 * 1024;
const CUT_MARK: &str = " … (line cut)";
const CAPTURE_BYTES: usize = 4 * 1024 * 1024;
const KEPT_LINES: usize = 8;
/// From TERM to KILL.
const TERM_PATIENCE: Duration = Duration::from_secs(10);
/// From the end of the process to the end of its streams, which a daemon it left behind may hold for ever.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn run(
    command: &Command,
    on_line: &(dyn Fn(Stream, &str) + Send + Sync),
    stop: &CancellationToken,
) -> Result<String, Error> {
    if stop.is_cancelled() {
        return Err(Error::Stopped { command: command.to_string() });
    }
    let program = command.argv.first().cloned().unwrap_or_default();
    let start_error = |source| Error::Start { program: program.clone(), source };
    let mut child = prepare(command).and_then(|mut prepared| prepared.spawn()).map_err(start_error)?;
    let mut group = Group::of(&child);
    let mut stdout = Lines::new(child.stdout.take());
    let mut stderr = Lines::new(child.stderr.take());
    let mut captured = Vec::new();
    let mut last = Last::default();
    let feeding = feed(child.stdin.take(), command.stdin.clone());
    tokio::pin!(feeding);
    let (mut fed, mut stopped, mut status, mut deadline) =
        (false, false, None::<ExitStatus>, None::<Instant>);

    loop {
        let out_open = stdout.is_open();
        let err_open = stderr.is_open();
        if status.is_some() && !out_open && !err_open {
            break;
        }
        tokio::select! {
            chunk = stdout.read(), if out_open => {
                let chunk = chunk.map_err(start_error)?;
                let room = CAPTURE_BYTES.saturating_sub(captured.len());
                captured.extend_from_slice(&chunk[..chunk.len().min(room)]);
                stdout.split(&chunk, |line| { last.out.push(line); on_line(Stream::Stdout, line); });
            }
            chunk = stderr.read(), if err_open => {
                let chunk = chunk.map_err(start_error)?;
                stderr.split(&chunk, |line| { last.err.push(line); on_line(Stream::Stderr, line); });
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.map_err(start_error)?);
                deadline = Some(Instant::now() + DRAIN_PATIENCE);
            }
            () = stop.cancelled(), if !stopped && status.is_none() => {
                stopped = true;
                group.signal(Signal::SIGTERM);
                deadline = Some(Instant::now() + TERM_PATIENCE);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                if status.is_some() {
                    break;
                }
                group.signal(Signal::SIGKILL);
                deadline = None;
            }
            () = &mut feeding, if !fed => fed = true,
        }
    }
    stdout.finish(|line| on_line(Stream::Stdout, line));
    stderr.finish(|line| {
        last.err.push(line);
        on_line(Stream::Stderr, line);
    });
    if stopped {
        // Those who ignored TERM and outlived their parent.
        group.signal(Signal::SIGKILL);
    }
    group.disarm();
    match status {
        _ if stopped => Err(Error::Stopped { command: command.to_string() }),
        Some(status) if status.success() => Ok(String::from_utf8_lossy(&captured).into_owned()),
        status => Err(Error::Status {
            command: command.to_string(),
            status: status.map_or_else(String::new, in_words),
            last_lines: last.text(),
        }),
    }
}

/// Runs a short command whose output nobody reads.
#[expect(clippy::disallowed_methods, reason = "this is the processes' door")]
pub(super) fn succeeds(argv: &[&str]) -> bool {
    let Some((program, arguments)) = argv.split_first() else { return false };
    std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[expect(clippy::disallowed_methods, reason = "this is the processes' door")]
fn prepare(command: &Command) -> io::Result<tokio::process::Command> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty command"));
    };
    let mut prepared = tokio::process::Command::new(program);
    prepared
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", "/root")
        .envs(&command.environment)
        .current_dir("/")
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(root) = &command.root {
        enter_root(&mut prepared, CString::new(root.as_os_str().as_bytes())?);
    }
    Ok(prepared)
}

#[expect(unsafe_code, reason = "chroot(2) of the child only is possible between fork and exec alone")]
fn enter_root(prepared: &mut tokio::process::Command, root: CString) {
    let enter = move || {
        nix::unistd::chroot(root.as_c_str())?;
        nix::unistd::chdir(c"/")?;
        Ok(())
    };
    // SAFETY: the closure makes two async-signal-safe system calls on strings that were made before the fork; it
    // allocates nothing and takes no lock.
    unsafe {
        prepared.pre_exec(enter);
    }
}

async fn feed(stdin: Option<tokio::process::ChildStdin>, text: Option<String>) {
    if let (Some(mut stdin), Some(text)) = (stdin, text) {
        // A command that ends without reading all of it is judged by its status.
        stdin.write_all(text.as_bytes()).await.ok();
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => {
            Signal::try_from(signal).map_or(format!("signal {signal}"), |s| s.to_string())
        }
        (None, None) => "no status".to_owned(),
    }
}

/// The process group of a child; killed when dropped while armed.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // ESRCH: all of them have ended.
            killpg(group, signal).ok();
        }
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Cuts a byte stream into lines.
struct Lines<R> {
    reader: Option<R>,
    line: Vec<u8>,
    cut: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: Option<R>) -> Self {
        Self { reader, line: Vec::new(), cut: false }
    }

    fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// The next bytes; none at the end. Dropping the future loses nothing.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(reader) = &mut self.reader else { return Ok(Vec::new()) };
        let mut chunk = vec![0; 8 * 1024];
        let length = reader.read(&mut chunk).await?;
        chunk.truncate(length);
        if length == 0 {
            self.reader = None;
        }
        Ok(chunk)
    }

    fn split(&mut self, chunk: &[u8], mut emit: impl FnMut(&str)) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.cut |= text.len() > room;
            if complete {
                self.emit(&mut emit);
            }
        }
    }

    fn finish(&mut self, mut emit: impl FnMut(&str)) {
        if !self.line.is_empty() {
            self.emit(&mut emit);
        }
    }

    fn emit(&mut self, emit: &mut impl FnMut(&str)) {
        let bytes = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let mut line = String::from_utf8_lossy(bytes).into_owned();
        if self.cut {
            line.push_str(CUT_MARK);
        }
        emit(&line);
        self.line.clear();
        self.cut = false;
    }
}

/// The last lines of both streams, for the error.
#[derive(Default)]
struct Last {
    out: Ring,
    err: Ring,
}

impl Last {
    fn text(&self) -> String {
        let ring = if self.err.0.is_empty() { &self.out } else { &self.err };
        ring.0.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Default)]
struct Ring(VecDeque<String>);

impl Ring {
    fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.chars().take(500).collect());
    }
}

#[cfg(test)]
mod tests;
