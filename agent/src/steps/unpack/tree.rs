//! Writes the members of an archive below a directory, and nowhere else: the kernel itself resolves every path as if that directory were
//! the root (openat2(2), `RESOLVE_IN_ROOT`), so no link in the archive or on the disk leads out.
//!
//! What is there already is replaced, so an archive can be unpacked again over half of itself.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2},
    sys::{
        stat::{Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, makedev, mkdirat, mknodat, utimensat},
        time::TimeSpec,
    },
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, syncfs, unlinkat},
};
use xattr::FileExt;

use super::archive::{Archive, Member};

/// Permissions of a directory until everything in it is written; also of those that the archive does not mention.
const OPEN_DIRECTORY: Mode = Mode::from_bits_truncate(0o755);

/// A directory that members are written below.
pub(super) struct Tree {
    root: OwnedFd,
    /// The directory of the last member: most follow in the same one.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times and permissions that are set when nothing is written any more.
    directories: Vec<(PathBuf, Member)>,
}

impl Tree {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: File::open(root)?.into(), parent: None, directories: Vec::new() })
    }

    /// Bytes in all of the file system of the root.
    pub(super) fn capacity(&self) -> io::Result<u64> {
        let space = nix::sys::statvfs::fstatvfs(&self.root)?;
        Ok(space.blocks() * space.fragment_size())
    }

    /// Writes one member with its content.
    pub(super) fn write<R: io::BufRead>(
        &mut self,
        member: Member,
        archive: &mut Archive<R>,
    ) -> io::Result<()> {
        let path = inside(&member.path)?;
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The root itself.
            self.directories.push((PathBuf::new(), member));
            return Ok(());
        };
        self.enter(path.parent().unwrap_or(Path::new("")))?;
        let Some((_, parent)) = &self.parent else { return Err(io::ErrorKind::NotADirectory.into()) };
        let name = name.as_os_str();
        let kind = member.kind;
        if kind.is_dir() {
            match mkdirat(parent, name, OPEN_DIRECTORY) {
                Err(Errno::EEXIST) if !is_directory(parent, name) => {
                    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?;
                    mkdirat(parent, name, OPEN_DIRECTORY)?;
                }
                Err(Errno::EEXIST) => {}
                made => made?,
            }
            self.directories.push((path, member));
            Ok(())
        } else if kind.is_symlink() {
            let link = OsStr::from_bytes(&member.link);
            replacing(parent, name, || symlinkat(link, parent, name))?;
            own(parent, name, &member)?;
            let time = time(&member);
            Ok(utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)?)
        } else if kind.is_hard_link() {
            let other = inside(&member.link)?;
            let there = self.directory(other.parent().unwrap_or(Path::new("")))?;
            let other = other.file_name().ok_or_else(|| outside(&member.link))?;
            Ok(replacing(parent, name, || linkat(&there, other, parent, name, AtFlags::empty()))?)
        } else if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
            node(parent, name, &member)
        } else {
            file(parent, name, &member, archive)
        }
    }

    /// Sets what writing would have changed again, and waits until everything is on the disks.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let mut file_systems = HashMap::new();
        for (path, member) in std::mem::take(&mut self.directories).into_iter().rev() {
            let about = |error: io::Error| in_member(&member.path, &error);
            let directory: File = self
                .open(&path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
                .map_err(|errno| about(errno.into()))?
                .into();
            finish_file(&directory, &member).map_err(about)?;
            file_systems.entry(fstat(&directory)?.st_dev).or_insert(directory);
        }
        syncfs(&self.root)?;
        for directory in file_systems.values() {
            syncfs(directory)?;
        }
        Ok(())
    }

    fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        openat2(&self.root, path, how)
    }

    /// Makes `path` the directory that members are written into.
    fn enter(&mut self, path: &Path) -> io::Result<()> {
        if self.parent.as_ref().is_none_or(|(entered, _)| entered != path) {
            let directory = self.directory(path)?;
            self.parent = Some((path.to_owned(), directory));
        }
        Ok(())
    }

    /// A directory below the root, made with its parents when the archive has none for it.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT) => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return Err(Errno::ENOENT.into());
                };
                mkdirat(&self.directory(parent)?, name, OPEN_DIRECTORY)?;
                Ok(self.open(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?)
            }
            opened => Ok(opened?),
        }
    }
}

/// The path of a member without root and dots.
fn inside(path: &[u8]) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(path)).components() {
        match part {
            Component::Normal(part) => inside.push(part),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => return Err(outside(path)),
        }
    }
    Ok(inside)
}

fn outside(path: &[u8]) -> io::Error {
    let path = String::from_utf8_lossy(path);
    io::Error::new(io::ErrorKind::InvalidData, format!("`{path}` lies outside of the archive"))
}

/// The reason with the name of the member, its kind kept.
pub(super) fn in_member(path: &[u8], error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", String::from_utf8_lossy(path)))
}

fn is_directory(parent: &OwnedFd, name: &OsStr) -> bool {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty()).is_ok()
}

/// Does what makes a name; when there is one, it goes first.
fn replacing<T>(parent: &OwnedFd, name: &OsStr, make: impl Fn() -> nix::Result<T>) -> nix::Result<T> {
    match make() {
        Err(Errno::EEXIST) => {
            unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)?;
            make()
        }
        made => made,
    }
}

fn file<R: io::BufRead>(
    parent: &OwnedFd,
    name: &OsStr,
    member: &Member,
    archive: &mut Archive<R>,
) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let private = Mode::from_bits_truncate(0o600);
    let mut file: File = replacing(parent, name, || openat(parent, name, flags, private))?.into();
    let mut at = 0;
    // A map may end with an empty piece at the end of the file, which only seeking does not make.
    for piece in member.pieces.iter().filter(|piece| piece.length > 0) {
        if piece.offset != at {
            file.seek(SeekFrom::Start(piece.offset))?;
        }
        archive.content(piece.length, |portion| file.write_all(portion))?;
        at = piece.offset + piece.length;
    }
    if at != member.size {
        file.set_len(member.size)?;
    }
    finish_file(&file, member)
}

/// In this order: a new owner clears set-user-id and file capabilities (chown(2)), writing attributes changes no time.
fn finish_file(file: &File, member: &Member) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(member.uid)), Some(Gid::from_raw(member.gid)))?;
    fchmod(file, Mode::from_bits_truncate(member.mode))?;
    for (name, value) in &member.xattrs {
        let set = file.set_xattr(OsStr::from_bytes(name), value);
        set.map_err(|error| {
            let name = String::from_utf8_lossy(name);
            io::Error::new(error.kind(), format!("setting the extended attribute {name}: {error}"))
        })?;
    }
    let time = time(member);
    Ok(futimens(file, &time, &time)?)
}

fn node(parent: &OwnedFd, name: &OsStr, member: &Member) -> io::Result<()> {
    let kind = if member.kind.is_fifo() {
        SFlag::S_IFIFO
    } else if member.kind.is_block_special() {
        SFlag::S_IFBLK
    } else {
        SFlag::S_IFCHR
    };
    let device = makedev(member.device.0.into(), member.device.1.into());
    let mode = Mode::from_bits_truncate(member.mode);
    replacing(parent, name, || mknodat(parent, name, kind, mode, device))?;
    own(parent, name, member)?;
    // mknod(2) applied the process's umask; the name is no link, it was made just now.
    nix::sys::stat::fchmodat(parent, name, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
    let time = time(member);
    Ok(utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)?)
}

fn own(parent: &OwnedFd, name: &OsStr, member: &Member) -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    fchownat(parent, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn time(member: &Member) -> TimeSpec {
    TimeSpec::new(member.mtime.0, member.mtime.1)
}
