//! UEFI: signed shim and GRUB in their distribution's directory and where every firmware looks, and the order in which the firmware tries.

use std::path::Path;

use super::{StepContext, StepError, in_target};
use crate::{facts::os, host::Command};

/// Installs the loader. A machine that was booted over the network goes on trying that first, and the server decides.
pub(super) async fn install(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let before = if ctx.host.exists(Path::new("/sys/firmware/efi/efivars")) {
        Variables::read(ctx).await
    } else {
        Variables::default()
    };
    // The signed GRUB looks for its configuration in its distribution's own directory, so it must have that name.
    let release = ctx.host.read(&ctx.target.join("etc/os-release"))?;
    let id = format!("--bootloader-id={}", os::field(&String::from_utf8_lossy(&release), "ID"));
    let argv = [
        "grub-install",
        "--target=x86_64-efi",
        "--efi-directory=/boot/efi",
        &id,
        "--uefi-secure-boot",
        "--force-extra-removable",
    ];
    let without_entry = [&argv[..], &["--no-nvram"]].concat();
    if before.order.is_empty() {
        // No variables, or a firmware that keeps no order: it finds the loader by itself.
        in_target(ctx, &without_entry).await?;
        return Ok(());
    }
    if let Err(error @ StepError::Permanent(_)) = in_target(ctx, &argv).await {
        // Variables can be full or read-only; the rest of the installation has to work without them, or fails now.
        in_target(ctx, &without_entry).await?;
        ctx.say(&format!("the firmware took no boot entry ({error}); it finds the loader by itself"));
        return Ok(());
    }
    let after = Variables::read(ctx).await;
    let order = order(&before, &after).join(",");
    if let Err(error @ StepError::Permanent(_)) = in_target(ctx, &["efibootmgr", "-q", "-o", &order]).await {
        ctx.say(&format!("the firmware's order stays as it is: {error}"));
    }
    if ctx.stop.is_cancelled() { Err(StepError::Stopped) } else { Ok(()) }
}

/// What efibootmgr(8) shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Variables {
    /// Entries in the order in which they are tried.
    order: Vec<String>,
    /// The entry that this boot came from.
    current: String,
    /// Entries that boot over a network.
    network: Vec<String>,
}

impl Variables {
    /// Nothing when there are none, or no efibootmgr.
    async fn read(ctx: &StepContext<'_>) -> Self {
        let command = Command::new(["efibootmgr", "-v"]).in_root(ctx.target);
        Self::parse(&ctx.host.run(&command, &|_, _| {}, ctx.stop).await.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut variables = Self::default();
        for line in text.lines() {
            if let Some(order) = line.strip_prefix("BootOrder: ") {
                variables.order = order.trim().split(',').map(str::to_owned).collect();
            } else if let Some(current) = line.strip_prefix("BootCurrent: ") {
                current.trim().clone_into(&mut variables.current);
            } else if let Some((number, rest)) =
                line.strip_prefix("Boot").and_then(|rest| rest.split_at_checked(4))
            {
                let rest = rest.to_ascii_lowercase();
                // The words of firmware makers, and device path nodes (UEFI specification, 10.3.4).
                let words = ["pxe", "network", "mac(", "ipv4", "ipv6", "http"];
                if words.iter().any(|word| rest.contains(word)) {
                    variables.network.push(number.to_owned());
                }
            }
        }
        variables
    }
}

/// The order from before, with new entries behind the network entries that this boot came from, or else behind those at the beginning.
fn order(before: &Variables, after: &Variables) -> Vec<String> {
    let is_network = |entry: &String| before.network.contains(entry);
    // grub-install removes the entry of an earlier installation.
    let kept: Vec<_> = before.order.iter().filter(|entry| after.order.contains(entry)).cloned().collect();
    let new: Vec<_> = after.order.iter().filter(|entry| !kept.contains(entry)).cloned().collect();
    let start = kept.iter().position(|entry| *entry == before.current && is_network(entry)).unwrap_or(0);
    let place = start + kept[start..].iter().take_while(|entry| is_network(entry)).count();
    [&kept[..place], &new, &kept[place..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    /// As efibootmgr 17 shows OVMF after a boot over the network; tabs before device paths.
    const BEFORE: &str = "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: 0000,0003,0004,0001\n\
        Boot0000* UiApp\tFvVol(7cb8bdc9)/FvFile(462caa21)\n\
        Boot0001* EFI Internal Shell\tFvVol(7cb8bdc9)/FvFile(7c04a583)\n\
        Boot0003* UEFI PXEv4 (MAC:525400123456)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,1)/IPv4(0.0.0.00.0.0.0,0,0)\n\
        Boot0004* UEFI PXEv6 (MAC:525400123456)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400123456,1)/IPv6([::]:<->[::]:,0,0)\n";
    const AFTER: &str = "BootCurrent: 0003\nBootOrder: 0005,0000,0003,0004,0001\nBoot0005* debian\tHD(1,GPT,x)/File(\\EFI\\debian\\shimx64.efi)\n";

    fn stage() -> Stage {
        let host = FakeHost::new(0)
            .with_file("/sys/firmware/efi/efivars/BootOrder-8be4df61", "")
            .with_file("/target/etc/os-release", "ID=debian\n");
        host.answer("efibootmgr -v", Answer::prints(AFTER));
        host.answer("efibootmgr -v", Answer::prints(BEFORE).once());
        Stage::new(host)
    }

    #[tokio::test]
    async fn the_new_entry_comes_behind_the_network_that_the_machine_was_booted_from() {
        let stage = stage();
        install(&stage.ctx()).await.unwrap();
        let commands = stage.host.command_lines();
        assert!(commands[1].contains("--bootloader-id=debian --uefi-secure-boot"), "{commands:?}");
        assert_eq!(commands.last().unwrap(), "efibootmgr -q -o 0000,0003,0004,0005,0001");
    }

    #[tokio::test]
    async fn a_firmware_that_takes_no_entry_finds_the_loader_by_itself() {
        let stage = stage();
        stage.host.answer("grub-install", Answer::default());
        stage.host.answer("grub-install", Answer::fails(1, "efibootmgr: No space left on device").once());
        install(&stage.ctx()).await.unwrap();
        assert!(stage.host.command_lines().last().unwrap().ends_with("--no-nvram"));
        assert!(stage.said().contains("took no boot entry"));
        stage.host.answer("grub-install", Answer::fails(1, "no ESP"));
        install(&stage.ctx()).await.unwrap_err();
    }

    #[test]
    fn booted_from_something_else_the_disk_comes_first_unless_the_network_was() {
        let variables = |order: &[&str], current: &str| Variables {
            order: order.iter().map(|entry| (*entry).to_owned()).collect(),
            current: current.to_owned(),
            network: vec!["N".to_owned(), "M".to_owned()],
        };
        let placed = |before: &[&str], current: &str, after: &[&str]| {
            order(&variables(before, current), &variables(after, current)).join(" ")
        };
        assert_eq!(placed(&["H", "N", "C"], "C", &["D", "H", "N", "C"]), "D H N C");
        assert_eq!(placed(&["N", "M", "H", "C"], "C", &["D", "N", "M", "H", "C"]), "N M D H C");
        // The entry of an earlier installation is gone, or has come again under its number.
        assert_eq!(placed(&["N", "O", "H"], "N", &["D", "N", "H"]), "N D H");
        assert_eq!(placed(&["N", "D", "H"], "N", &["D", "N", "H"]), "N D H");
    }
}
