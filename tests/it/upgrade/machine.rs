//! A small machine: real processes with a process tree, a `/usr`, a dpkg and a boot of their own, but no systemd.
//!
//! Invariant: nothing of this machine is changed, and every process ends with the value. Cutting the power is killing the first process
//! of the tree, with which the kernel kills all others at once.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use agent::{config::Addresses, upgrade::State};
use tempfile::TempDir;

/// The agent of this repository as a program.
const AGENT: &str = env!("CARGO_BIN_EXE_agent-under-test");

/// `$1`: the machine's directory.
const MAKE: &str = r#"set -eu
root=$1/root
mkdir -p "$1/upper" "$1/work" "$root/usr" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/etc" \
    "$root/var/log" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers"
: > "$root/var/lib/dpkg/status"
for name in bin sbin lib lib64; do cp -P "/$name" "$root/"; done
cp -L /etc/os-release /etc/passwd /etc/group /etc/hosts "$root/etc/"
cp -a /etc/alternatives "$root/etc/"
"#;

/// `$1`: the machine's directory, `$2`: what it does. The shell becomes the first process.
const BOOT: &str = r#"set -eu
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$1/upper,workdir=$1/work" "$1/root/usr"
mount -t proc proc "$1/root/proc"
mount --bind "$1/boot_id" "$1/root/proc/sys/kernel/random/boot_id"
mount --rbind /sys "$1/root/sys"
mount --rbind /dev "$1/root/dev"
exec chroot "$1/root" /bin/sh -c "$2"
"#;

/// Starts the agent once, and a supervisor that has not come to its end, as systemd would; then collects what ends. As systemd, it knows
/// which process the agent is before the supervisor asks.
const INIT: &str = r#"
upgrade=/var/lib/lotse-agent/upgrade
supervisor=$upgrade/supervisor
begun=$(cut -d ' ' -f 22 /proc/self/stat)
[ ! -d $upgrade ] || note="cat /proc/\$\$/stat > $upgrade/agent.pid.part; mv $upgrade/agent.pid.part $upgrade/agent.pid;"
setsid -f /bin/sh -c "$note exec /usr/bin/lotse-agent run" < /dev/null >> /var/log/agent 2>&1
while [ -d $upgrade ] && [ "$(cut -d ' ' -f 22 $upgrade/agent.pid)" -lt "$begun" ]; do sleep 0.05; done
[ ! -x $supervisor ] || setsid -f $supervisor supervise < /dev/null >> /var/log/agent 2>&1
while :; do sleep 0.1; done
"#;

/// A machine.
pub(super) struct Machine {
    directory: TempDir,
    running: Option<Child>,
    boots: u32,
}

#[expect(clippy::disallowed_methods, reason = "this module's door to processes")]
fn command(program: &str) -> Command {
    Command::new(program)
}

fn must(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A package of an agent: its program is this text.
pub(super) fn package(version: &str, program: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    fs_err::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs_err::create_dir_all(tree.join("usr/bin")).unwrap();
    let control = format!(
        "Package: lotse-agent\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: an agent\n for a test\n"
    );
    fs_err::write(tree.join("DEBIAN/control"), control).unwrap();
    let script = "#!/bin/sh\nexit 0\n";
    for (path, text) in [("DEBIAN/postinst", script), ("usr/bin/lotse-agent", program)] {
        fs_err::write(tree.join(path), text).unwrap();
        must(command("chmod").arg("755").arg(tree.join(path)));
    }
    must(command("chmod").arg("755").args([
        &tree,
        &tree.join("DEBIAN"),
        &tree.join("usr"),
        &tree.join("usr/bin"),
    ]));
    let file = directory.path().join("agent.deb");
    must(command("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).args([&tree, &file]));
    fs_err::read(file).unwrap()
}

/// A program that is the agent of this repository; a word makes its text another one.
pub(super) fn real(mark: &str) -> String {
    format!("#!/bin/sh\n# {mark}\nexec /lotse-agent \"$@\"\n")
}

impl Machine {
    /// A machine with the first version of an agent, which is known to a server.
    pub(super) fn new(addresses: &Addresses, token: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        must(command("sh").args(["-c", MAKE, "make"]).arg(directory.path()));
        let mut machine = Self { directory, running: None, boots: 0 };
        // Without what debuggers want, it is quick to copy.
        must(command("strip").arg("-o").arg(machine.path("/lotse-agent")).arg(AGENT));
        fs_err::write(machine.path("/first.deb"), package("0.0.1", &real("first"))).unwrap();
        let text = format!(
            "dpkg --install /first.deb && LOTSE_TOKEN={token} /lotse-agent enrol --server {} --boot {} --ca {}",
            addresses.server, addresses.boot, addresses.ca
        );
        let mut first = machine.start(&text);
        assert!(first.wait().unwrap().success(), "{}", machine.log());
        machine.switch_on();
        machine
    }

    /// A path of the machine, for those who stand outside. Not for `/usr`.
    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(&path[1..])
    }

    fn start(&mut self, text: &str) -> Child {
        self.boots += 1;
        let boot_id = format!("00000000-0000-4000-8000-{:012}\n", self.boots);
        fs_err::write(self.directory.path().join("boot_id"), boot_id).unwrap();
        let log =
            fs_err::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log"));
        let log = log.unwrap().into_file();
        command("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "slave"])
            .args(["sh", "-c", BOOT, "boot"])
            .arg(self.directory.path())
            .arg(text)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap()
    }

    /// Starts everything.
    pub(super) fn switch_on(&mut self) {
        let child = self.start(INIT);
        self.running = Some(child);
    }

    /// Every process is gone from one moment to the next.
    pub(super) fn cut_power(&mut self) {
        let first = self.first();
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // What it had mounted must be free for the next start.
        while Path::new("/proc").join(&first).exists() {
            std::thread::yield_now();
        }
    }

    /// Number of the first process, as it is outside.
    fn first(&self) -> String {
        let child = self.running.as_ref().unwrap().id();
        let children = fs_err::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap();
        children.split_whitespace().next().unwrap().to_owned()
    }

    /// Runs a command in the machine, as somebody who logs in would.
    pub(super) fn run(&self, text: &str) {
        let first = self.first();
        must(
            command("nsenter")
                .args(["--mount", "--pid", "--root", "--target", &first, "/bin/sh", "-c", text]),
        );
    }

    /// What the agent on trial has said so far.
    pub(super) fn said_on_trial(&self) -> String {
        fs_err::read_to_string(self.path("/var/lib/lotse-agent/upgrade/output")).unwrap_or_default()
    }

    /// How far the upgrade is.
    pub(super) fn state(&self) -> Option<State> {
        let text = fs_err::read(self.path("/var/lib/lotse-agent/upgrade/state.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The version of the package that dpkg has on record, and whether it is whole.
    pub(super) fn package(&self) -> String {
        let output = command("dpkg-query")
            .arg("--admindir")
            .arg(self.path("/var/lib/dpkg"))
            .args(["--show", "--showformat", "${db:Status-Abbrev}${Version}", "lotse-agent"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The text of the installed program.
    pub(super) fn program(&self) -> String {
        fs_err::read_to_string(self.directory.path().join("upper/bin/lotse-agent")).unwrap_or_default()
    }

    /// What lies on disk for upgrades.
    pub(super) fn left(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.path("/var/lib/lotse-agent/upgrade"));
        let names =
            entries.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// What agents and supervisors have said.
    pub(super) fn log(&self) -> String {
        let read = |path: &Path| fs_err::read_to_string(path).unwrap_or_default();
        let files = [
            self.directory.path().join("log"),
            self.path("/var/log/agent"),
            self.path("/var/lib/lotse-agent/upgrade/output"),
        ];
        files.iter().map(|path| read(path)).collect::<Vec<_>>().join("\n--\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}
