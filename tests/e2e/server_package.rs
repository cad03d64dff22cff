//! The server's Debian package on a machine with systemd: installed, started, backed up, restored and upgraded by the commands of
//! `docs/operating.md`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use harness::{
    lab::Firmware,
    site::{CONSOLE, Dhcp, Programs, Site},
    story::{Newcomer, minutes},
};
use serde_json::json;

use crate::{
    ssh::{copy, key_pair, ssh},
    stories::{MAC, NAME, machine, site},
};

/// The commands of the book, each followed by what has to be true then. The first that fails ends it.
const BOOK: &str = r#"set -eu
export DEBIAN_FRONTEND=noninteractive
page() { curl -fsS --cacert /var/lib/lotse/ca.pem -o /dev/null -w '%{http_code}\n' "https://$1:8443/login"; }
apt-get -q update >&2
# Without what is only recommended: an emulated machine takes long for each package.
apt-get -q -y --no-install-recommends install /root/lotse.deb dnsmasq restic curl sudo >&2
systemctl start lotse
journalctl --sync
journalctl -u lotse -o cat | grep -o -m 1 'login#lotse_'
export LOTSE_TOKEN=$(sudo -u lotse lotse token create --data /var/lib/lotse --role admin --expires 1)
lotse info >&2
page localhost
mkdir -p /etc/lotse
printf 'host = "%s"\n' "$(hostname --fqdn)" >> /etc/lotse/lotse.toml
systemctl restart lotse
page "$(hostname --fqdn)"
lotse client add before-backup >&2
head -c 30 /dev/urandom | base64 > /root/backup.password
export RESTIC_REPOSITORY=/backup RESTIC_PASSWORD_FILE=/root/backup.password
lotse backup init >&2
lotse backup create >&2
lotse client add after-backup >&2
lotse ca > /root/before
systemctl stop lotse
mv /var/lib/lotse /var/lib/lotse.old
lotse backup restore >&2
systemctl start lotse
lotse ca | cmp - /root/before && echo same CA
lotse client list --output json | grep -o '"name": *"[a-z-]*"'
apt-get -q -y --reinstall install /root/lotse.deb >&2
systemctl restart lotse
page "$(hostname --fqdn)"
lotse pxe dnsmasq --interface lo --proxy 127.0.0.0 --host 127.0.0.1 > /etc/dnsmasq.d/lotse.conf
dnsmasq --test 2>&1
systemd-analyze security --no-pager lotse.service | tail -n 1 >&2
apt-get -q -y remove lotse >&2
test -e /var/lib/lotse/lotse.sqlite && echo kept
"#;

const SAID: &str = "\
login#lotse_
200
200
same CA
\"name\": \"before-backup\"
200
dnsmasq: syntax check OK.
kept
";

pub(crate) async fn server_package_as_the_operators_book_says(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    let site = site(programs.clone(), &directory, Dhcp::Own, "debian-13").await?;
    let package = package(&programs, &directory)?;
    let (key, public) = key_pair(&directory)?;
    let configuration = directory.join("client.json");
    let text = json!({ "distribution": "debian-13", "layout": "whole-disk", "domain": "lab.example", "serial_console": CONSOLE });
    fs_err::write(&configuration, text.to_string())?;
    let configuration = configuration.display().to_string();
    let client = ["client", "add", NAME, "--mac", MAC, "--config", &configuration];
    site.lotse(&[&client[..], &["--user", "ann", "--ssh-keys", &public]].concat()).await?;
    let machine = machine(&site, Firmware::Bios)?;
    let _running = machine.power_on(&site.network)?;
    let newcomer = Newcomer::new(MAC, NAME, "debian-13");
    site.wait_for_client(NAME, "is measured", minutes(5), |client| client["hardware"] != "").await?;
    newcomer.install(&site).await?;
    newcomer.becomes_installed(&site).await?;
    let facts = newcomer.facts(&site).await?;
    let address = facts["nics"][0]["addresses"][0].as_str().and_then(|address| address.split('/').next());
    let address = address.context("finding the machine's address")?;
    copy(address, &key, &package, "/root/lotse.deb").await?;
    let said = ssh(address, &key, BOOK).await?;
    ensure!(said == SAID, "the machine says\n{said}\nwanted was\n{SAID}");
    Ok(())
}

/// The package of the server under test, without what only debuggers need.
fn package(programs: &Programs, directory: &std::path::Path) -> Result<PathBuf> {
    let (program, package) = (directory.join("lotse"), directory.join("lotse.deb"));
    let words = |path: &std::path::Path| path.display().to_string();
    Site::run(&["strip", "-o", &words(&program), &words(&programs.lotse)])?;
    let build = Site::share().join("packaging/debian/build.sh");
    let (agent, agent_package) = (words(&programs.agent), words(&programs.agent_package));
    let files = [
        "--program",
        &words(&program),
        "--agent",
        &agent,
        "--agent-package",
        &agent_package,
        "--out",
        &words(&package),
    ];
    Site::run(&[&[words(&build).as_str(), "server"], &files[..]].concat())?;
    Ok(package)
}
