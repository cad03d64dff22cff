//! What package managers say, as it was captured, and what the agent makes of it.

use std::collections::BTreeSet;

use wire::packages::{PackageFamily, PackageUpdate};

use super::{apt, condition, dpkg, family, kernel_why, read, rpm, services, stamp};
use crate::host::{
    Host,
    fake::{Answer, FakeHost},
};
use tokio_util::sync::CancellationToken;

/// Of a chroot of Debian 12 in which vim-tiny was held, before its first security updates.
fn chroot() -> FakeHost {
    let unpacked = |bytes: &[u8]| zstd::decode_all(bytes).unwrap();
    let release = |label: &str, version: &str, suite: &str| {
        format!("Origin: Debian\nLabel: {label}\nSuite: {suite}\nVersion: {version}\nCodename: bookworm\n")
    };
    let host = FakeHost::new(0)
        .with_file("/var/lib/dpkg/status", unpacked(include_bytes!("testdata/status.zst")))
        .with_file("/var/lib/apt/extended_states", include_bytes!("testdata/extended_states").as_slice())
        .with_file("/var/lib/apt/lists/a_dists_bookworm_InRelease", release("Debian", VERSION, "oldstable"))
        .with_file(
            "/var/lib/apt/lists/b_dists_bookworm-security_InRelease",
            release("Debian-Security", "12", "oldstable-security"),
        );
    host.answer("apt-get --simulate", Answer::prints(include_str!("testdata/simulate.txt")));
    host
}

const VERSION: &str = "12.14";

async fn inventory(host: &FakeHost) -> super::Inventory {
    read(host, family(host).unwrap(), &CancellationToken::new()).await.unwrap()
}

fn signed(sources: &[&str]) -> BTreeSet<String> {
    sources.iter().map(|source| (*source).to_owned()).collect()
}

#[test]
fn only_what_comes_from_a_signed_source_is_an_update_and_security_is_what_the_source_says() {
    let signed =
        signed(&["Debian:12.8/stable", "Debian-Security:12/stable-security", "Ubuntu:24.04/noble-security"]);
    let found =
        |line: &str| apt::update(line, &signed).map(|update| (update.name, update.installed, update.to));
    let update = |name: &str, installed: &str, version: &str, security: bool| {
        Some((name.to_owned(), installed.to_owned(), PackageUpdate { version: version.to_owned(), security }))
    };
    for (line, expected) in [
        (
            "Inst openssl [3.0.14-1] (3.0.15-1 Debian:12.8/stable, Debian-Security:12/stable-security [amd64])",
            update("openssl", "3.0.14-1", "3.0.15-1", true),
        ),
        (
            "Inst vim [2:9.0-1] (2:9.1-1 Debian:12.8/stable [amd64]) []",
            update("vim", "2:9.0-1", "2:9.1-1", false),
        ),
        (
            "Inst libc6:i386 [2.36-8] (2.36-9 Debian:12.8/stable [i386]) [libc6:amd64 ]",
            update("libc6:i386", "2.36-8", "2.36-9", false),
        ),
        ("Inst sudo [1-1] (1-2 Ubuntu:24.04/noble-security [amd64])", update("sudo", "1-1", "1-2", true)),
        // A package that is new, sources that nobody signed, and other lines.
        ("Inst linux-image-6.1.0-28-amd64 (6.1.119-1 Debian:12.8/stable [amd64])", None),
        ("Inst evil [1] (2 Debian:66/stable-security [amd64])", None),
        ("Inst local [1] (2 localhost [amd64])", None),
        ("Inst bare [1] (2 [amd64])", None),
        ("Conf openssl (3.0.15-1 Debian:12.8/stable [amd64])", None),
        ("Remv vim [2:9.0-1]", None),
        ("", None),
    ] {
        assert_eq!(found(line), expected, "{line}");
    }
}

#[test]
fn rpms_lines_are_packages_and_locks_are_names() {
    let text = include_str!("testdata/rpm-qa.txt");
    let found: Vec<_> = text.lines().filter_map(rpm::installed).collect();
    assert_eq!(found.len(), text.lines().count() - 1, "keys are no packages");
    let openssl = found.iter().find(|package| package.key.name == "openssl-libs").unwrap();
    assert_eq!(openssl.key.version, "1:3.2.1-2.fc40");
    assert!(openssl.size_bytes > 0);
    assert_eq!(
        rpm::versionlock("# comment\nvim-enhanced-2:9.1.158-1.fc40.*\nkernel\n!bash-0:5-1.*\n"),
        ["kernel", "vim-enhanced"].map(str::to_owned).into()
    );
}

#[tokio::test]
async fn what_dnf_offers_is_an_update() {
    let host = FakeHost::new(0)
        .with_file("/usr/lib/sysimage/rpm/rpmdb.sqlite", "x")
        .with_file("/etc/dnf/plugins/versionlock.list", "vim-minimal-2:9.1.181-1.fc40.*\n");
    assert_eq!(family(&host), Some(PackageFamily::Rpm));
    host.answer("rpm -qa", Answer::prints(include_str!("testdata/rpm-qa.txt")));
    host.answer("dnf -C -q repoquery", Answer::prints("bash.x86_64\n\nvim-minimal.x86_64\n"));
    let updates = include_str!("testdata/dnf-check-update.txt");
    host.answer("dnf -C -q check-update", Answer::prints(updates).with_status(100));
    let secure = "\nopenssl-libs.x86_64   1:3.2.2-3.fc40   updates\n";
    host.answer("dnf -C -q check-update --security", Answer::prints(secure).with_status(100));
    let inventory = inventory(&host).await;
    assert_eq!(inventory.updates_unknown, "");
    let package =
        |name: &str| inventory.packages.iter().find(|package| package.key.name == name).unwrap().clone();
    let security = PackageUpdate { version: "1:3.2.2-3.fc40".to_owned(), security: true };
    assert_eq!(package("openssl-libs").update, Some(security));
    assert_eq!(
        package("glibc").update.map(|update| (update.version, update.security)),
        Some(("2.39-15.fc40".to_owned(), false))
    );
    assert!(package("openssl-libs").automatic && !package("bash").automatic);
    assert!(package("vim-minimal").held && !package("bash").held);
    host.answer("dnf -C -q check-update", Answer::fails(1, "Error: Cache-only enabled but no cache"));
    let inventory = read(&host, PackageFamily::Rpm, &CancellationToken::new()).await.unwrap();
    assert!(inventory.updates_unknown.contains("no cache"), "{}", inventory.updates_unknown);
    assert!(inventory.packages.iter().all(|package| package.update.is_none()));
}

#[test]
fn a_newer_kernel_of_the_same_kind_wants_a_restart() {
    let running = |release: &str, boot: &[&str]| {
        let mut host = FakeHost::new(0).with_file("/proc/sys/kernel/osrelease", format!("{release}\n"));
        for kernel in boot {
            host = host.with_file(&format!("/boot/vmlinuz-{kernel}"), "x");
        }
        kernel_why(&host)
    };
    assert_eq!(
        running("6.1.0-9-amd64", &["6.1.0-9-amd64", "6.1.0-28-amd64"]),
        "kernel 6.1.0-28-amd64 is installed, 6.1.0-9-amd64 runs"
    );
    assert_eq!(running("6.1.0-28-amd64", &["6.1.0-9-amd64", "6.1.0-28-amd64"]), "");
    assert_eq!(running("6.1.0-9-amd64", &["6.1.0-9-amd64", "6.1.0-28-cloud-amd64"]), "");
    // In a container runs a kernel of somebody else.
    assert_eq!(running("6.8.12-4-pve", &["6.1.0-28-amd64"]), "");
    assert_eq!(running("6.1.0-9-amd64", &[]), "");
}

#[test]
fn services_are_those_whose_code_was_replaced() {
    assert!(condition::runs_replaced("55-56 r-xp 0 08:01 7    /usr/sbin/sshd (deleted)\n"));
    for fine in [
        "55-56 r-xp 0 08:01 7    /usr/sbin/sshd\n",
        "55-56 rw-s 0 00:01 7    /dev/zero (deleted)\n",
        "55-56 rw-p 0 08:01 7    /usr/share/data (deleted)\n",
        "55-56 r-xp 0 00:01 7    /memfd:code (deleted)\n",
        "",
    ] {
        assert!(!condition::runs_replaced(fine), "{fine}");
    }
    let service = |group: &str| condition::service(group);
    assert_eq!(service("0::/system.slice/ssh.service\n").as_deref(), Some("ssh.service"));
    assert_eq!(
        service("0::/system.slice/system-getty.slice/getty@tty1.service/x\n").as_deref(),
        Some("getty@tty1.service")
    );
    assert_eq!(service("0::/user.slice/user-0.slice/user@0.service/app.slice\n"), None);
    assert_eq!(service("0::/\n"), None);
    assert_eq!(services(&FakeHost::new(0)), Vec::<String>::new());
}

#[tokio::test]
async fn a_real_chroot_is_read_as_dpkg_and_apt_show_it() {
    let host = chroot();
    let inventory = inventory(&host).await;
    assert_eq!(inventory.updates_unknown, "");
    let lines: Vec<_> = include_str!("testdata/dpkg-query.txt").lines().collect();
    let shown: Vec<_> = inventory
        .packages
        .iter()
        .map(|package| {
            let key = &package.key;
            let held = if package.held { "hold" } else { "install" };
            format!("{} {} {} {} {held}", key.name, key.architecture, key.version, package.size_bytes >> 10)
        })
        .collect();
    assert_eq!(shown, lines);
    let automatic: Vec<_> = inventory
        .packages
        .iter()
        .filter(|package| package.automatic)
        .map(|package| package.key.name.as_str())
        .collect();
    assert_eq!(automatic, include_str!("testdata/showauto.txt").lines().collect::<Vec<_>>());
    let updates = inventory.packages.iter().filter(|package| package.update.is_some()).count();
    let offered = include_str!("testdata/simulate.txt")
        .lines()
        .filter(|line| line.starts_with("Inst ") && line.contains("] ("))
        .count();
    assert_eq!(updates, offered);
    let secure = inventory
        .packages
        .iter()
        .filter_map(|package| package.update.as_ref())
        .filter(|update| update.security);
    assert!(secure.count() > 0);
}

#[tokio::test]
async fn without_lists_that_are_signed_there_are_no_updates() {
    let host = chroot();
    for name in host.list(std::path::Path::new("/var/lib/apt/lists")).unwrap() {
        let path = format!("/var/lib/apt/lists/{name}");
        let content = host.read(path.as_ref()).unwrap();
        host.remove(path.as_ref()).unwrap();
        host.write(path.replace("_InRelease", "_Release").as_ref(), &content, 0o644).unwrap();
    }
    assert!(inventory(&host).await.packages.iter().all(|package| package.update.is_none()));
}

#[tokio::test]
async fn apt_that_fails_leaves_updates_unknown_and_says_why() {
    let host = chroot();
    host.answer("apt-get --simulate", Answer::fails(100, "E: Unmet dependencies."));
    let inventory = inventory(&host).await;
    assert!(inventory.updates_unknown.contains("Unmet dependencies"), "{}", inventory.updates_unknown);
    assert!(inventory.packages.len() > 100);
}

#[test]
fn a_file_that_is_replaced_has_another_stamp_and_one_that_stays_the_same() {
    let real = crate::host::real::RealHost;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status");
    assert_eq!(real.stamp(&path), 0);
    real.write(&path, b"one", 0o644).unwrap();
    let first = real.stamp(&path);
    assert_eq!(real.stamp(&path), first);
    real.write(&path, b"two", 0o644).unwrap();
    assert_ne!(real.stamp(&path), first);
    let host = chroot();
    let before = stamp(&host, PackageFamily::Dpkg);
    host.write(dpkg::STATUS.as_ref(), b"", 0o644).unwrap();
    assert_ne!(stamp(&host, PackageFamily::Dpkg), before);
}
