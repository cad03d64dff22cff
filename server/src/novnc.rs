//! noVNC, the program by which browsers show screens, as Debian's package `novnc` installs it: modules that are served as they are.
//!
//! Invariant: nothing but modules of its two folders leaves this door, whatever a path says.

use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Where the package puts it.
const PLACE: &str = "/usr/share/novnc";
/// The module that pages begin with.
const MAIN: &str = "core/rfb.js";
/// Folders whose modules are served: its own, and the library that it brings.
const FOLDERS: [&str; 2] = ["core", "vendor"];
/// Largest module in bytes.
const LARGEST: u64 = 2 << 20;

/// Whether it is installed.
pub fn is_there() -> bool {
    Path::new(PLACE).join(MAIN).is_file()
}

/// A module by its path below the package's folder.
pub async fn module(path: &str) -> Option<Bytes> {
    let file = module_file(Path::new(PLACE), path)?;
    let known = tokio::fs::metadata(&file).await.ok()?;
    if !known.is_file() || known.len() > LARGEST {
        return None;
    }
    tokio::fs::read(&file).await.ok().map(Bytes::from)
}

/// The file of a module; none for anything that cannot be one.
fn module_file(place: &Path, path: &str) -> Option<PathBuf> {
    let mut parts = path.split('/').peekable();
    let folder = parts.peek()?;
    if !FOLDERS.contains(folder) || !path.ends_with(".js") {
        return None;
    }
    let is_word = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    parts.all(is_word).then(|| place.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_and_nothing_else() {
        let file = |path| module_file(Path::new("/n"), path);
        assert_eq!(file("core/rfb.js"), Some("/n/core/rfb.js".into()));
        assert_eq!(
            file("vendor/pako/lib/zlib/inflate.js"),
            Some("/n/vendor/pako/lib/zlib/inflate.js".into())
        );
        for other in [
            "",
            "core",
            "core/rfb.css",
            "app/ui.js",
            "core/../../../etc/x.js",
            "core/./rfb.js",
            "core//rfb.js",
            "/core/rfb.js",
            "core/a b.js",
            "core/.x.js",
            "core/%2e%2e/x.js",
        ] {
            assert_eq!(file(other), None, "{other}");
        }
    }
}
