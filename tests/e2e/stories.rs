//! The stories.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::FutureExt;
use harness::{
    lab::{Boot, Bus, Disk, Firmware, Machine, Running, medium},
    site::{CONSOLE, Dhcp, Programs, Site},
    story::{CHAIN, Newcomer, minutes},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    Story,
    agent_upgrade::an_agent_is_upgraded_and_a_broken_one_goes_back,
    browser_installation::browser_installation,
    desktop::{desktop_mate_on_cloudstack, desktop_on_cloudstack},
    integration::integration_of_installed_systems,
    rollout::rollout_of_a_broken_package_halts_by_itself,
    server_package::server_package_as_the_operators_book_says,
    ssh::{key_pair, ssh},
};

pub(crate) const MAC: &str = "52:54:00:e2:e0:01";
pub(crate) const NAME: &str = "pc-01";

macro_rules! story {
    ($name:ident) => {
        (stringify!($name), (|programs, directory| $name(programs, directory).boxed()) as Story)
    };
}

/// Every story, in the order in which they run.
pub(crate) const ALL: &[(&str, Story)] = &[
    story!(bios_pxe_debian12),
    story!(uefi_pxe_debian13),
    story!(bios_pxe_debian13),
    story!(uefi_pxe_debian12),
    story!(bios_iso_debian12),
    story!(uefi_iso_debian13),
    story!(bios_iso_debian13),
    story!(uefi_iso_debian12),
    story!(iso_without_a_server_and_user_data_on_a_medium),
    story!(desktop_on_cloudstack),
    story!(desktop_mate_on_cloudstack),
    story!(secure_boot_from_pxe_to_the_installed_system),
    story!(proxy_dhcp_beside_a_foreign_server),
    story!(power_cuts_during_partitioning_unpacking_and_apt),
    story!(server_killed_in_every_job_and_the_network_cut_for_a_minute),
    story!(reinstallation_over_an_old_system),
    story!(everything_configured_with_two_cards_on_a_4k_disk),
    story!(rescue_with_ssh_until_released),
    story!(debootstrap_debian12),
    story!(server_package_as_the_operators_book_says),
    story!(browser_installation),
    story!(rollout_of_a_broken_package_halts_by_itself),
    story!(integration_of_installed_systems),
    story!(an_agent_is_upgraded_and_a_broken_one_goes_back),
];

/// A site with the images for a distribution.
pub(crate) async fn site(
    programs: Programs,
    directory: &Path,
    dhcp: Dhcp,
    distribution: &str,
) -> Result<Site> {
    let site = Site::start(programs, directory, dhcp).await?;
    let base = format!("{distribution}/virtual");
    site.build_images(&["installer", "loaders", "agent", &base]).await?;
    Ok(site)
}

pub(crate) fn machine(site: &Site, firmware: Firmware) -> Result<Machine> {
    let directory = site.directory.join("machine");
    Machine::new(&directory, firmware)?
        .disk(Disk::create(&directory.join("disk.img"), "E2E-0001", 8)?)
        .card(&site.network, MAC)
        .map(|machine| machine.limit(Duration::from_secs(45 * 60)))
}

/// Discovery, adoption, installation, first report, a package: on a machine that is switched on.
pub(crate) async fn install(site: &Site, distribution: &str) -> Result<Newcomer> {
    let newcomer = Newcomer::new(MAC, NAME, distribution);
    let fingerprint = newcomer.is_discovered(site).await?;
    newcomer.adopt(site, &fingerprint).await?;
    newcomer.becomes_installed(site).await?;
    Ok(newcomer)
}

async fn by_pxe(
    programs: Programs,
    directory: PathBuf,
    firmware: Firmware,
    dhcp: Dhcp,
    distribution: &str,
) -> Result<()> {
    let site = site(programs, &directory, dhcp, distribution).await?;
    let machine = machine(&site, firmware)?;
    let _running = machine.power_on(&site.network)?;
    let newcomer = install(&site, distribution).await?;
    newcomer.takes_a_package(&site).await?;
    let facts = newcomer.facts(&site).await?;
    let wanted = if firmware == Firmware::Bios { "bios" } else { "uefi" };
    ensure!(facts["firmware"] == wanted, "the system was started by {}", facts["firmware"]);
    ensure!(facts["os"]["id"] == "debian", "the installed system is {}", facts["os"]);
    ensure!(
        facts["secure_boot"] == (firmware == Firmware::UefiSecureBoot),
        "Secure Boot is {} in the installed system",
        facts["secure_boot"]
    );
    Ok(())
}

async fn by_iso(
    programs: Programs,
    directory: PathBuf,
    firmware: Firmware,
    distribution: &str,
) -> Result<()> {
    let site = site(programs, &directory, Dhcp::ForeignOnly, distribution).await?;
    let iso = directory.join("lotse.iso");
    let (share, file) = (Site::share().display().to_string(), iso.display().to_string());
    site.lotse(&[
        "image",
        "iso",
        &file,
        "--share",
        &share,
        "--command-line",
        &format!("console=tty0 console={CONSOLE}"),
    ])
    .await?;
    // The disk is empty at first, so the machine falls through to the CD; afterwards it boots its disk without anybody's help.
    let machine = machine(&site, firmware)?.cdrom(&iso).boot_order(&[Boot::Disk, Boot::Cdrom]);
    let _running = machine.power_on(&site.network)?;
    install(&site, distribution).await.map(drop)
}

/// As in a cloud: nothing is told at boot. The ISO that knows no server finds user-data, and the token in it lets the machine in.
async fn iso_without_a_server_and_user_data_on_a_medium(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    let site = site(programs, &directory, Dhcp::ForeignOnly, "debian-12").await?;
    site.build_images(&["iso"]).await?;
    let kept = site.json(&["image", "boot-iso"]).await?;
    let url = kept["url"].as_str().context("the server has no boot ISO")?;
    let iso = directory.join("lotse.iso");
    fs_err::write(&iso, reqwest::get(url).await?.error_for_status()?.bytes().await?)?;
    let words = ["--distribution", "debian-12", "--user", "ann", "--serial-console", CONSOLE];
    site.lotse(&[&["client", "add", NAME], words.as_slice()].concat()).await?;
    let made = site.json(&["client", "user-data", NAME]).await?;
    let seed = directory.join("seed.iso");
    medium::nocloud(&seed, made["text"].as_str().unwrap_or_default(), "iso9660")?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-12");
    newcomer.install(&site).await?;
    let machine =
        machine(&site, Firmware::Bios)?.cdrom(&iso).medium(&seed).boot_order(&[Boot::Disk, Boot::Cdrom]);
    let _running = machine.power_on(&site.network)?;
    newcomer.becomes_installed(&site).await?;
    let timeline = site.json(&["client", "timeline", NAME]).await?.to_string();
    ensure!(
        timeline.contains("NoCloud medium: "),
        "the timeline does not say where the server was found: {timeline}"
    );
    Ok(())
}

async fn bios_pxe_debian12(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::Bios, Dhcp::Own, "debian-12").await
}

async fn bios_pxe_debian13(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::Bios, Dhcp::Own, "debian-13").await
}

async fn uefi_pxe_debian12(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::Uefi, Dhcp::Own, "debian-12").await
}

async fn uefi_pxe_debian13(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::Uefi, Dhcp::Own, "debian-13").await
}

async fn bios_iso_debian12(programs: Programs, directory: PathBuf) -> Result<()> {
    by_iso(programs, directory, Firmware::Bios, "debian-12").await
}

async fn bios_iso_debian13(programs: Programs, directory: PathBuf) -> Result<()> {
    by_iso(programs, directory, Firmware::Bios, "debian-13").await
}

async fn uefi_iso_debian12(programs: Programs, directory: PathBuf) -> Result<()> {
    by_iso(programs, directory, Firmware::Uefi, "debian-12").await
}

async fn uefi_iso_debian13(programs: Programs, directory: PathBuf) -> Result<()> {
    by_iso(programs, directory, Firmware::Uefi, "debian-13").await
}

async fn secure_boot_from_pxe_to_the_installed_system(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::UefiSecureBoot, Dhcp::SecureBoot, "debian-12").await
}

async fn proxy_dhcp_beside_a_foreign_server(programs: Programs, directory: PathBuf) -> Result<()> {
    by_pxe(programs, directory, Firmware::Uefi, Dhcp::Proxy, "debian-12").await
}

/// Waits until the client works on a step of this name, at least so far.
async fn works_on(site: &Site, step: &str, percent: i64) -> Result<()> {
    let works = |client: &serde_json::Value| {
        client["activity"]["step"] == step && client["activity"]["percent"].as_i64() >= Some(percent)
    };
    site.wait_for_client(NAME, &format!("works on {step}"), minutes(5), works).await.map(drop)
}

/// Waits until the job has written this.
pub(crate) async fn has_written(site: &Site, job: i64, text: &str) -> Result<()> {
    let deadline = Instant::now() + minutes(5);
    let mut output = String::new();
    while !output.contains(text) {
        ensure!(Instant::now() < deadline, "job {job} has not written {text:?}, but: {output}");
        sleep(Duration::from_millis(500)).await;
        output = site.lotse(&["job", "output", &job.to_string()]).await?;
    }
    Ok(())
}

/// How the attempts at the newest job of a type ended.
async fn attempts(site: &Site, newcomer: &Newcomer, job_type: &str) -> Result<Vec<String>> {
    let job = newcomer.newest_job(site, job_type).await?;
    let shown = site.json(&["job", "show", &job.to_string()]).await?;
    let attempts = shown["attempts_made"].as_array().into_iter().flatten();
    Ok(attempts.map(|attempt| attempt["state"].as_str().unwrap_or_default().to_owned()).collect())
}

async fn power_cuts_during_partitioning_unpacking_and_apt(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let machine = machine(&site, Firmware::Bios)?;
    let running: Running = machine.power_on(&site.network)?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-12");
    let fingerprint = newcomer.is_discovered(&site).await?;
    newcomer.adopt(&site, &fingerprint).await?;
    works_on(&site, "storage", 0).await?;
    running.power_off();
    // It comes back, is enrolled anew by the token of its boot script, and begins the job anew: one may be tried three times.
    let running = machine.power_on(&site.network)?;
    works_on(&site, "unpack", 5).await?;
    running.power_off();
    let running = machine.power_on(&site.network)?;
    newcomer.becomes_installed(&site).await?;
    site.lotse(&["package", "install", NAME, "mc", "tree"]).await?;
    let job = newcomer.newest_job(&site, "package-install").await?;
    has_written(&site, job, "Unpacking mc").await?;
    running.power_off();
    let _running = machine.power_on(&site.network)?;
    newcomer.job_succeeds(&site, "package-install").await?;
    for job_type in ["storage", "base-system", "package-install"] {
        let states = attempts(&site, &newcomer, job_type).await?;
        // The installed agent's journal remembers what it was doing: who speaks first says how that ended.
        let was_tried_again =
            matches!(states.as_slice(), [first, last] if first != "succeeded" && last == "succeeded");
        ensure!(was_tried_again, "the attempts at {job_type} ended as {states:?}");
    }
    // What dpkg has left half done would fail the next job.
    newcomer.takes_a_package(&site).await
}

async fn server_killed_in_every_job_and_the_network_cut_for_a_minute(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    let mut site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let machine = machine(&site, Firmware::Bios)?;
    let _running = machine.power_on(&site.network)?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-12");
    let fingerprint = newcomer.is_discovered(&site).await?;
    newcomer.adopt(&site, &fingerprint).await?;
    for (job_type, _) in CHAIN {
        let job = newcomer.newest_job(&site, job_type).await?;
        let runs_or_ran = |client: &serde_json::Value| {
            client["activity"]["job"].as_i64().is_some_and(|working_on| working_on >= job)
                || client["stage"] == "installed"
        };
        site.wait_for_client(NAME, &format!("works on job {job}"), minutes(10), runs_or_ran).await?;
        site.kill_server();
        // Long enough that the agent notices; its lines wait in the spool meanwhile.
        sleep(Duration::from_secs(3)).await;
        site.start_server().await?;
        if job_type == "base-system" {
            works_on(&site, "unpack", 1).await?;
            site.network.cut()?;
            sleep(minutes(1)).await;
            site.network.restore()?;
        }
    }
    newcomer.becomes_installed(&site).await?;
    for (job_type, _) in CHAIN {
        let states = attempts(&site, &newcomer, job_type).await?;
        ensure!(states == ["succeeded"], "the attempts at {job_type} ended as {states:?}");
    }
    newcomer.takes_a_package(&site).await
}

async fn reinstallation_over_an_old_system(programs: Programs, directory: PathBuf) -> Result<()> {
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let machine = machine(&site, Firmware::Uefi)?;
    let running = machine.power_on(&site.network)?;
    let newcomer = install(&site, "debian-12").await?;
    newcomer.install(&site).await?;
    running.monitor("system_reset")?;
    newcomer.becomes_installed(&site).await?;
    newcomer.takes_a_package(&site).await
}

async fn rescue_with_ssh_until_released(programs: Programs, directory: PathBuf) -> Result<()> {
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let (key, public) = key_pair(&directory)?;
    site.lotse(&["client", "add", NAME, "--mac", MAC]).await?;
    site.lotse(&["client", "rescue", NAME, "--keys", &public]).await?;
    let machine = machine(&site, Firmware::Bios)?;
    let _running = machine.power_on(&site.network)?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-12");
    let is_open = |client: &serde_json::Value| {
        client["activity"]["state"] == "working" && client["activity"]["step"] == "rescue"
    };
    site.wait_for_client(NAME, "opens the rescue system", minutes(5), is_open).await?;
    let facts = newcomer.facts(&site).await?;
    let address = facts["nics"][0]["addresses"][0]
        .as_str()
        .and_then(|address| address.split('/').next())
        .context("finding the machine's address")?;
    let said = ssh(address, &key, "uname -s && test -b /dev/vda && echo rescued").await?;
    ensure!(said.contains("rescued"), "the rescue system said: {said}");
    let job = newcomer.newest_job(&site, "rescue").await?;
    site.lotse(&["job", "release", &job.to_string()]).await?;
    newcomer.job_succeeds(&site, "rescue").await
}

const SEVERAL_FILE_SYSTEMS: &str = "\
title: { en: Several file systems, de: Mehrere Dateisysteme }
disks:
  system:
    match: { serial: E2E-4096 }
    table: gpt
    partitions:
      - { id: esp, size: 512MiB, type: efi-system, format: vfat, mount: /boot/efi }
      - { id: swap, size: 10%, format: swap }
      - { id: root, size: 60%, format: btrfs, mount: / }
      - { id: home, size: rest, min: 500MiB, format: xfs, mount: /home, options: noatime }
";

/// What the installed system has to say of itself, a line each. The password is asked of `crypt(3)`.
const ASKED: &str = "\
hostname --fqdn
grep -o root=UUID= /proc/cmdline
ip -brief -4 address show scope global | awk '{print $3}' | sort | tr '\\n' ' '; echo
ip -brief -6 address show scope global | awk '{print $3}' | tr '\\n' ' '; echo
resolvectl dns | grep -o 192.0.2.53 | head -n 1
for place in / /home /boot/efi; do printf '%s ' \"$(findmnt -no FSTYPE $place)\"; done; echo
findmnt -no OPTIONS /home | grep -o noatime
swapon --noheadings --show=TYPE
blockdev --getss /dev/nvme0n1
. /etc/default/locale; echo $LANG
. /etc/default/keyboard; echo $XKBLAYOUT
readlink /etc/localtime
timedatectl show-timesync --property=SystemNTPServers
apt-config dump Acquire::http::Proxy
id --name --groups ann
hash=$(getent shadow ann | cut -d: -f2); perl -e 'print crypt(\"correct horse\", $ARGV[0]) eq $ARGV[0] ? \"fits\" : \"does not fit\", \"\\n\"' \"$hash\"
cmp /root/.ssh/authorized_keys /home/ann/.ssh/authorized_keys && echo same keys
systemctl --failed --plain --no-legend
";

async fn everything_configured_with_two_cards_on_a_4k_disk(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    const SECOND_MAC: &str = "52:54:00:e2:e0:02";
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let (key, public) = key_pair(&directory)?;
    let write = |name: &str, text: &str| -> Result<String> {
        let file = directory.join(name);
        fs_err::write(&file, text)?;
        Ok(file.display().to_string())
    };
    let server = site.network.server_address();
    let (v4, v6) = (site.network.address(50), site.network.server_address_v6().to_string() + "50");
    let configuration = json!({
        "distribution": "debian-12", "layout": "several", "domain": "lab.example", "locale": "de_AT.UTF-8",
        "keyboard": "de", "timezone": "Europe/Vienna", "ntp": [server], "proxy": "http://192.0.2.3:3128",
        "serial_console": CONSOLE,
        "network": { "nameservers": ["192.0.2.53"], "interfaces": [
            { "mac": MAC, "ipv4": { "method": "static", "address": v4, "prefix": 24 },
              "ipv6": { "method": "static", "address": v6, "prefix": 64 } },
            { "mac": SECOND_MAC, "ipv4": { "method": "static", "address": "192.168.77.5", "prefix": 24 },
              "ipv6": { "method": "off" } },
        ] },
    });
    let configuration = write("client.json", &configuration.to_string())?;
    let password = write("password", "correct horse\n")?;
    site.lotse(&["layout", "set", "several", &write("several.yaml", SEVERAL_FILE_SYSTEMS)?]).await?;
    let client = ["client", "add", NAME, "--mac", MAC, "--mac", SECOND_MAC, "--config", &configuration];
    let user = ["--user", "ann", "--password-file", &password, "--ssh-keys", &public];
    site.lotse(&[&client[..], &user].concat()).await?;
    let disks = directory.join("machine");
    let disk = |machine: Machine| -> Result<Machine> {
        Ok(machine.disk(Disk::create(&disks.join("4k.img"), "E2E-4096", 8)?.on(Bus::Nvme).with_sector(4096)))
    };
    let machine = disk(Machine::new(&disks, Firmware::Uefi)?)?
        .card(&site.network, MAC)?
        .card(&site.network, SECOND_MAC)?
        .limit(minutes(45));
    let _running = machine.power_on(&site.network)?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-12");
    let is_measured = |client: &serde_json::Value| client["hardware"] != "";
    site.wait_for_client(NAME, "is measured", minutes(5), is_measured).await?;
    newcomer.install(&site).await?;
    newcomer.becomes_installed(&site).await?;
    let said = ssh(&v4.to_string(), &key, ASKED).await?;
    let wanted = [
        "pc-01.lab.example".to_owned(),
        "root=UUID=".to_owned(),
        format!("{v4}/24 192.168.77.5/24 "),
        format!("{v6}/64 "),
        "192.0.2.53".to_owned(),
        "btrfs xfs vfat ".to_owned(),
        "noatime".to_owned(),
        "partition".to_owned(),
        "4096".to_owned(),
        "de_AT.UTF-8".to_owned(),
        "de".to_owned(),
        "/usr/share/zoneinfo/Europe/Vienna".to_owned(),
        format!("SystemNTPServers={server}"),
        "Acquire::http::Proxy \"http://192.0.2.3:3128\";".to_owned(),
        format!("Acquire::http::Proxy::{server} \"DIRECT\";"),
        "ann sudo".to_owned(),
        "fits".to_owned(),
        "same keys".to_owned(),
    ];
    ensure!(said.lines().eq(&wanted), "the installed system says\n{said}\nwanted was\n{wanted:#?}");
    newcomer.takes_a_package(&site).await
}

async fn debootstrap_debian12(programs: Programs, directory: PathBuf) -> Result<()> {
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let machine = machine(&site, Firmware::Bios)?;
    let _running = machine.power_on(&site.network)?;
    let newcomer = Newcomer { base: "debootstrap".to_owned(), ..Newcomer::new(MAC, NAME, "debian-12") };
    let fingerprint = newcomer.is_discovered(&site).await?;
    newcomer.adopt(&site, &fingerprint).await?;
    newcomer.becomes_installed(&site).await
}
