//! `lotse image`: images are built here, where the command runs, and sent to the server.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use wire::{Sha256, enrol::BlobRef};

mod iso;

use super::{
    api::Api,
    output::{is_watched, note, say, table, time},
};
use crate::{
    app::images::ImageUse,
    blobs,
    catalog::{Distribution, NamedDistribution},
    domain::{
        image::{self, Image},
        layout::size::human,
    },
    process,
};

#[derive(Subcommand)]
pub(super) enum ImageCommand {
    /// List images, and how far those are that are being built
    List {
        /// Older ones, too, and what uses them.
        #[arg(long)]
        all: bool,
    },
    /// Delete an image that nobody needs, with its files
    Delete {
        /// Its number, as `lotse image list --all` shows it.
        id: i64,
    },
    /// Build images whose recipe has changed, and send them to the server
    #[command(
        after_help = "Without names: installer, boot loaders and agent; the boot ISO with a new installer, once there is one.\nNames: installer, loaders, agent, iso, DISTRIBUTION/virtual, DISTRIBUTION/metal\nExample:\n  lotse image build installer agent debian-12/virtual"
    )]
    Build(Build),
    /// Show where a cloud fetches the boot ISO, with its checksum
    BootIso,
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
        /// Leave the server's addresses out: the machine looks for user-data, and asks on its screen.
        #[arg(long)]
        ask: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct Build {
    /// Names of the images.
    #[arg(default_values = ["installer", "loaders", "agent"])]
    names: Vec<String>,
    /// Directory with `pxe`.
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
        ImageCommand::List { all: false } => list(api).await,
        ImageCommand::List { all: true } => list_all(api).await,
        ImageCommand::Delete { id } => {
            api.order(Method::DELETE, &format!("/images/{id}"), &format!("The image {id} is deleted.")).await
        }
        ImageCommand::Build(build) => {
            for name in iso::with_installer(api, &build.names).await? {
                let name = &name;
                let built = one(api, &build, name).await;
                if let Err(error) = &built {
                    tell(api, name, 99, &format!("{error:#}"), true).await;
                }
                built.with_context(|| format!("building the image {name}"))?;
            }
            Ok(())
        }
        ImageCommand::BootIso => iso::show(api).await,
        ImageCommand::Iso { file, share, command_line, ask } => {
            iso::write(api, &file, &share, &command_line, ask).await
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

async fn list_all(api: &Api) -> anyhow::Result<()> {
    let images: Vec<ImageUse> = api.get("/image-uses").await?;
    if api.wrote_json(&images)? {
        return Ok(());
    }
    let rows: Vec<_> = images
        .into_iter()
        .map(|used| {
            let size = used.image.parts.values().map(|blob| blob.size_bytes).sum();
            vec![
                used.image.id.to_string(),
                used.image.name,
                time(used.image.built_at),
                used.image.recipe.as_str()[..12].to_owned(),
                human(size),
                used.needed.unwrap_or_default(),
            ]
        })
        .collect();
    table(&["ID", "NAME", "BUILT (UTC)", "RECIPE", "SIZE", "NEEDED BY"], &rows);
    Ok(())
}

/// Tells the server how far a build is, for its pages. That a page does not show it is no reason to stop building.
async fn tell(api: &Api, name: &str, percent: u8, message: &str, failed: bool) {
    let message: String = message.chars().take(250).collect();
    let told = json!({ "name": name, "percent": percent, "message": message, "failed": failed });
    if let Err(error) = api.send_json::<Value>(Method::POST, "/image-builds", &told).await {
        note(&format!("{name}: the server does not hear of the progress: {error:#}"));
    }
}

/// How an image is made: what it depends on, what the server has to send for it, the program that makes it, and the files that come out.
#[derive(Default)]
struct Recipe {
    inputs: Vec<PathBuf>,
    words: Vec<String>,
    fetched: Vec<(Sha256, PathBuf)>,
    argv: Vec<String>,
    parts: BTreeMap<String, PathBuf>,
}

fn recipe(
    build: &Build,
    distributions: &[NamedDistribution],
    known: &[Image],
    name: &str,
    out: &Path,
) -> anyhow::Result<Recipe> {
    let pxe = build.share.join("pxe");
    let text = |path: &Path| path.display().to_string();
    if name == image::AGENT {
        let parts = [(image::PACKAGE.to_owned(), build.agent_package.clone())].into();
        return Ok(Recipe { inputs: vec![build.agent_package.clone()], parts, ..Recipe::default() });
    }
    if name == image::LOADERS {
        let parts = ["undionly.kpxe", "ipxe.efi", "shimx64.efi", "mmx64.efi", "grubx64.efi"];
        let parts = parts.map(|part| (part.to_owned(), out.join(part))).into();
        let argv = vec![text(&pxe.join("loaders/build.sh")), "--out".to_owned(), text(out)];
        return Ok(Recipe {
            inputs: vec![pxe.join("lib"), pxe.join("loaders")],
            argv,
            parts,
            ..Recipe::default()
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
            argv,
            parts,
            ..Recipe::default()
        });
    }
    if name == image::ISO {
        return iso::recipe(&build.share, known, out);
    }
    let Some((distribution, kernel)) = base(distributions, name) else {
        bail!(
            "there is no such image; names are installer, loaders, agent, iso, DISTRIBUTION/virtual and DISTRIBUTION/metal, distributions are: {}",
            distributions.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    };
    let packages: Vec<_> = std::iter::once(kernel)
        .chain(distribution.boot_loader.values().flatten())
        .chain(&distribution.packages)
        .map(String::as_str)
        .collect();
    let file = out.join("archive.tar.zst");
    let words =
        ["--suite", &distribution.suite, "--packages", &packages.join(" ")].map(str::to_owned).to_vec();
    let mut argv = vec![text(&pxe.join("base/build.sh"))];
    argv.extend(words.clone());
    argv.extend(["--out".to_owned(), text(&file)]);
    Ok(Recipe {
        inputs: vec![pxe.join("lib"), pxe.join("base")],
        words,
        argv,
        parts: [("archive".to_owned(), file)].into(),
        ..Recipe::default()
    })
}

/// The distribution and the kernel package that the name of a base image means.
fn base<'a>(distributions: &'a [NamedDistribution], name: &str) -> Option<(&'a Distribution, &'a String)> {
    let (name, variant) = name.split_once('/')?;
    let found = distributions.iter().find(|known| known.name == name)?;
    Some((&found.distribution, found.distribution.kernel.get(variant)?))
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
    // The server's, since those may come from its site's own folder.
    let distributions: Vec<NamedDistribution> = api.get("/distributions").await?;
    let known: Vec<Image> = api.get("/images").await?;
    let hash = recipe(build, &distributions, &known, name, scratch.path())?.hash()?;
    let out =
        build.cache.as_ref().map_or_else(|| scratch.path().to_owned(), |cache| cache.join(hash.as_str()));
    let recipe = recipe(build, &distributions, &known, name, &out)?;
    if !build.force && known.iter().any(|image| image.name == name && image.recipe == hash) {
        note(&format!("{name}: nothing has changed"));
        return Ok(());
    }
    let bar = bar(name);
    let shown = bar.clone();
    let kept = recipe.parts.values().all(|file| file.is_file());
    if !recipe.argv.is_empty() && (build.force || !kept) {
        iso::fetch(api, &recipe.fetched).await?;
        let (progress, heard) = tokio::sync::watch::channel((0, String::new()));
        let telling = tell_progress(api, name, heard);
        let building = process::run(&recipe.argv, move |line| {
            if let Some((percent, message)) =
                line.strip_prefix("progress ").and_then(|rest| rest.split_once(' '))
            {
                let percent: u8 = percent.parse().unwrap_or(0);
                shown.set_position(u64::from(percent));
                shown.set_message(message.to_owned());
                progress.send_replace((percent.min(98), message.to_owned()));
                if !is_watched() {
                    note(&format!("{name}: {percent}% {message}"));
                }
            }
        });
        // The teller ends with the builder, whose end drops the channel.
        let (built, ()) = tokio::join!(building, telling);
        built?;
    }
    let mut parts: BTreeMap<String, BlobRef> = BTreeMap::new();
    for (part, file) in &recipe.parts {
        bar.set_message(format!("sending {part}"));
        tell(api, name, 99, &format!("sending {part}"), false).await;
        bar.set_position(0);
        let size = fs_err::metadata(file)?.len().max(1);
        let sending = bar.clone();
        let blob = api.send_file("/blobs", file, move |sent| sending.set_position(sent * 100 / size)).await?;
        parts.insert(part.clone(), blob);
    }
    let version = match recipe.parts.get(image::PACKAGE) {
        Some(package) if name == image::AGENT => version_of(package).await,
        _ => String::new(),
    };
    bar.finish_and_clear();
    tell(api, name, 100, "", false).await;
    let image: Image = api
        .send_json(
            Method::POST,
            "/images",
            &json!({ "name": name, "recipe": hash, "parts": parts, "version": version }),
        )
        .await?;
    if !api.wrote_json(&image)? {
        let sizes: Vec<_> =
            image.parts.iter().map(|(part, blob)| format!("{part} {}", human(blob.size_bytes))).collect();
        say(&format!("{name}: built, {}", sizes.join(", ")));
    }
    Ok(())
}

/// The version of a Debian package, as it says itself. Where there is no dpkg nobody knows it.
async fn version_of(package: &Path) -> String {
    let argv = ["dpkg-deb", "--field", &package.display().to_string(), "Version"].map(str::to_owned);
    match process::output(&argv).await {
        Ok(version) => version.trim().to_owned(),
        Err(error) => {
            note(&format!("the version of {} is not known: {error:#}", package.display()));
            String::new()
        }
    }
}

/// Tells the server of each step of a build, one at a time; what came meanwhile is told as its newest.
async fn tell_progress(api: &Api, name: &str, mut heard: tokio::sync::watch::Receiver<(u8, String)>) {
    while heard.changed().await.is_ok() {
        let (percent, message) = heard.borrow_and_update().clone();
        tell(api, name, percent, &message, false).await;
    }
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("{prefix}: {bar:30} {percent:>3}% {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}
