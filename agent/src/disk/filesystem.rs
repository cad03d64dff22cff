//! File systems: made by their own programs, without a question, with the UUID that the plan names.

use std::path::Path;

use wire::storage::FileSystem;

use crate::{
    host::Command,
    steps::{StepContext, StepError},
};

/// The kernel's name of a file system.
pub fn kernel_name(format: FileSystem) -> &'static str {
    match format {
        FileSystem::Ext4 => "ext4",
        FileSystem::Xfs => "xfs",
        FileSystem::Btrfs => "btrfs",
        FileSystem::Vfat => "vfat",
        FileSystem::Swap => "swap",
    }
}

/// Program and arguments that make a file system; `-f` and its like because what was there before was planned to go.
fn argv(device: &str, format: FileSystem, uuid: &str, label: &str) -> Vec<String> {
    let serial = uuid.replace('-', "");
    let (fixed, label_flag): (Vec<&str>, &str) = match format {
        FileSystem::Ext4 => (vec!["mkfs.ext4", "-F", "-q", "-U", uuid], "-L"),
        FileSystem::Xfs => {
            let uuid_word = "-m";
            (vec!["mkfs.xfs", "-f", "-q", uuid_word], "-L")
        }
        FileSystem::Btrfs => (vec!["mkfs.btrfs", "-f", "-q", "-U", uuid], "-L"),
        FileSystem::Vfat => (vec!["mkfs.vfat", "-F", "32", "-i", &serial], "-n"),
        FileSystem::Swap => (vec!["mkswap", "-f", "-U", uuid], "-L"),
    };
    let mut argv: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    if format == FileSystem::Xfs {
        argv.push(format!("uuid={uuid}"));
    }
    if !label.is_empty() {
        argv.extend([label_flag.to_owned(), label.to_owned()]);
    }
    argv.push(device.to_owned());
    argv
}

/// Makes a file system or swap space.
///
/// # Errors
/// The program fails.
pub async fn make(
    ctx: &StepContext<'_>,
    device: &Path,
    format: FileSystem,
    uuid: &str,
    label: &str,
) -> Result<(), StepError> {
    ctx.say(&format!("making {} on {}", kernel_name(format), device.display()));
    ctx.run(&Command::new(argv(&device.display().to_string(), format, uuid, label))).await?;
    Ok(())
}

/// The UUID of what a device carries, by blkid(8); empty when it carries nothing that blkid knows.
///
/// # Errors
/// The program cannot be run.
pub async fn uuid_of(ctx: &StepContext<'_>, device: &Path) -> Result<String, StepError> {
    let command = Command::new(["blkid", "-p", "-s", "UUID", "-o", "value", &device.display().to_string()]);
    match ctx.host.run(&command, &|_, _| {}, ctx.stop).await {
        Ok(text) => Ok(text.trim().to_owned()),
        // Status 2: nothing was recognised.
        Err(crate::host::Error::Status { status, .. }) if status == "status 2" => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_left_to_ask_a_question() {
        for format in [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs, FileSystem::Swap] {
            let words = argv("/dev/vda1", format, "u-u", "data");
            assert!(words.iter().any(|word| word == "-f" || word == "-F"), "{words:?}");
            assert!(words.iter().any(|word| word == "u-u" || word == "uuid=u-u"), "{words:?}");
            assert_eq!(words.last().map(String::as_str), Some("/dev/vda1"));
        }
        assert!(argv("/dev/vda1", FileSystem::Vfat, "ABCD-1234", "").contains(&"ABCD1234".to_owned()));
    }
}
