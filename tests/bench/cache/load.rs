//! Clients that fetch files as apt does, over kept connections of HTTP/1.1, and look at nothing but the length: the load must cost less
//! than what is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{rate, rivals::Running};

/// Bytes that are read in one go.
const PIECE: usize = 256 << 10;
/// Whoever waits this long for a file is left alone by the program, and goes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a load showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    /// MiB a second, until the last file was there.
    pub(super) rate: f64,
    /// Clients that waited in vain.
    pub(super) starved: usize,
}

/// What one client got.
struct Got {
    bytes: usize,
    last: Instant,
    starved: bool,
}

struct Client {
    socket: TcpStream,
    piece: Vec<u8>,
    host: String,
    prefix: String,
}

/// The connection ended before an answer began.
#[derive(Debug)]
struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection ended before the answer")
    }
}

impl std::error::Error for Ended {}

impl Client {
    async fn connect(host: &str, prefix: &str) -> Result<Self> {
        let socket = TcpStream::connect(host).await?;
        Ok(Self { socket, piece: vec![0; PIECE], host: host.to_owned(), prefix: prefix.to_owned() })
    }

    /// Fetches a file, and gives its length. A program may end a connection between two answers.
    async fn fetch(&mut self, path: &str) -> Result<usize> {
        match self.try_fetch(path).await {
            Err(error) if error.is::<Ended>() => {
                self.socket = TcpStream::connect(&self.host).await?;
                self.try_fetch(path).await
            }
            other => other,
        }
    }

    async fn try_fetch(&mut self, path: &str) -> Result<usize> {
        let request = format!("GET {}/{path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.prefix, self.host);
        self.socket.write_all(request.as_bytes()).await.map_err(|_| Ended)?;
        let mut head = Vec::new();
        let (length, mut got) = loop {
            let read = self.socket.read(&mut self.piece).await.unwrap_or(0);
            if read == 0 && head.is_empty() {
                return Err(Ended.into());
            }
            ensure!(read > 0, "the connection ended in the head of the answer to {path}");
            head.extend_from_slice(&self.piece[..read]);
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
                ensure!(text.starts_with("http/1.1 200"), "{path}: {text}");
                let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                break (length.context("no length")?.trim().parse::<usize>()?, head.len() - end - 4);
            }
        };
        while got < length {
            let read = self.socket.read(&mut self.piece).await?;
            ensure!(read > 0, "{path} broke off after {got} of {length} bytes");
            got += read;
        }
        Ok(length)
    }
}

impl Got {
    fn nothing() -> Self {
        Self { bytes: 0, last: Instant::now(), starved: false }
    }

    /// Fetches one more; whether the client goes on.
    async fn fetch(&mut self, client: &mut Client, path: &str) -> Result<bool> {
        match tokio::time::timeout(PATIENCE, client.fetch(path)).await {
            Ok(length) => {
                self.bytes += length?;
                self.last = Instant::now();
            }
            Err(_) => self.starved = true,
        }
        Ok(!self.starved)
    }
}

/// Every file once, by so many clients together.
pub(super) async fn each_once(running: &Running, paths: &[String], clients: usize) -> Result<Shown> {
    let (next, paths) = (Arc::new(AtomicUsize::new(0)), Arc::new(paths.to_vec()));
    let (mut working, begun) = (JoinSet::new(), Instant::now());
    for _ in 0..clients {
        let (next, paths) = (Arc::clone(&next), Arc::clone(&paths));
        let (host, prefix) = (running.host.clone(), running.prefix.clone());
        working.spawn(async move {
            let mut client = Client::connect(&host, &prefix).await?;
            let mut got = Got::nothing();
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !got.fetch(&mut client, path).await? {
                    break;
                }
            }
            anyhow::Ok(got)
        });
    }
    together(working, begun).await
}

/// The same files again and again until the time is over.
pub(super) async fn again_and_again(
    running: &Running,
    paths: &[String],
    clients: usize,
    seconds: f64,
) -> Result<Shown> {
    let paths = Arc::new(paths.to_vec());
    let (mut working, begun) = (JoinSet::new(), Instant::now());
    let end = begun + Duration::from_secs_f64(seconds);
    for number in 0..clients {
        let paths = Arc::clone(&paths);
        let (host, prefix) = (running.host.clone(), running.prefix.clone());
        working.spawn(async move {
            let mut client = Client::connect(&host, &prefix).await?;
            let mut got = Got::nothing();
            for path in paths.iter().cycle().skip(number) {
                if !got.fetch(&mut client, path).await? || Instant::now() >= end {
                    break;
                }
            }
            anyhow::Ok(got)
        });
    }
    together(working, begun).await
}

async fn together(mut working: JoinSet<Result<Got>>, begun: Instant) -> Result<Shown> {
    let (mut bytes, mut last, mut starved) = (0, begun, 0);
    while let Some(done) = working.join_next().await {
        let got = done.context("a client broke down")??;
        bytes += got.bytes;
        last = last.max(got.last);
        starved += usize::from(got.starved);
    }
    Ok(Shown { rate: rate(bytes, last.duration_since(begun).as_secs_f64()), starved })
}
