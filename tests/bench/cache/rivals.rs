//! The programs that are measured, each with a directory and a port of its own.
//!
//! Those of Debian are unpacked, not installed (`packaging/setup.sh bench`): nothing of the machine is served by them.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness::archive::Archive;

use crate::program::{self, Program, command, tools};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rival {
    Lotse,
    Cacher,
    Proxy,
    Sendfile,
}

/// One that runs.
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) host: String,
    /// What stands before the path of a file.
    pub(super) prefix: String,
}

/// A port below 32768: apt-cacher-ng takes no other.
fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (20_000..32_000).rev().step_by(7).find(is_free).context("no port is free")
}

/// Where `packaging/setup.sh bench` has unpacked Debian's programs.
fn unpacked() -> Result<PathBuf> {
    let place = tools()?.join("rivals");
    if !place.join("usr/sbin/nginx").is_file() {
        bail!("{} is missing: `packaging/setup.sh bench` unpacks it", place.display());
    }
    Ok(place)
}

async fn started(command: Command, log: &Path, port: u16, prefix: &str) -> Result<Running> {
    let mut program = Program::start(command, log)?;
    let host = format!("127.0.0.1:{port}");
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&host).await.is_ok() {
            return Ok(Running { program, host, prefix: prefix.to_owned() });
        }
        if !program.is_running()? {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("it does not listen: {}", fs_err::read_to_string(log)?)
}

async fn nginx(directory: &Path, port: u16, server: &str, prefix: &str) -> Result<Running> {
    fs_err::create_dir_all(directory)?;
    let at = directory.display();
    let config = format!(
        "daemon off; worker_processes 2; pid {at}/pid; error_log {at}/error.log; user root;\nevents {{ worker_connections 2048; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {at}/body;\n\
         proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
         proxy_cache_path {at}/cache keys_zone=packages:10m levels=1:2 max_size=20g use_temp_path=off;\n\
         server {{ listen 127.0.0.1:{port}; {server} }} }}\n"
    );
    fs_err::write(directory.join("nginx.conf"), config)?;
    let mut command = command(&unpacked()?.join("usr/sbin/nginx"));
    command
        .arg("-p")
        .arg(directory)
        .arg("-e")
        .arg(directory.join("error.log"))
        .arg("-c")
        .arg(directory.join("nginx.conf"));
    started(command, &directory.join("log"), port, prefix).await
}

/// What everybody fetches from: nginx that sends the files of a folder.
pub(super) async fn origin(scratch: &Path, root: &Path) -> Result<Running> {
    let server = format!("root {};", root.display());
    nginx(&scratch.join("origin"), free_port()?, &server, "").await
}

impl Rival {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lotse => "lotse",
            Self::Cacher => "apt-cacher-ng",
            Self::Proxy => "nginx proxy_cache",
            Self::Sendfile => "sendfile",
        }
    }

    /// Starts it in a directory of its own.
    pub(super) async fn start(self, scratch: &Path, archive: &Archive, origin: &Running) -> Result<Running> {
        let (directory, port) = (scratch.join(self.name().replace(' ', "-")), free_port()?);
        fs_err::create_dir_all(&directory)?;
        match self {
            Self::Lotse => lotse(&directory, archive, origin).await,
            Self::Cacher => cacher(&directory, port, origin).await,
            Self::Proxy => {
                let server = format!(
                    "location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_cache packages; \
                     proxy_cache_valid 200 1h; proxy_cache_lock on; }}",
                    origin.host
                );
                nginx(&directory, port, &server, "").await
            }
            Self::Sendfile => {
                nginx(&directory, port, &format!("root {};", archive.root().display()), "").await
            }
        }
    }
}

async fn cacher(directory: &Path, port: u16, origin: &Running) -> Result<Running> {
    let (place, at) = (unpacked()?, directory.display());
    let config = format!(
        "CacheDir: {at}/cache\nLogDir: {at}/logs\nSocketPath: {at}/socket\nPidFile: {at}/pid\nPort: {port}\nBindAddress: 127.0.0.1\n\
         SupportDir: {}\nForeGround: 1\nVerboseLog: 0\nExThreshold: 0\nRemap-bench: /bench ; http://{}/\nMaxStandbyConThreads: 300\n",
        place.join("usr/lib/apt-cacher-ng").display(),
        origin.host
    );
    let etc = directory.join("etc");
    for folder in [etc.clone(), directory.join("cache"), directory.join("logs")] {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(etc.join("acng.conf"), config)?;
    let mut command = command(&place.join("usr/sbin/apt-cacher-ng"));
    command.arg("-c").arg(&etc).env("LD_LIBRARY_PATH", place.join("usr/lib/x86_64-linux-gnu"));
    started(command, &directory.join("log"), port, "/bench").await
}

async fn lotse(directory: &Path, archive: &Archive, origin: &Running) -> Result<Running> {
    let words = [
        format!("--mirrors=debian=http://{}", origin.host),
        format!("--cache-keyrings=debian={}", archive.keyring().display()),
    ];
    let (program, addresses) = program::lotse(directory, &words).await?;
    let host = addresses.boot.trim_start_matches("http://").to_owned();
    Ok(Running { program, host, prefix: "/mirror/debian".to_owned() })
}
