//! The boot ISO: one that knows its server, written to a file; and one that knows none, kept by the server for clouds to fetch.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;
use wire::Sha256;

use super::{Recipe, human};
use crate::{
    app::images::BootIso,
    blobs,
    cli::{
        api::Api,
        output::{note, say, table, time},
    },
    domain::image::{self, Image},
    process,
};

/// Parts of the installer image that an ISO carries.
const PARTS: [&str; 2] = ["vmlinuz", "initramfs"];

/// The names of the images to build: a server that has a boot ISO gets a new one with a new installer.
pub(super) async fn with_installer(api: &Api, names: &[String]) -> anyhow::Result<Vec<String>> {
    let wanted = names.iter().any(|name| name == image::ISO);
    let mut names: Vec<_> = names.iter().filter(|name| *name != image::ISO).cloned().collect();
    let renewed = async || -> anyhow::Result<bool> {
        let known: Vec<Image> = api.get("/images").await?;
        Ok(known.iter().any(|known| known.name == image::ISO))
    };
    if wanted || (names.iter().any(|name| name == image::INSTALLER) && renewed().await?) {
        // After the installer that it carries.
        names.push(image::ISO.to_owned());
    }
    Ok(names)
}

/// How the boot ISO is made of the server's newest installer.
pub(super) fn recipe(share: &Path, known: &[Image], out: &Path) -> anyhow::Result<Recipe> {
    let fetched = parts(known, out)?;
    let file = out.join("lotse.iso");
    let folder = share.join("pxe/iso");
    Ok(Recipe {
        words: fetched.iter().map(|(sha256, _)| sha256.to_string()).collect(),
        argv: build(&folder, &fetched, "", &file),
        parts: [(image::FILE.to_owned(), file)].into(),
        inputs: vec![folder],
        fetched,
    })
}

/// Writes a boot ISO for this server, or for none.
pub(super) async fn write(
    api: &Api,
    file: &Path,
    share: &Path,
    command_line: &str,
    ask: bool,
) -> anyhow::Result<()> {
    let images: Vec<Image> = api.get("/images").await?;
    let scratch = tempfile::Builder::new().prefix("lotse-iso-").tempdir()?;
    let fetched = parts(&images, scratch.path())?;
    fetch(api, &fetched).await?;
    let mut words = String::new();
    if !ask {
        let server: Value = api.get("/server").await?;
        let text = |name: &str| server[name].as_str().unwrap_or_default();
        words = format!(
            "lotse.server={} lotse.agents={} lotse.boot={} lotse.ca={}",
            text("https"),
            text("agents"),
            text("boot"),
            text("ca")
        );
    }
    let words = format!("{words} {command_line}");
    process::run(&build(&share.join("pxe/iso"), &fetched, words.trim(), file), |_| {}).await?;
    say(&format!("{} is written, {}", file.display(), human(fs_err::metadata(file)?.len())));
    Ok(())
}

/// Shows the boot ISO that clouds fetch.
pub(super) async fn show(api: &Api) -> anyhow::Result<()> {
    let iso: BootIso = api.get("/boot-iso").await?;
    if api.wrote_json(&iso)? {
        return Ok(());
    }
    if !iso.current {
        note("There is a newer installer: `lotse image build iso`.");
    }
    let rows = [
        ("URL", iso.url),
        ("SIZE", human(iso.size_bytes)),
        ("CHECKSUM", iso.checksum),
        ("BUILT (UTC)", time(iso.built_at)),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["BOOT ISO", ""], &rows);
    Ok(())
}

/// What of the installer an ISO carries, and the files that it is fetched to.
fn parts(images: &[Image], to: &Path) -> anyhow::Result<Vec<(Sha256, PathBuf)>> {
    let installer = images
        .iter()
        .find(|image| image.name == image::INSTALLER)
        .context("there is no installer image yet: `lotse image build`")?;
    let part = |name: &str| {
        let blob = installer.parts.get(name).with_context(|| format!("the installer image has no {name}"))?;
        Ok((blob.sha256.clone(), to.join(name)))
    };
    PARTS.into_iter().map(part).collect()
}

/// Fetches files of the server, and checks them.
pub(super) async fn fetch(api: &Api, files: &[(Sha256, PathBuf)]) -> anyhow::Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let server: Value = api.get("/server").await?;
    let boot = server["boot"].as_str().unwrap_or_default();
    for (sha256, file) in files {
        let answer = reqwest::get(format!("{boot}/boot/blobs/{sha256}")).await?;
        let bytes = answer.error_for_status()?.bytes().await?;
        if blobs::hash(&bytes) != *sha256 {
            bail!("{} did not arrive whole; try again", file.display());
        }
        if let Some(directory) = file.parent() {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::write(file, &bytes)?;
    }
    Ok(())
}

/// The program that makes an ISO of the fetched parts.
fn build(folder: &Path, fetched: &[(Sha256, PathBuf)], words: &str, file: &Path) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let mut argv = vec![text(&folder.join("build.sh"))];
    for (option, (_, path)) in ["--kernel", "--initramfs"].into_iter().zip(fetched) {
        argv.extend([option.to_owned(), text(path)]);
    }
    argv.extend(["--cmdline".to_owned(), words.to_owned(), "--out".to_owned(), text(file)]);
    argv
}
