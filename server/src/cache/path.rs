//! What a path below a mirror is. Pure.

use wire::Sha256;

/// Documents that stand for a whole suite.
pub const DOCUMENTS: [&str; 3] = ["InRelease", "Release", "Release.gpg"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A document of the suite at a root, such as `InRelease` of `dists/bookworm`.
    Document {
        /// The suite.
        root: &'a str,
        /// One of [`DOCUMENTS`].
        name: &'a str,
    },
    /// What has this content.
    ByHash(Sha256),
    /// What has this SHA-512 hash.
    BySha512(&'a str),
    /// Anything else: a listed index, or a package.
    File,
}

/// What a path asks for.
pub fn asked(path: &str) -> Asked<'_> {
    let mut parts = path.rsplitn(4, '/');
    let (name, kind, by_hash) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if DOCUMENTS.contains(&name)
        && let Some((root, _)) = path.rsplit_once('/')
    {
        return Asked::Document { root, name };
    }
    match (by_hash, kind) {
        (Some("by-hash"), Some("SHA256")) => name.parse().map_or(Asked::File, Asked::ByHash),
        (Some("by-hash"), Some("SHA512")) => Asked::BySha512(name),
        _ => Asked::File,
    }
}

/// Places below `dists` where the suite of a path may begin, the likeliest first.
pub fn roots(path: &str) -> Vec<&str> {
    let Some(rest) = path.strip_prefix("dists/") else { return Vec::new() };
    let ends = rest.match_indices('/').map(|(at, _)| &path[.."dists/".len() + at]);
    ends.take(2).collect()
}

/// A path below a mirror that means only itself: no empty part, no `.` or `..`, no query, nothing that a URL would read differently.
pub fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 1024
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+~:=,@".contains(&b))
}

/// The architecture that a package's file name ends with.
pub fn architecture(path: &str) -> Option<&str> {
    let stem = path.strip_suffix(".deb").or_else(|| path.strip_suffix(".udeb"))?;
    stem.rsplit_once('_').map(|(_, architecture)| architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_lead_out_of_its_mirror() {
        assert!(is_plain("pool/main/g/gcc/libstdc++6_12.2.0-14+deb12u1_amd64.deb"));
        assert!(is_plain("dists/bookworm/InRelease"));
        for path in [
            "",
            "../x",
            "a//b",
            "a/../b",
            "a/./b",
            "/a",
            "a/",
            "a?b",
            "a#b",
            "a%2e%2e/b",
            "a b",
            "a\\b",
            "http://x/y",
            "@evil.example/x ",
        ] {
            assert!(!is_plain(path), "{path} was accepted");
        }
    }

    #[test]
    fn what_stands_for_a_suite_is_told_from_what_has_a_hash_and_from_the_rest() {
        let root = "dists/bookworm/updates";
        let path = format!("{root}/InRelease");
        assert_eq!(asked(&path), Asked::Document { root, name: "InRelease" });
        let hash = "0".repeat(64);
        let path = format!("{root}/main/binary-amd64/by-hash/SHA256/{hash}");
        assert_eq!(asked(&path), Asked::ByHash(hash.parse().unwrap()));
        assert_eq!(asked("dists/x/by-hash/SHA256/12"), Asked::File);
        assert_eq!(asked("dists/x/by-hash/SHA512/12"), Asked::BySha512("12"));
        assert_eq!(asked("pool/main/a/a_1_all.deb"), Asked::File);
        assert_eq!(roots("dists/bookworm/updates/main/x"), ["dists/bookworm", root]);
        assert_eq!(roots("pool/a/b"), Vec::<&str>::new());
        assert_eq!(architecture("pool/a/a_1.0~x_arm64.deb"), Some("arm64"));
        assert_eq!(architecture("pool/a/a_1.dsc"), None);
    }
}
