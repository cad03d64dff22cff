//! The target as a place where programs run: kernel file systems mounted, no service started, names resolved as here. All of it is
//! taken away again, whatever happened.

use std::path::{Path, PathBuf};

use super::{StepContext, StepError, write_file};
use crate::host::{Command, Host};

/// Debian's invoke-rc.d(8) asks this program before it starts a service.
const POLICY: &str = "usr/sbin/policy-rc.d";
const NAMES: &str = "/etc/resolv.conf";
const VARIABLES: &str = "/sys/firmware/efi/efivars";

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
        chroot.mount("/dev", "dev", "", "rbind")?;
        // Unmounting here must not unmount there (mount_namespaces(7), "Shared subtrees").
        ctx.host.mount("none", &chroot.target.join("dev"), "", "rslave")?;
        for (source, place, kind, options) in [
            ("proc", "proc", "proc", "nosuid,nodev,noexec"),
            ("sysfs", "sys", "sysfs", "nosuid,nodev,noexec"),
            ("tmpfs", "run", "tmpfs", "nosuid,nodev,mode=0755"),
        ] {
            chroot.mount(source, place, kind, options)?;
        }
        if ctx.host.exists(Path::new(VARIABLES)) {
            let mounted = chroot.mount("efivarfs", &VARIABLES[1..], "efivarfs", "nosuid,nodev,noexec");
            // The boot loader is found without variables, too.
            if let Err(error) = mounted {
                ctx.say(&format!("the firmware's variables are out of reach: {error}"));
            }
        }
        chroot.resolve_names()?;
        ctx.host.write(&chroot.target.join(POLICY), b"#!/bin/sh\nexit 101\n", 0o755)?;
        Ok(chroot)
    }

    /// Leaves it in good order: what programs wrote is on the disks before the step counts as done.
    ///
    /// # Errors
    /// The disks refuse.
    pub(super) async fn leave(self, ctx: &StepContext<'_>) -> Result<(), StepError> {
        drop(self);
        ctx.run(&Command::new(["sync"])).await?;
        Ok(())
    }

    fn mount(&mut self, source: &str, place: &str, kind: &str, options: &str) -> Result<(), StepError> {
        let path = self.target.join(place);
        self.host.create_dir(&path)?;
        self.host.mount(source, &path, kind, options)?;
        self.mounted.push(path);
        Ok(())
    }

    /// Systems with a resolver of their own have a link into `/run` there, others a file of the machine that made them, or nothing.
    fn resolve_names(&mut self) -> Result<(), StepError> {
        let Ok(names) = self.host.read(Path::new(NAMES)) else { return Ok(()) };
        let place = self.target.join(&NAMES[1..]);
        if let Ok(link) = self.host.read_link(&place) {
            let resolved = write_file::resolve(self.host, &self.target, &Path::new("/etc").join(link))?;
            if resolved.starts_with(self.target.join("run")) {
                self.host.write(&resolved, &names, 0o644)?;
            }
        } else if self.host.exists(&place) {
            self.host.mount(NAMES, &place, "", "bind")?;
            self.mounted.push(place);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::fake::FakeHost, steps::testing::Stage};

    #[tokio::test]
    async fn nothing_of_it_stays() {
        let stage = Stage::new(FakeHost::new(0).with_file(NAMES, "nameserver 10.0.0.1"));
        let chroot = Chroot::enter(&stage.ctx()).unwrap();
        assert!(stage.host.text("/target/usr/sbin/policy-rc.d").contains("exit 101"));
        chroot.leave(&stage.ctx()).await.unwrap();
        assert_eq!(stage.host.mounts(), []);
        assert_eq!(stage.host.text("/target/usr/sbin/policy-rc.d"), "");
        assert_eq!(stage.host.command_lines(), ["sync"]);
    }

    #[test]
    fn names_are_resolved_as_in_the_installer_whatever_the_target_has() {
        let linked = FakeHost::new(0)
            .with_file(NAMES, "nameserver 10.0.0.1")
            .with_link("/target/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        let stage = Stage::new(linked);
        let chroot = Chroot::enter(&stage.ctx()).unwrap();
        let written = stage.host.text("/target/run/systemd/resolve/stub-resolv.conf");
        assert_eq!(written, "nameserver 10.0.0.1");
        drop(chroot);
        let plain = FakeHost::new(0)
            .with_file(NAMES, "nameserver 10.0.0.1")
            .with_file("/target/etc/resolv.conf", "nameserver 192.0.2.9");
        let stage = Stage::new(plain);
        let _chroot = Chroot::enter(&stage.ctx()).unwrap();
        let last = stage.host.mounts().pop().unwrap();
        assert_eq!((last.source.as_str(), last.target), (NAMES, "/target/etc/resolv.conf".into()));
        assert_eq!(stage.host.text("/target/etc/resolv.conf"), "nameserver 192.0.2.9");
    }
}
