//! Files, written atomically. No symbolic link leads out of the file tree that they belong to.

use std::path::{Component, Path, PathBuf};

use anyhow::anyhow;
use wire::step::{FileContent, Root};

use super::{StepContext, StepError};
use crate::host::Host;

/// Symbolic links on the way to one file.
const MOST_LINKS: usize = 16;
/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// Writes the files in order.
pub(super) fn execute(ctx: &StepContext<'_>, files: &[FileContent], root: Root) -> Result<(), StepError> {
    let root = ctx.root(root).unwrap_or_else(|| PathBuf::from("/"));
    for (at, file) in files.iter().enumerate() {
        write(ctx.host, &root, file)?;
        ctx.say(&format!("wrote {}", file.path));
        let percent = (at + 1) * 100 / files.len();
        ctx.voice.progress(u8::try_from(percent).unwrap_or(100), "");
    }
    Ok(())
}

fn write(host: &dyn Host, root: &Path, file: &FileContent) -> Result<(), StepError> {
    let wanted = Path::new(&file.path);
    if wanted.components().any(|part| part == Component::ParentDir) {
        return Err(StepError::Refused(format!("writing {}: there is a `..` in the path", file.path)));
    }
    let path = resolve(host, root, wanted)?;
    let user = id_of(host, root, "etc/passwd", &file.owner)?;
    let group = id_of(host, root, "etc/group", &file.group)?;
    if file.mode & SET_ID != 0 && (user, group) != (0, 0) {
        // A new owner takes these bits away (chown(2)): better no file than one that is not as planned.
        return Err(StepError::Refused(format!("writing {}: a set-ID file belongs to root", file.path)));
    }
    host.write(&path, file.content.as_bytes(), file.mode)?;
    host.set_owner(&path, user, group)?;
    Ok(())
}

/// The place of a path in a root: links in its directories are followed inside the root, the last part is replaced and not followed.
pub(super) fn resolve(host: &dyn Host, root: &Path, path: &Path) -> Result<PathBuf, StepError> {
    let refused = |why: &str| StepError::Refused(format!("writing {}: {why}", path.display()));
    let Some(name) = path.file_name().filter(|_| path.is_absolute()) else {
        return Err(refused("it is no absolute path of a file"));
    };
    let mut waiting: Vec<PathBuf> = path.parent().map(parts).unwrap_or_default();
    waiting.reverse();
    let mut inside = PathBuf::new();
    let mut links = 0;
    while let Some(part) = waiting.pop() {
        if part == Path::new("..") {
            inside.pop();
            continue;
        }
        let next = inside.join(&part);
        match host.read_link(&root.join(&next)) {
            Ok(link) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(refused("too many symbolic links"));
                }
                if link.is_absolute() {
                    inside = PathBuf::new();
                }
                waiting.extend(parts(&link).into_iter().rev());
            }
            Err(_) => inside = next,
        }
    }
    Ok(root.join(inside).join(name))
}

fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(PathBuf::from(part)),
            Component::ParentDir => Some(PathBuf::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// The number of a user or group in passwd(5) or group(5) of the root.
fn id_of(host: &dyn Host, root: &Path, table: &str, name: &str) -> Result<u32, StepError> {
    if name == "root" {
        return Ok(0);
    }
    let text = host.read(&root.join(table))?;
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
        .ok_or_else(|| StepError::Permanent(anyhow!("there is no `{name}` in /{table}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let host =
            FakeHost::new(0).with_link("/target/lib", "usr/lib").with_link("/target/etc/out", "/../../etc");
        let root = Path::new("/target");
        let place = |path: &str| resolve(&host, root, Path::new(path)).unwrap();
        assert_eq!(place("/lib/x"), Path::new("/target/usr/lib/x"));
        assert_eq!(place("/etc/out/shadow"), Path::new("/target/etc/shadow"));
        assert_eq!(place("/etc/../../../x"), Path::new("/target/x"));
        assert!(resolve(&host, root, Path::new("etc/x")).is_err());
    }

    #[test]
    fn files_are_written_inside_the_root_for_their_owner() {
        let host = FakeHost::new(0)
            .with_link("/target/home", "/var/home")
            .with_file("/target/etc/passwd", "ann:x:1000:1001::/:/bin/sh\n")
            .with_file("/target/etc/group", "staff:x:50:\n");
        let mut file = FileContent {
            path: "/home/ann/.profile".into(),
            content: "x".into(),
            mode: 0o640,
            owner: "ann".into(),
            group: "staff".into(),
        };
        let root = Path::new("/target");
        write(&host, root, &file).unwrap();
        let written = host.file("/target/var/home/ann/.profile").unwrap();
        assert_eq!((written.content, written.mode, written.owner), (b"x".to_vec(), 0o640, (1000, 50)));
        for (path, mode) in [("/home/../etc/x", 0o644), ("home/x", 0o644), ("/", 0o644), ("/home/x", 0o4755)]
        {
            (file.path, file.mode) = (path.into(), mode);
            assert!(matches!(write(&host, root, &file), Err(StepError::Refused(_))), "{path}");
        }
    }

    #[test]
    fn owners_are_looked_up_in_the_root() {
        let host = FakeHost::new(0)
            .with_file("/target/etc/passwd", "root:x:0:0::/:/bin/sh\nann:x:1000:1001::/:/bin/sh\n");
        assert_eq!(id_of(&host, Path::new("/target"), "etc/passwd", "ann").unwrap(), 1000);
        assert!(id_of(&host, Path::new("/target"), "etc/passwd", "ben").is_err());
    }
}
