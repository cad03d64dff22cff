//! A real PostgreSQL of the test's own: one for the process, a database for each server.
//!
//! Invariant: it ends with the process that started it, however that ends: a shell waits on a pipe whose other end only this process
//! holds, then stops the server and removes its directory. It runs as an unprivileged user, because it refuses to run as root.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use server::db::Location;
use tokio::sync::OnceCell;

/// Set up, start, say so, and stop when standard input ends. `$1`: programs, `$2`: directory.
const SCRIPT: &str = r#"set -eu
"$1/initdb" -D "$2/db" -U lotse --auth=trust --encoding=UTF8 --no-sync > "$2/initdb.log" 2>&1
"$1/postgres" -D "$2/db" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=400 > "$2/log" 2>&1 < /dev/null &
tries=0
until "$1/pg_isready" -q -h "$2" -U lotse; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { cat "$2/log" >&2; exit 1; }
  sleep 0.1
done
echo ready
cat > /dev/null
kill -INT $!
wait $! || true
rm -rf "$2"
"#;

struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    /// Its standard input is what keeps the server running.
    _keeper: Child,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A new, empty database.
///
/// # Errors
/// PostgreSQL is not installed (`packaging/setup.sh` does that) or does not start.
pub async fn database() -> Result<Location> {
    let cluster = CLUSTER.get_or_try_init(|| async { tokio::task::spawn_blocking(start).await? }).await?;
    let name = format!("lotse{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let statement = format!("CREATE DATABASE {name}");
    let directory = cluster.directory.display().to_string();
    let psql = cluster.programs.join("psql");
    let made = tokio::task::spawn_blocking(move || {
        run(command(&psql).args(["-q", "-h", &directory, "-U", "lotse", "-d", "postgres", "-c", &statement]))
    });
    made.await??;
    let host = cluster.directory.display().to_string().replace('/', "%2F");
    Ok(Location::Postgres(format!("postgres://lotse@{host}/{name}")))
}

/// Debian keeps the programs by version; other systems have them on the path.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin"))).collect())
        .unwrap_or_default();
    found.sort();
    found.splice(0..0, ["/usr/bin".into(), "/usr/local/bin".into()]);
    let complete = |path: &&PathBuf| {
        ["initdb", "postgres", "pg_isready", "psql"].iter().all(|program| path.join(program).is_file())
    };
    found.iter().rev().find(complete).cloned().context("finding PostgreSQL: `make setup` installs it")
}

fn start() -> Result<Cluster> {
    let programs = programs()?;
    let directory = tempfile::Builder::new().prefix("lotse-pg-").tempdir_in("/tmp")?.keep();
    let mut keeper = command(Path::new("sh"));
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody")?.context("finding the user nobody")?;
        nix::unistd::chown(&directory, Some(nobody.uid), Some(nobody.gid))?;
        keeper = command(Path::new("setpriv"));
        keeper.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh"]);
    }
    let mut keeper = keeper
        .args(["-c", SCRIPT, "keeper"])
        .args([&programs, &directory])
        .current_dir(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting PostgreSQL")?;
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().context("reading what PostgreSQL's keeper says")?)
        .read_line(&mut line)?;
    ensure!(line == "ready\n", "PostgreSQL does not start; see {}", directory.display());
    Ok(Cluster { directory, programs, _keeper: keeper })
}

#[expect(clippy::disallowed_methods, reason = "this module's door to processes")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().context("starting psql")?;
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr)?;
    }
    ensure!(output.status.success(), "psql: {}", output.status);
    Ok(())
}
