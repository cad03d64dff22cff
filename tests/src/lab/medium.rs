//! Media by which clouds tell a machine something, made and unpacked by the tools that clouds use.

use std::path::Path;

use anyhow::{Context, Result};

use super::process::run;

/// `NoCloud`: a medium with the label `cidata`, made by cloud-localds(1). `file_system`: `iso9660` or `vfat`.
///
/// # Errors
/// The program is missing (packaging/setup.sh installs cloud-image-utils) or fails.
pub fn nocloud(image: &Path, text: &str, file_system: &str) -> Result<()> {
    let user_data = image.with_extension("user-data");
    fs_err::write(&user_data, text)?;
    let (image, user_data) = (image.display().to_string(), user_data.display().to_string());
    run(&["cloud-localds", "--filesystem", file_system, &image, &user_data]).map(drop)
}

/// A configuration drive with the files of a directory, made with the words of OpenStack Nova's `virt/configdrive.py`.
///
/// # Errors
/// xorriso is missing or fails.
pub fn configuration_drive(image: &Path, files: &Path) -> Result<()> {
    let (image, files) = (image.display().to_string(), files.display().to_string());
    let words = ["-l", "-quiet", "-J", "-r", "-V", "config-2"];
    run(&[&["xorriso", "-as", "mkisofs", "-o", &image], words.as_slice(), &[&files]].concat()).map(drop)
}

/// The files of an image, as somebody sees them who mounts it.
///
/// # Errors
/// xorriso or mtools is missing, or the image is none.
pub fn unpack(image: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    let (image, to) = (image.display().to_string(), to.display().to_string());
    // The first sectors of an ISO say nothing to mtools, and the other way round.
    let unpacked = run(&["mcopy", "-s", "-n", "-i", &image, "::", &to])
        .or_else(|_| run(&["xorriso", "-osirrox", "on", "-indev", &image, "-extract", "/", &to]));
    unpacked.map(drop).with_context(|| format!("unpacking {image}"))
}
