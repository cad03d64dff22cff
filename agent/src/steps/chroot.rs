//! The target as a place where programs run: kernel file systems mounted, no service started, names resolved as here. All of it is
//! taken away again, whatever happened.

use std::path::{Path, PathBuf};

use super::{StepContext, StepError};
use crate::host::Host;

/// Debian's invoke-rc.d(8) asks this program before it starts a service.
const POLICY: &str = "usr/sbin/policy-rc.d";

/// The target, ready for programs until it is dropped.
pub(super) struct Chroot<'a> {
    host: &'a dyn Host,
    target: PathBuf,
    mounted: Vec<PathBuf>,
}

impl<'a> Chroot<'a> {
    /// Makes the target ready.
    pub(super) fn enter(ctx: &StepContext<'a>) -> Result<Self, StepError> {
        let mut chroot = Self { host: ctx.host, target: ctx.target.to_owned(), mounted: Vec::new() };
        for (source, place, kind, options) in [
            ("/dev", "dev", "", "rbind"),
            ("proc", "proc", "proc", "nosuid,nodev,noexec"),
            ("sysfs", "sys", "sysfs", "nosuid,nodev,noexec"),
            ("tmpfs", "run", "tmpfs", "nosuid,nodev,mode=0755"),
        ] {
            chroot.mount(source, place, kind, options)?;
        }
        if ctx.host.exists(Path::new("/sys/firmware/efi/efivars")) {
            chroot.mount("efivarfs", "sys/firmware/efi/efivars", "efivarfs", "nosuid,nodev,noexec")?;
        }
        let resolved = chroot.target.join("run/systemd/resolve/stub-resolv.conf");
        if let Ok(names) = ctx.host.read(Path::new("/etc/resolv.conf")) {
            ctx.host.write(&resolved, &names, 0o644)?;
        }
        ctx.host.write(&chroot.target.join(POLICY), b"#!/bin/sh\nexit 101\n", 0o755)?;
        Ok(chroot)
    }

    fn mount(&mut self, source: &str, place: &str, kind: &str, options: &str) -> Result<(), StepError> {
        let path = self.target.join(place);
        self.host.create_dir(&path)?;
        self.host.mount(source, &path, kind, options)?;
        self.mounted.push(path);
        Ok(())
    }
}

impl Drop for Chroot<'_> {
    fn drop(&mut self) {
        let logged = |attempt: &str, result: Result<(), crate::host::Error>| {
            if let Err(error) = result {
                tracing::warn!(error = &error as &dyn std::error::Error, "{attempt}");
            }
        };
        logged("removing policy-rc.d", self.host.remove(&self.target.join(POLICY)));
        for path in self.mounted.iter().rev() {
            logged("unmounting in the target", self.host.unmount(path));
        }
    }
}
