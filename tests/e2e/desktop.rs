//! A cloud desktop, from one command to a user who can log in, and until nothing of it is left.
//!
//! The provider is the CloudStack of the tests, its machine a real one that is told nothing at boot. What CloudStack's virtual router does,
//! the story does: the DHCP server of the network answers for user-data.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use axum::{Router, http::StatusCode, routing::get};
use harness::{
    cloudstack::{Cloud, Host, KEYS, Left, MachineThere},
    lab::{Boot, Disk, Firmware, Machine, Running},
    site::{CONSOLE, Dhcp, Programs, Site},
    story::Newcomer,
};
use server::clock::Clock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    ssh::{key_pair, login},
    stories::site,
};

const NAME: &str = "ann-desk";
const USER: &str = "ann";
const GROUP: &str = "office";
const DISK_GIB: u64 = 20;
/// What its group is given.
const SELECTION: &str = "name: small\ninstall: [xterm]\n";

/// What happens to machines, in order.
enum Change {
    Started(MachineThere),
    Stopped(MachineThere),
    Removed(MachineThere),
}

/// Tells the story what CloudStack's host has to do.
struct Teller(UnboundedSender<Change>);

impl Teller {
    fn tell(&self, change: Change) {
        // A story that is over has no machines.
        self.0.send(change).ok();
    }
}

impl Host for Teller {
    fn deployed(&self, _machine: &MachineThere) {}

    fn started(&self, machine: &MachineThere) {
        self.tell(Change::Started(machine.clone()));
    }

    fn stopped(&self, machine: &MachineThere) {
        self.tell(Change::Stopped(machine.clone()));
    }

    fn removed(&self, machine: &MachineThere) {
        self.tell(Change::Removed(machine.clone()));
    }
}

/// What the virtual router knows; there is one machine.
type UserData = Arc<Mutex<Option<Vec<u8>>>>;

/// The hosts of the cloud, with their virtual router.
struct Hardware<'a> {
    site: &'a Site,
    iso: PathBuf,
    router: UserData,
    /// By their ids; with whether they run.
    machines: HashMap<String, (Machine, Option<Running>)>,
}

impl Hardware<'_> {
    /// Does what CloudStack says until it says no more.
    async fn work(&mut self, mut changes: UnboundedReceiver<Change>) -> Result<()> {
        while let Some(change) = changes.recv().await {
            match change {
                Change::Started(there) => {
                    self.start(&there).with_context(|| format!("starting {}", there.name))?;
                }
                Change::Stopped(there) => {
                    if let Some((_, running)) = self.machines.get_mut(&there.id) {
                        *running = None;
                    }
                }
                Change::Removed(there) => {
                    self.machines.remove(&there.id);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, there: &MachineThere) -> Result<()> {
        if !self.machines.contains_key(&there.id) {
            let directory = self.site.directory.join(&there.name);
            let disk = Disk::create(&directory_of(&directory)?.join("disk.img"), "CLOUD-01", DISK_GIB)?;
            let machine = Machine::new(&directory, Firmware::Bios)?
                .disk(disk)
                .card(&self.site.network, &there.mac)?
                .cdrom(&self.iso)
                .boot_order(&[Boot::Disk, Boot::Cdrom]);
            self.machines.insert(there.id.clone(), (machine, None));
        }
        *self.router.lock().unwrap_or_else(PoisonError::into_inner) = Some(there.user_data.clone());
        let (machine, running) = self.machines.get_mut(&there.id).context("there is no such machine")?;
        *running = Some(machine.power_on(&self.site.network)?);
        Ok(())
    }
}

fn directory_of(directory: &Path) -> Result<&Path> {
    fs_err::create_dir_all(directory)?;
    Ok(directory)
}

/// Answers as the virtual router does, at the address of the DHCP server.
fn serve(site: &Site, router: &UserData) -> Result<()> {
    let listener = site.foreign_dhcp()?.listen(80)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let known = Arc::clone(router);
    let answer = move || {
        let known = Arc::clone(&known);
        async move { known.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StatusCode::NOT_FOUND) }
    };
    let routes = Router::new().route("/latest/user-data", get(answer));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(())
}

/// With a selection of packages as its only programs.
pub(crate) async fn desktop_on_cloudstack(programs: Programs, directory: PathBuf) -> Result<()> {
    on_cloudstack(programs, directory, "none", "xterm").await
}

pub(crate) async fn desktop_mate_on_cloudstack(programs: Programs, directory: PathBuf) -> Result<()> {
    on_cloudstack(programs, directory, "mate", "mate-session").await
}

async fn on_cloudstack(
    programs: Programs,
    directory: PathBuf,
    environment: &str,
    program: &str,
) -> Result<()> {
    let site = site(programs, &directory, Dhcp::ForeignOnly, "debian-13").await?;
    site.build_images(&["iso"]).await?;
    let iso = boot_iso(&site).await?;
    let router = UserData::default();
    serve(&site, &router)?;
    let (teller, changes) = unbounded_channel();
    let cloud = Cloud::start_with(Clock::system(), Box::new(Teller(teller))).await?;
    let mut hardware = Hardware { site: &site, iso, router, machines: HashMap::new() };
    tokio::select! {
        ended = hardware.work(changes) => ended.and_then(|()| bail!("the cloud has ended")),
        ended = story(&site, &cloud, environment, program) => ended,
    }
}

async fn boot_iso(site: &Site) -> Result<PathBuf> {
    let kept = site.json(&["image", "boot-iso"]).await?;
    let url = kept["url"].as_str().context("the server has no boot ISO")?;
    let iso = site.directory.join("lotse.iso");
    fs_err::write(&iso, reqwest::get(url).await?.error_for_status()?.bytes().await?)?;
    Ok(iso)
}

async fn story(site: &Site, cloud: &Cloud, environment: &str, program: &str) -> Result<()> {
    let (key, public) = key_pair(&site.directory)?;
    add_provider(site, cloud).await?;
    add_selection(site).await?;
    let wishes = [
        &["--user", USER, "--ssh-keys", &public, "--distribution", "debian-13"][..],
        &["--desktop", environment, "--remote", "x2go", "--group", GROUP, "--serial-console", CONSOLE],
    ]
    .concat();
    site.lotse(&[&["desktop", "create", NAME, "--provider", "north", "--watch"], &wishes[..]].concat())
        .await?;
    let newcomer = Newcomer::new("", NAME, "debian-13");
    newcomer.becomes_installed(site).await?;
    newcomer.job_succeeds(site, "desktop").await?;
    newcomer.job_succeeds(site, "package-selection").await?;

    let client = site.json(&["client", "show", NAME]).await?;
    let timeline = site.json(&["client", "timeline", NAME]).await?.to_string();
    ensure!(
        timeline.contains("CloudStack: "),
        "the timeline does not say where the server was found: {timeline}"
    );
    let desktop = site.json(&["desktop", "show", NAME]).await?;
    ensure!(desktop["reached"][0]["at"].is_string(), "nobody says how to reach it: {desktop}");
    let machines = cloud.machines();
    ensure!(
        matches!(machines.as_slice(), [one] if one.iso.is_none()),
        "there is not one machine without the boot ISO in its drive: {machines:?}"
    );
    let address = newcomer.facts(site).await?["nics"][0]["addresses"][0]
        .as_str()
        .and_then(|address| address.split('/').next())
        .with_context(|| format!("no address in {client}"))?
        .to_owned();
    // As X2Go's client begins: it logs in by SSH, and asks for the sessions.
    let there = format!("x2golistsessions && command -v x2gostartagent && command -v {program}");
    login(USER, &address, &key, &there).await?;

    site.lotse(&["desktop", "delete", NAME, "--yes", "--watch"]).await?;
    ensure!(cloud.left() == Left::default(), "something is left: {:?}", cloud.left());
    let clients = site.json(&["client", "list"]).await?.to_string();
    ensure!(!clients.contains(NAME), "the client is still there: {clients}");
    Ok(())
}

async fn add_selection(site: &Site) -> Result<()> {
    let file = site.directory.join("small.yaml");
    fs_err::write(&file, SELECTION)?;
    site.lotse(&["selection", "import", &file.display().to_string()]).await?;
    site.lotse(&["group", "create", GROUP]).await?;
    site.lotse(&["selection", "attach", "small", GROUP]).await.map(drop)
}

async fn add_provider(site: &Site, cloud: &Cloud) -> Result<()> {
    let (keys, ca) = (site.directory.join("keys.txt"), site.directory.join("cloud.pem"));
    fs_err::write(&keys, format!("{}\n{}\n", KEYS.0, KEYS.1))?;
    fs_err::write(&ca, &cloud.ca_pem)?;
    let (keys, ca) = (keys.display().to_string(), ca.display().to_string());
    // The boot image is not named: Lotse registers its own there, and waits until the provider has it.
    let size = format!("standard=medium,custom,{DISK_GIB}");
    let words =
        [
            &[
                "provider",
                "add",
                "north",
                "--endpoint",
                &cloud.endpoint,
                "--keys",
                &keys,
                "--provider-ca",
                &ca,
            ][..],
            &["--zone", "north", "--network", "desktops", "--size", &size],
        ]
        .concat();
    site.lotse(&words).await?;
    // It ends badly when something is missing.
    site.lotse(&["provider", "test", "north"]).await.map(drop)
}
