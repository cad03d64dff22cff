//! How a fake machine goes down and comes up again, and what is left of its files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{FakeFile, FakeHost, State};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Made anew by the kernel at every boot, the same each time.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Boots so far, so that boot ids are unique among all machines of a process.
static BOOTS: AtomicU64 = AtomicU64::new(1);

impl FakeHost {
    /// Pulls the plug and boots again: what was not synced is lost, and so is everything below `/run`.
    pub fn power_cut(&self) {
        self.lose_unsynced();
        self.restart();
    }

    /// Restarts in good order: only what is below `/run` is lost.
    pub fn restart(&self) {
        self.state().move_files(|path| (!path.starts_with("/run")).then(|| path.to_owned()));
        self.boot();
    }

    /// Boots a RAM system: of all files only those below `disk`, which is mounted there later, outlast it.
    pub fn boot_memory(&self, disk: &str) {
        self.state().move_files(|path| path.starts_with(disk).then(|| path.to_owned()));
        self.boot();
    }

    /// Puts the files of the running system to where a RAM system will find its disk, see [`FakeHost::boot_memory`].
    pub fn leave_disk(&self, disk: &str) {
        let place = |path: &Path| Some(Path::new(disk).join(path.strip_prefix("/").ok()?));
        self.state().move_files(|path| if path.starts_with("/run") { None } else { place(path) });
    }

    /// Boots the system that was installed below `disk`: its files are the machine's now.
    pub fn boot_disk(&self, disk: &str) {
        let root = Path::new("/");
        self.state().move_files(|path| path.strip_prefix(disk).ok().map(|inner| root.join(inner)));
        self.boot();
    }

    /// Boots: nothing is mounted, the boot id is a new one.
    pub fn boot(&self) {
        let mut state = self.state();
        state.mounts.clear();
        state.entered = None;
        let id = format!("fake-boot-{}\n", BOOTS.fetch_add(1, Ordering::Relaxed)).into_bytes();
        state.files.insert(
            BOOT_ID.into(),
            FakeFile { synced: id.len(), content: id, mode: 0o444, owner: (0, 0), number: 0 },
        );
    }

    /// Forgets what was written but not synced, as a power cut does.
    pub fn lose_unsynced(&self) {
        for file in self.state().files.values_mut() {
            file.content.truncate(file.synced);
        }
    }
}

impl State {
    /// Keeps the kernel's files, and of all others those for which `place` names one.
    fn move_files(&mut self, place: impl Fn(&Path) -> Option<PathBuf>) {
        let place = |path: &PathBuf| {
            if KERNEL.iter().any(|kernel| path.starts_with(kernel)) {
                Some(path.clone())
            } else {
                place(path)
            }
        };
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.filter_map(|(path, file)| Some((place(&path)?, file))).collect::<BTreeMap<_, _>>();
        let links = std::mem::take(&mut self.links).into_iter();
        self.links = links.filter_map(|(path, to)| Some((place(&path)?, to))).collect::<BTreeMap<_, _>>();
        let directories = std::mem::take(&mut self.directories).into_iter();
        self.directories = directories.filter_map(|path| place(&path)).collect::<BTreeSet<_>>();
    }
}
