//! Makes the target bootable from its own disk: kernel, initial RAM disk, GRUB. Afterwards it is looked whether that is true.

use std::path::Path;

use anyhow::anyhow;
use wire::{facts::Firmware, storage::DiskExpectation};

use super::{StepContext, StepError, chroot::Chroot};
use crate::{
    disk::{identify, usage},
    host::Command,
};

mod settings;
mod uefi;
mod verify;

/// What the plan says about booting.
pub(super) struct Booting<'a> {
    pub(super) firmware: Firmware,
    pub(super) disks: &'a [DiskExpectation],
    pub(super) kernel_packages: &'a [String],
    pub(super) packages: &'a [String],
    pub(super) command_line: &'a str,
}

/// Programs say so in these words when asking again does not help.
const UNKNOWN_PACKAGE: [&str; 2] = ["Unable to locate package", "has no installation candidate"];

/// Installs kernel and boot loader.
pub(super) async fn execute(ctx: &StepContext<'_>, booting: &Booting<'_>) -> Result<(), StepError> {
    if let Some(reason) = settings::unfit(booting.command_line) {
        return Err(StepError::Refused(reason));
    }
    let chroot = Chroot::enter(ctx)?;
    install(ctx, booting).await?;
    chroot.leave(ctx).await?;
    verify::verify(ctx, booting.firmware).map_err(StepError::Permanent)
}

async fn in_target(ctx: &StepContext<'_>, argv: &[&str]) -> Result<String, StepError> {
    let command = Command::new(argv.iter().copied())
        .in_root(ctx.target)
        .with_environment("DEBIAN_FRONTEND", "noninteractive");
    Ok(ctx.run(&command).await?)
}

async fn install(ctx: &StepContext<'_>, booting: &Booting<'_>) -> Result<(), StepError> {
    ctx.voice.progress(5, "looking which packages are missing");
    let missing = missing(ctx, booting).await;
    if !missing.is_empty() {
        ctx.say(&format!("installing {}", missing.join(", ")));
        ctx.voice.progress(10, "installing kernel and boot loader");
        packages(ctx, &missing).await?;
    }
    let file = ctx.target.join("etc/default/grub.d/lotse.cfg");
    ctx.host.write(&file, settings::settings(booting.command_line).as_bytes(), 0o644)?;
    initial_ram_disks(ctx).await?;
    ctx.voice.progress(60, "installing the boot loader");
    match booting.firmware {
        Firmware::Uefi => uefi::install(ctx).await?,
        Firmware::Bios | Firmware::Unknown => {
            for disk in booting.disks {
                let path =
                    identify::find(ctx.host, disk).map_err(|error| StepError::Refused(error.to_string()))?;
                let path = path.display().to_string();
                in_target(ctx, &["grub-install", "--target=i386-pc", "--recheck", &path]).await?;
            }
        }
    }
    ctx.voice.progress(85, "writing the boot menu");
    name_root(ctx).await?;
    in_target(ctx, &["update-grub"]).await?;
    ctx.voice.progress(100, "");
    Ok(())
}

/// The installer has no udev, and without this link update-grub would name the root by a device whose name may be another's at the next start.
async fn name_root(ctx: &StepContext<'_>) -> Result<(), StepError> {
    const NAMES: &str = "/dev/disk/by-uuid";
    let uuid = verify::root(ctx).map_err(StepError::Permanent)?;
    let mounted = usage::mounted(ctx.host)?.into_iter().rev().find(|mounted| mounted.place == ctx.target);
    let device = mounted
        .ok_or_else(|| StepError::Permanent(anyhow!("nothing is mounted at {}", ctx.target.display())))?;
    ctx.host.create_dir(Path::new(NAMES))?;
    let (device, link) = (device.source.display().to_string(), format!("{NAMES}/{uuid}"));
    ctx.run(&Command::new(["ln", "-sfn", &device, &link])).await?;
    Ok(())
}

async fn packages(ctx: &StepContext<'_>, packages: &[String]) -> Result<(), StepError> {
    let classed = |error: StepError| match error {
        StepError::Permanent(error) if UNKNOWN_PACKAGE.iter().all(|w| !error.to_string().contains(w)) => {
            StepError::Transient(error)
        }
        other => other,
    };
    // Configured half by an attempt that was cut off.
    in_target(ctx, &["dpkg", "--configure", "-a"]).await?;
    in_target(ctx, &["apt-get", "-q", "update"]).await.map_err(classed)?;
    let mut argv = vec!["apt-get", "-q", "-y", "--no-install-recommends", "install", "--"];
    argv.extend(packages.iter().map(String::as_str));
    in_target(ctx, &argv).await.map_err(classed)?;
    Ok(())
}

/// Makes those that are missing: every kernel has to have one.
async fn initial_ram_disks(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let files = ctx.host.list(&ctx.target.join("boot"))?;
    for version in files.iter().filter_map(|name| name.strip_prefix("vmlinuz-")) {
        if files.contains(&format!("initrd.img-{version}")) {
            continue;
        }
        ctx.voice.progress(40, "making the initial RAM disk");
        let began_at = ctx.host.now();
        in_target(ctx, &["update-initramfs", "-c", "-k", version]).await?;
        let seconds = (ctx.host.now() - began_at) / 1_000_000;
        ctx.say(&format!("made the initial RAM disk of {version} in {seconds} s"));
    }
    Ok(())
}

async fn missing(ctx: &StepContext<'_>, booting: &Booting<'_>) -> Vec<String> {
    // One question for all of them: on a slow machine, starting the program takes longer than its answer.
    let query =
        Command::new(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n"]).in_root(ctx.target);
    let listed = ctx.host.run(&query, &|_, _| {}, ctx.stop).await.unwrap_or_default();
    let installed: Vec<_> = listed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    let wanted = booting.kernel_packages.iter().chain(booting.packages);
    wanted.filter(|package| !installed.contains(&package.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests;
