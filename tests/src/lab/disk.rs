//! A disk of a machine: a sparse file that outlives the machine's power.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// How a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// `/dev/vdX`
    Virtio,
    /// `/dev/nvmeXn1`
    Nvme,
    /// `/dev/sdX`; 512-byte sectors only.
    Ata,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The file that holds its content.
    pub path: PathBuf,
    /// Serial number, at most 20 characters.
    pub serial: String,
    /// How it is attached.
    pub bus: Bus,
    /// Bytes of a sector, logical and physical: 512 or 4096.
    pub sector: u32,
}

impl Disk {
    /// An empty virtio disk of `gib` GiB with 512-byte sectors; an older file at `path` is replaced.
    pub fn create(path: &Path, serial: &str, gib: u64) -> Result<Self> {
        fs_err::File::create(path)?.into_file().set_len(gib << 30)?;
        Ok(Self::existing(path, serial))
    }

    /// A disk whose file is already there.
    pub fn existing(path: &Path, serial: &str) -> Self {
        Self { path: path.to_owned(), serial: serial.to_owned(), bus: Bus::Virtio, sector: 512 }
    }

    /// On another bus.
    #[must_use]
    pub fn on(self, bus: Bus) -> Self {
        Self { bus, ..self }
    }

    /// With another sector size.
    #[must_use]
    pub fn with_sector(self, sector: u32) -> Self {
        Self { sector, ..self }
    }

    /// QEMU's options for it, as drive `id` at place `boot` of the boot order.
    pub(super) fn options(&self, id: &str, boot: usize) -> [String; 4] {
        let device = match self.bus {
            Bus::Virtio => "virtio-blk-pci",
            Bus::Nvme => "nvme",
            Bus::Ata => "ide-hd",
        };
        let Self { path, serial, sector, .. } = self;
        [
            "-drive".into(),
            format!("if=none,id={id},format=raw,cache=unsafe,discard=unmap,file={}", path.display()),
            "-device".into(),
            format!(
                "{device},drive={id},serial={serial},bootindex={boot},logical_block_size={sector},physical_block_size={sector}"
            ),
        ]
    }
}
