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
        let mut argv = vec!["apt-get", "-q", "-y", "--no-install-recommends", "install", "--"];
        argv.extend(missing.iter().map(String::as_str));
        in_target(ctx, &argv).await.map_err(transient)?;
    }
    ctx.host.write(
        &ctx.target.join("etc/default/grub.d/lotse.cfg"),
        settings(booting.command_line).as_bytes(),
        0o644,
    )?;
    if ctx.host.list(&ctx.target.join("boot"))?.iter().all(|name| !name.starts_with("initrd.img-")) {
        ctx.voice.progress(40, "making the initial RAM disk");
        in_target(ctx, &["update-initramfs", "-c", "-k", "all"]).await?;
    }
    ctx.voice.progress(60, "installing the boot loader");
    match booting.firmware {
        Firmware::Uefi => uefi(ctx).await?,
        Firmware::Bios | Firmware::Unknown => {
            for disk in booting.disks {
                let path =
                    identify::find(ctx.host, disk).map_err(|error| StepError::Refused(error.to_string()))?;
                in_target(
                    ctx,
                    &["grub-install", "--target=i386-pc", "--recheck", &path.display().to_string()],
                )
                .await?;
            }
        }
    }
    ctx.voice.progress(85, "writing the boot menu");
    in_target(ctx, &["update-grub"]).await?;
    ctx.voice.progress(100, "");
    Ok(())
}

async fn missing(ctx: &StepContext<'_>, booting: &Booting<'_>) -> Vec<String> {
    let mut missing = Vec::new();
    for package in booting.kernel_packages.iter().chain(booting.packages) {
        let query = Command::new(["dpkg-query", "-W", "-f=${db:Status-Status}", package]).in_root(ctx.target);
        let state = ctx.host.run(&query, &|_, _| {}, ctx.stop).await.unwrap_or_default();
        if state != "installed" {
            missing.push(package.clone());
        }
    }
    missing
}

fn settings(command_line: &str) -> String {
    let mut text = format!(
        "# Written by Lotse.\nGRUB_TIMEOUT=2\nGRUB_DISABLE_OS_PROBER=true\nGRUB_CMDLINE_LINUX=\"{command_line}\"\n"
    );
    let serial = command_line.split(' ').find_map(|word| word.strip_prefix("console=ttyS"));
    if let Some((unit, speed)) = serial.map(|serial| serial.split_once(',').unwrap_or((serial, "115200"))) {
        let speed: String = speed.chars().take_while(char::is_ascii_digit).collect();
        text.push_str(&format!(
            "GRUB_TERMINAL=\"console serial\"\nGRUB_SERIAL_COMMAND=\"serial --unit={unit} --speed={speed}\"\n"
        ));
    }
    text
}

/// Signed shim and GRUB under their own name and under the name that every firmware looks for, so that the disk boots in another
/// machine too. The firmware's order stays: a machine that boots over the network first goes on doing so, and the server decides.
async fn uefi(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let variables = ctx.host.exists(Path::new("/sys/firmware/efi/efivars"));
    let before = if variables { boot_order(ctx).await } else { Vec::new() };
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
