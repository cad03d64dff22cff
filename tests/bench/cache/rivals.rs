//! The programs that are measured, each with a directory and a port of its own.
//!
//! Invariant: each ends when its value is dropped. Those of Debian are unpacked, not installed (`packaging/setup.sh bench`): nothing of
//! the machine is served by them.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness::{archive::Archive, server::repository};
use server::context::Addresses;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rival {
    Lotse,
    Cacher,
    Proxy,
    Sendfile,
}

/// A program that runs.
pub(super) struct Program {
    child: Child,
    pub(super) host: String,
    /// What stands before the path of a file.
    pub(super) prefix: String,
}

impl Drop for Program {
    #[expect(clippy::let_underscore_must_use, reason = "it may have ended by itself")]
    fn drop(&mut self) {
        // nginx ends its workers when it is asked to, and not when it is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Program {
    /// The processes of it.
    fn processes(&self) -> Result<Vec<u32>> {
        let own = self.child.id();
        let children = fs_err::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let children = children.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        Ok(children.into_iter().chain([own]).collect())
    }

    /// The most of memory that it used since [`Program::forget_peak`], in MiB.
    pub(super) fn peak_mib(&self) -> Result<f64> {
        let mut sum = 0.0;
        for pid in self.processes()? {
            let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib: f64 = peak.and_then(|peak| peak.split_whitespace().next()).unwrap_or("0").parse()?;
            sum += kib / 1024.0;
        }
        Ok(sum)
    }

    /// The peak is counted anew (proc(5), `clear_refs`).
    pub(super) fn forget_peak(&self) -> Result<()> {
        for pid in self.processes()? {
            fs_err::write(format!("/proc/{pid}/clear_refs"), "5")?;
        }
        Ok(())
    }
}

/// A port below 32768: apt-cacher-ng takes no other.
fn free_port() -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (20_000..32_000).rev().step_by(7).find(is_free).context("no port is free")
}

/// Where `packaging/setup.sh bench` has unpacked Debian's programs.
fn unpacked() -> Result<PathBuf> {
    // The same as in the set-up script.
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let tools = variable("LOTSE_TOOLS").or_else(|| {
        let data =
            variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("lotse-tools"))
    });
    let place = tools.context("there is no home directory")?.join("rivals");
    if !place.join("usr/sbin/nginx").is_file() {
        bail!("{} is missing: `packaging/setup.sh bench` unpacks it", place.display());
    }
    Ok(place)
}

#[expect(clippy::disallowed_methods, reason = "this module's door to processes")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

async fn started(mut command: Command, log: &Path, port: u16, prefix: &str) -> Result<Program> {
    let output = fs_err::File::create(log)?.into_file();
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let host = format!("127.0.0.1:{port}");
    let mut program = Program { child, host, prefix: prefix.to_owned() };
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&program.host).await.is_ok() {
            return Ok(program);
        }
        if program.child.try_wait()?.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("it does not listen: {}", fs_err::read_to_string(log)?)
}

async fn nginx(directory: &Path, port: u16, server: &str, prefix: &str) -> Result<Program> {
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
pub(super) async fn origin(scratch: &Path, root: &Path) -> Result<Program> {
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
    pub(super) async fn start(self, scratch: &Path, archive: &Archive, origin: &Program) -> Result<Program> {
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

async fn cacher(directory: &Path, port: u16, origin: &Program) -> Result<Program> {
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

async fn lotse(directory: &Path, archive: &Archive, origin: &Program) -> Result<Program> {
    let program = std::env::current_exe()?.with_file_name("lotse");
    let data = directory.join("data");
    let mut command = command(&program);
    command.arg("serve").arg("--data").arg(&data).arg("--share").arg(repository());
    for name in ["--listen-https", "--listen-agents", "--listen-boot"] {
        command.args([name, "127.0.0.1:0"]);
    }
    command.args(["--host", "127.0.0.1", "--mirrors", &format!("debian=http://{}", origin.host)]);
    command.args(["--cache-keyrings", &format!("debian={}", archive.keyring().display())]);
    command.env("RUST_LOG", "warn");
    let addresses = data.join("run/addresses.json");
    let output = fs_err::File::create(directory.join("log"))?.into_file();
    let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    let mut program = Program { child, host: String::new(), prefix: "/mirror/debian".to_owned() };
    for _ in 0..400 {
        if let Ok(text) = fs_err::read(&addresses) {
            let addresses: Addresses = serde_json::from_slice(&text)?;
            program.host = addresses.boot.trim_start_matches("http://").to_owned();
            return Ok(program);
        }
        if program.child.try_wait()?.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("it does not listen: {}", fs_err::read_to_string(directory.join("log"))?)
}
