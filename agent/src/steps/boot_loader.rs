//! Makes the target bootable from its own disk: kernel, initial RAM disk, GRUB. Afterwards it is looked whether that is true.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use wire::{facts::Firmware, storage::DiskExpectation};

use super::{StepContext, StepError, chroot::Chroot};
use crate::{disk::identify, facts::os, host::Command};

/// What the plan says about booting.
pub(super) struct Booting<'a> {
    pub(super) firmware: Firmware,
    pub(super) disks: &'a [DiskExpectation],
    pub(super) kernel_packages: &'a [String],
    pub(super) packages: &'a [String],
    pub(super) command_line: &'a str,
}

/// Installs kernel and boot loader.
pub(super) async fn execute(ctx: &StepContext<'_>, booting: &Booting<'_>) -> Result<(), StepError> {
    let chroot = Chroot::enter(ctx)?;
    let result = install(ctx, booting).await;
    drop(chroot);
    result?;
    verify(ctx).map_err(StepError::Permanent)
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
        let transient = |error: StepError| match error {
            StepError::Permanent(error) => StepError::Transient(error),
            other => other,
        };
        in_target(ctx, &["apt-get", "-q", "update"]).await.map_err(transient)?;
        // The signed GRUB looks for its configuration in its distribution's own directory, so it must have that name.
    let release = ctx.host.read(&ctx.target.join("etc/os-release"))?;
    let id = format!("--bootloader-id={}", os::field(&String::from_utf8_lossy(&release), "ID"));
    let mut argv = vec![
        "grub-install",
        "--target=x86_64-efi",
        "--efi-directory=/boot/efi",
        &id,
        "--uefi-secure-boot",
        "--force-extra-removable",
    ];
    if !variables {
        argv.push("--no-nvram");
    }
    in_target(ctx, &argv).await?;
    if !before.is_empty() {
        let mut order = before;
        let new: Vec<String> =
            boot_order(ctx).await.into_iter().filter(|entry| !order.contains(entry)).collect();
        order.extend(new);
        in_target(ctx, &["efibootmgr", "-q", "-o", &order.join(",")]).await?;
    }
    Ok(())
}

/// `BootOrder` of efibootmgr(8); empty when the firmware has none.
async fn boot_order(ctx: &StepContext<'_>) -> Vec<String> {
    let command = Command::new(["efibootmgr"]).in_root(ctx.target);
    let text = ctx.host.run(&command, &|_, _| {}, ctx.stop).await.unwrap_or_default();
    let order = text.lines().find_map(|line| line.strip_prefix("BootOrder: ")).unwrap_or_default();
    order.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Whether what was installed can boot: the menu names a root, and the files that it names are there.
fn verify(ctx: &StepContext<'_>) -> anyhow::Result<()> {
    let path = ctx.target.join("boot/grub/grub.cfg");
    let menu = ctx.host.read(&path).context("looking at the boot menu")?;
    let menu = String::from_utf8_lossy(&menu);
    let words = |first: &str| {
        menu.lines()
            .map(str::trim)
            .filter_map(|line| line.strip_prefix(first))
            .find_map(|rest| rest.split_whitespace().next().map(str::to_owned))
            .ok_or_else(|| anyhow!("{} has no `{}` line", path.display(), first.trim()))
    };
    for file in
        [words("linux\t").or_else(|_| words("linux "))?, words("initrd\t").or_else(|_| words("initrd "))?]
    {
        let name = Path::new(&file).file_name().unwrap_or_default();
        if !ctx.host.exists(&ctx.target.join("boot").join(name)) {
            bail!("the boot menu names {file}, which is not there");
        }
    }
    let fstab = ctx.host.read(&ctx.target.join("etc/fstab")).context("looking at fstab")?;
    let fstab = String::from_utf8_lossy(&fstab);
    let root = fstab.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let source = fields.next()?;
        (fields.next() == Some("/")).then(|| source.trim_start_matches("UUID=").to_owned())
    });
    match root {
        Some(uuid) if menu.contains(&uuid) => Ok(()),
        Some(uuid) => bail!("the boot menu does not name the root file system {uuid}"),
        None => bail!("fstab has no line for /"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_console_is_in_the_boot_menu_too() {
        let text = settings("console=tty0 console=ttyS0,115200");
        assert!(text.contains("GRUB_SERIAL_COMMAND=\"serial --unit=0 --speed=115200\""), "{text}");
        assert!(!settings("quiet").contains("serial"));
    }
}
