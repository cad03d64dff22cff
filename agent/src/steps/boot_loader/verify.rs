//! Whether what was installed can boot.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use wire::facts::Firmware;

use super::StepContext;

/// What a disk's own boot record starts, and what every firmware looks for on a disk that it does not know (UEFI specification, 3.5.1.1).
const BIOS_CORE: &str = "boot/grub/i386-pc/core.img";
const UEFI_FALLBACK: &str = "boot/efi/EFI/BOOT/BOOTX64.EFI";

/// The loader is where the firmware looks, the menu names the root by what never changes, and the files that it names are there.
pub(super) fn verify(ctx: &StepContext<'_>, firmware: Firmware) -> anyhow::Result<()> {
    let loader = if firmware == Firmware::Uefi { UEFI_FALLBACK } else { BIOS_CORE };
    if !ctx.host.exists(&ctx.target.join(loader)) {
        bail!("the boot loader was installed, but there is no /{loader}");
    }
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
    let uuid = root(ctx)?;
    // Names such as /dev/sda are dealt out anew at every start.
    let named = format!("root=UUID={uuid}");
    match menu.lines().map(str::trim).find(|line| line.starts_with("linux")) {
        Some(line) if !line.contains(&named) => {
            bail!("the boot menu does not name the root file system {uuid}: {line}")
        }
        _ => Ok(()),
    }
}

/// UUID of the root file system, by the target's fstab.
pub(super) fn root(ctx: &StepContext<'_>) -> anyhow::Result<String> {
    let fstab = ctx.host.read(&ctx.target.join("etc/fstab")).context("looking at fstab")?;
    let fstab = String::from_utf8_lossy(&fstab);
    let root = fstab.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let source = fields.next()?;
        (fields.next() == Some("/")).then(|| source.trim_start_matches("UUID=").to_owned())
    });
    root.ok_or_else(|| anyhow!("fstab has no line for /"))
}
