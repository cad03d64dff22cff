//! `lotse image` and `lotse pxe`: images are built here, where the command runs, and sent to the server; dnsmasq is configured once.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use wire::{Mac, Sha256, enrol::BlobRef};

use super::{
    api::Api,
    output::{is_watched, note, say, table, time},
};
use crate::{
    blobs,
    catalog::Catalog,
    domain::{
        image::{self, Image},
        layout::size::human,
    },
    process,
};

#[derive(Subcommand)]
pub(super) enum ImageCommand {
    /// List images
    List,
    /// Build images whose recipe has changed, and send them to the server
    #[command(
        after_help = "Without names: installer, boot loaders and agent.\nNames: installer, loaders, agent, DISTRIBUTION/virtual, DISTRIBUTION/metal\nExample:\n  lotse image build installer agent debian-12/virtual"
    )]
    Build(Build),
    /// Write a boot ISO (BIOS, UEFI, USB stick) with the server's installer
    Iso {
        /// The file to write.
        file: PathBuf,
        /// Directory with `pxe`.
        #[arg(long, env = "LOTSE_SHARE", default_value = "/usr/share/lotse")]
        share: PathBuf,
        /// Words for the kernel command line beyond the server's addresses.
        #[arg(long, default_value = "")]
        command_line: String,
        /// Leave the server's addresses out: the machine asks for them on its screen.
        #[arg(long)]
        ask: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct Build {
    /// Names of the images.
    #[arg(default_values = ["installer", "loaders", "agent"])]
    names: Vec<String>,
    /// Directory with `job-scripts` and `pxe`.
    #[arg(long, env = "LOTSE_SHARE", default_value = "/usr/share/lotse")]
    share: PathBuf,
    /// The agent's program.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/lotse/lotse-agent")]
    agent: PathBuf,
    /// The agent's Debian package.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/lotse/lotse-agent.deb")]
    agent_package: PathBuf,
    /// Keep what was built in this directory, and take it from there when the recipe is the same.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Build even when nothing has changed, to take new packages in.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(api: &Api, command: ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::List => list(api).await,
        ImageCommand::Build(build) => {
            for name in &build.names {
                one(api, &build, name).await.with_context(|| format!("building the image {name}"))?;
            }
            Ok(())
        }
        ImageCommand::Iso { file, share, command_line, ask } => {
            iso(api, &file, &share, &command_line, ask).await
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let images: Vec<Image> = api.get("/images").await?;
    if api.wrote_json(&images)? {
        return Ok(());
    }
    if images.is_empty() {
        note("There are no images yet: `lotse image build`.");
        return Ok(());
    }
    let rows: Vec<_> = images
        .into_iter()
        .map(|image| {
            let parts: Vec<_> =
                image.parts.iter().map(|(name, blob)| format!("{name} {}", human(blob.size_bytes))).collect();
            vec![image.name, time(image.built_at), image.recipe.as_str()[..12].to_owned(), parts.join(", ")]
        })
        .collect();
    table(&["NAME", "BUILT (UTC)", "RECIPE", "PARTS"], &rows);
    Ok(())
}

/// How an image is made: what it depends on, the program that makes it, and the files that come out.
struct Recipe {
    inputs: Vec<PathBuf>,
    words: Vec<String>,
    argv: Vec<String>,
    parts: BTreeMap<String, PathBuf>,
}

fn recipe(build: &Build, name: &str, out: &Path) -> anyhow::Result<Recipe> {
    let pxe = build.share.join("pxe");
    let text = |path: &Path| path.display().to_string();
    if name == image::AGENT {
        let parts = [("package".to_owned(), build.agent_package.clone())].into();
        return Ok(Recipe {
            inputs: vec![build.agent_package.clone()],
            words: Vec::new(),
            argv: Vec::new(),
            parts,
        });
    }
    if name == image::LOADERS {
        let parts = ["undionly.kpxe", "ipxe.efi", "shimx64.efi", "mmx64.efi", "grubx64.efi"];
        let parts = parts.map(|part| (part.to_owned(), out.join(part))).into();
        let argv = vec![text(&pxe.join("loaders/build.sh")), "--out".to_owned(), text(out)];
        return Ok(Recipe {
            inputs: vec![pxe.join("lib"), pxe.join("loaders")],
            words: Vec::new(),
            argv,
            parts,
        });
    }
    if name == image::INSTALLER {
        let argv = vec![
            text(&pxe.join("installer/build.sh")),
            "--agent".to_owned(),
            text(&build.agent),
            "--out".to_owned(),
            text(out),
        ];
        let parts = [("vmlinuz", "vmlinuz"), ("initramfs", "initramfs"), ("tools", "tools.squashfs")];
        let parts = parts.map(|(part, file)| (part.to_owned(), out.join(file))).into();
        return Ok(Recipe {
            inputs: vec![pxe.join("lib"), pxe.join("installer"), build.agent.clone()],
            words: Vec::new(),
            argv,
            parts,
        });
    }
    let catalog = Catalog::load(&build.share, None)?;
    let found = name
        .split_once('/')
        .and_then(|(distribution, variant)| Some((catalog.distribution(distribution)?, variant)));
    let Some((distribution, variant @ ("virtual" | "metal"))) = found else {
        bail!(
            "there is no such image; names are installer, loaders, agent, DISTRIBUTION/virtual and DISTRIBUTION/metal, distributions are: {}",
            catalog.distributions().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
        );
    };
    let file = out.join("archive.tar.zst");
    let words = vec![
        "--suite".to_owned(),
        distribution.suite.clone(),
        "--variant".to_owned(),
        variant.to_owned(),
        "--packages".to_owned(),
        distribution.packages.join(" "),
    ];
    let mut argv = vec![text(&pxe.join("base/build.sh"))];
    argv.extend(words.clone());
    argv.extend(["--out".to_owned(), text(&file)]);
    Ok(Recipe {
        inputs: vec![pxe.join("lib"), pxe.join("base")],
        words,
        argv,
        parts: [("archive".to_owned(), file)].into(),
    })
}

impl Recipe {
    /// Hash of everything that the image is made from, but for the packages of the mirror.
    fn hash(&self) -> anyhow::Result<Sha256> {
        let mut text = self.words.join("\n");
        for input in &self.inputs {
            for file in files(input)? {
                let content = blobs::hash(&fs_err::read(&file)?);
                let name = file.strip_prefix(input).unwrap_or(&file).display().to_string();
                text.push_str(&format!("\n{name} {content}"));
            }
        }
        Ok(blobs::hash(text.as_bytes()))
    }
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs_err::read_dir(path)? {
        found.append(&mut files(&entry?.path())?);
    }
    found.sort();
    Ok(found)
}

async fn one(api: &Api, build: &Build, name: &str) -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("lotse-image-").tempdir()?;
    let hash = recipe(build, name, scratch.path())?.hash()?;
    let out =
        build.cache.as_ref().map_or_else(|| scratch.path().to_owned(), |cache| cache.join(hash.as_str()));
    let recipe = recipe(build, name, &out)?;
    let known: Vec<Image> = api.get("/images").await?;
    if !build.force && known.iter().any(|image| image.name == name && image.recipe == hash) {
        note(&format!("{name}: nothing has changed"));
        return Ok(());
    }
    let bar = bar(name);
    let kept = recipe.parts.values().all(|file| file.is_file());
    if !recipe.argv.is_empty() && (build.force || !kept) {
        process::run(&recipe.argv, |line| {
            if let Some((percent, message)) =
                line.strip_prefix("progress ").and_then(|rest| rest.split_once(' '))
            {
                bar.set_position(percent.parse().unwrap_or(0));
                bar.set_message(message.to_owned());
                if !is_watched() {
                    note(&format!("{name}: {percent}% {message}"));
                }
            }
        })
        .await?;
    }
    let mut parts: BTreeMap<String, BlobRef> = BTreeMap::new();
    for (part, file) in &recipe.parts {
        bar.set_message(format!("sending {part}"));
        bar.set_position(0);
        let size = fs_err::metadata(file)?.len().max(1);
        let sending = bar.clone();
        let blob = api.send_file("/blobs", file, move |sent| sending.set_position(sent * 100 / size)).await?;
        parts.insert(part.clone(), blob);
    }
    bar.finish_and_clear();
    let image: Image = api
        .send_json(Method::POST, "/images", &json!({ "name": name, "recipe": hash, "parts": parts }))
        .await?;
    if !api.wrote_json(&image)? {
        let sizes: Vec<_> =
            image.parts.iter().map(|(part, blob)| format!("{part} {}", human(blob.size_bytes))).collect();
        say(&format!("{name}: built, {}", sizes.join(", ")));
    }
    Ok(())
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("{prefix}: {bar:30} {percent:>3}% {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}

async fn iso(api: &Api, file: &Path, share: &Path, command_line: &str, ask: bool) -> anyhow::Result<()> {
    let server: Value = api.get("/server").await?;
    let images: Vec<Image> = api.get("/images").await?;
    let installer = images
        .iter()
        .find(|image| image.name == image::INSTALLER)
        .context("there is no installer image yet: `lotse image build`")?;
    let scratch = tempfile::Builder::new().prefix("lotse-iso-").tempdir()?;
    let text = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
    let boot = text("boot");
    for part in ["vmlinuz", "initramfs"] {
        let blob = installer.parts.get(part).with_context(|| format!("the installer image has no {part}"))?;
        let bytes = reqwest::get(format!("{boot}/boot/blobs/{}", blob.sha256))
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        if blobs::hash(&bytes) != blob.sha256 {
            bail!("{part} did not arrive whole; try again");
        }
        fs_err::write(scratch.path().join(part), &bytes)?;
    }
    let mut words = String::new();
    if !ask {
        words = format!(
            "lotse.server={} lotse.agents={} lotse.boot={boot} lotse.ca={}",
            text("https"),
            text("agents"),
            text("ca")
        );
    }
    let words = format!("{words} {command_line}").trim().to_owned();
    let path = |path: &Path| path.display().to_string();
    let argv = [
        path(&share.join("pxe/iso/build.sh")),
        "--kernel".to_owned(),
        path(&scratch.path().join("vmlinuz")),
        "--initramfs".to_owned(),
        path(&scratch.path().join("initramfs")),
        "--cmdline".to_owned(),
        words,
        "--out".to_owned(),
        path(file),
    ];
    process::run(&argv, |_| {}).await?;
    say(&format!("{} is written, {}", file.display(), human(fs_err::metadata(file)?.len())));
    Ok(())
}

#[derive(Subcommand)]
pub(super) enum PxeCommand {
    /// Write the configuration of dnsmasq; nothing of it changes when clients come and go
    #[command(
        after_help = "Examples:\n  lotse pxe dnsmasq --interface eth0 --range 10.0.0.100,10.0.0.200,255.255.255.0 --router 10.0.0.1\n  lotse pxe dnsmasq --interface eth0 --proxy 10.0.0.0      # beside another DHCP server"
    )]
    Dnsmasq(Dnsmasq),
    /// Report a lease to the server; dnsmasq calls it (--dhcp-script)
    #[command(hide = true)]
    Event {
        /// add, old or del.
        action: String,
        /// The machine's hardware address.
        mac: Mac,
        /// The address it has.
        address: std::net::IpAddr,
        /// Its host name, which is not used.
        name: Option<String>,
    },
}

#[derive(clap::Args)]
pub(super) struct Dnsmasq {
    /// The network interface that the machines are on.
    #[arg(long)]
    interface: String,
    /// Give out addresses: FIRST,LAST,NETMASK.
    #[arg(long, value_delimiter = ',', conflicts_with = "proxy")]
    range: Vec<Ipv4Addr>,
    /// Stand beside another DHCP server of this network, and only say what to boot.
    #[arg(long, value_name = "NETWORK", required_unless_present = "range")]
    proxy: Option<Ipv4Addr>,
    /// Router for the machines.
    #[arg(long)]
    router: Option<Ipv4Addr>,
    /// Name server for the machines.
    #[arg(long)]
    dns: Option<Ipv4Addr>,
    /// Address of this server in that network; default is the host of its boot URL.
    #[arg(long)]
    host: Option<Ipv4Addr>,
    /// UEFI machines start signed shim and GRUB instead of iPXE.
    #[arg(long)]
    secure_boot: bool,
    /// How long an address is given for.
    #[arg(long, default_value = "1h")]
    lease_time: String,
    /// Directory with `pxe`.
    #[arg(long, env = "LOTSE_SHARE", default_value = "/usr/share/lotse")]
    share: PathBuf,
}

pub(super) async fn pxe(
    command: PxeCommand,
    connect: impl Fn() -> anyhow::Result<Api>,
) -> anyhow::Result<()> {
    match command {
        PxeCommand::Dnsmasq(words) => {
            let server: Value = connect()?.get("/server").await?;
            say(dnsmasq(&words, server["boot"].as_str().unwrap_or_default())?.trim_end());
            Ok(())
        }
        PxeCommand::Event { action, mac, address, name: _ } => {
            let server =
                std::env::var_os("LOTSE_BOOT_URL").context("LOTSE_BOOT_URL must be the server's boot URL")?;
            let url = format!("{}/boot/dhcp", server.to_string_lossy());
            let body = json!({ "action": action, "mac": mac, "address": address });
            reqwest::Client::builder().build()?.post(url).json(&body).send().await?.error_for_status()?;
            Ok(())
        }
    }
}

fn dnsmasq(words: &Dnsmasq, boot_url: &str) -> anyhow::Result<String> {
    let host = match words.host {
        Some(host) => host,
        None => boot_url
            .trim_start_matches("http://")
            .rsplit_once(':')
            .and_then(|(host, _)| host.parse().ok())
            .context("the server's boot URL has no IPv4 address; give --host ADDRESS")?,
    };
    let mut context = tera::Context::new();
    context.insert("interface", &words.interface);
    context.insert("server_host", &host.to_string());
    context.insert("script_url", &format!("{boot_url}/boot/ipxe?mac=${{netX/mac}}&platform=${{platform}}"));
    context.insert("secureboot", &words.secure_boot);
    context.insert("lease_time", &words.lease_time);
    context.insert("router", &words.router.map(|router| router.to_string()).unwrap_or_default());
    context.insert("dns", &words.dns.map(|dns| dns.to_string()).unwrap_or_default());
    let name = match (words.range.as_slice(), words.proxy) {
        ([first, last, netmask], None) => {
            context.insert("range_start", &first.to_string());
            context.insert("range_end", &last.to_string());
            context.insert("netmask", &netmask.to_string());
            "dhcp.conf.tera"
        }
        (_, Some(network)) => {
            context.insert("network", &network.to_string());
            "proxy.conf.tera"
        }
        _ => bail!("give --range FIRST,LAST,NETMASK or --proxy NETWORK"),
    };
    let template = fs_err::read_to_string(words.share.join("pxe/dnsmasq").join(name))?;
    tera::Tera::default()
        .render_str(&template, &context, false)
        .map_err(|error| anyhow::anyhow!("rendering {name}: {error}"))
}
