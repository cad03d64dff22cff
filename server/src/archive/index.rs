//! The indices of a suite of an own repository (Debian repository format): `Packages` in three forms for each architecture, and the
//! `Release` that names them. Pure: the same packages give the same files.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use time::OffsetDateTime;
use wire::Sha256;

use crate::{
    blobs,
    clock::SECOND,
    domain::repository::{Control, Suite},
};

/// The one component of own repositories.
pub const COMPONENT: &str = "main";
/// The architecture that is there also without any package.
const DEFAULT_ARCHITECTURE: &str = "amd64";

/// A package as an index lists it.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it says of itself.
    pub control: Control,
    /// Its content.
    pub sha256: Sha256,
    /// Its length.
    pub size_bytes: u64,
}

/// A file of a suite.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Listed {
    /// Its content.
    pub sha256: Sha256,
    /// Its length.
    pub size_bytes: u64,
}

/// The path of a package below the repository. It names the content, so it never means something else.
pub fn pool_path(control: &Control, sha256: &Sha256) -> String {
    let version = control.version.rsplit_once(':').map_or(control.version.as_str(), |(_, version)| version);
    format!("pool/{sha256}/{}_{version}_{}.deb", control.name, control.architecture)
}

/// The architectures that a suite has.
pub fn architectures(items: &[Item]) -> BTreeSet<String> {
    let named = items.iter().map(|item| item.control.architecture.clone()).filter(|name| name != "all");
    named.chain([DEFAULT_ARCHITECTURE.to_owned()]).collect()
}

/// The packages of an architecture, by name and version.
pub fn of_architecture<'a>(items: &'a [Item], architecture: &str) -> Vec<&'a Item> {
    let fits = |item: &&Item| ["all", architecture].contains(&item.control.architecture.as_str());
    let mut fitting: Vec<_> = items.iter().filter(fits).collect();
    fitting.sort_by(|a, b| (&a.control.name, &a.control.version).cmp(&(&b.control.name, &b.control.version)));
    fitting
}

/// Every index with its content, by its path below the suite.
///
/// # Errors
/// A packer fails.
pub fn files(items: &[Item]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for architecture in architectures(items) {
        let text: String = of_architecture(items, &architecture).into_iter().map(paragraph).collect();
        let stem = format!("{COMPONENT}/binary-{architecture}/Packages");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(text.as_bytes())?;
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(text.as_bytes())?;
        files.insert(format!("{stem}.gz"), gz.finish()?);
        files.insert(format!("{stem}.xz"), xz.finish()?);
        files.insert(stem, text.into_bytes());
    }
    Ok(files)
}

fn paragraph(item: &Item) -> String {
    let path = pool_path(&item.control, &item.sha256);
    format!("{}\nFilename: {path}\nSize: {}\nSHA256: {}\n\n", item.control.text, item.size_bytes, item.sha256)
}

/// The hashes of files.
pub fn listed(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Listed> {
    let hashed =
        |content: &Vec<u8>| Listed { sha256: blobs::hash(content), size_bytes: content.len() as u64 };
    files.iter().map(|(path, content)| (path.clone(), hashed(content))).collect()
}

/// The text that is signed.
pub fn release(
    repository: &str,
    suite: Suite,
    architectures: &BTreeSet<String>,
    files: &BTreeMap<String, Listed>,
    dated_at: i64,
) -> String {
    let names: Vec<&str> = architectures.iter().map(String::as_str).collect();
    let mut text = format!(
        "Origin: Lotse {repository}\nLabel: {repository}\nSuite: {suite}\nCodename: {suite}\nDate: {date}\nArchitectures: {names}\n\
         Components: {COMPONENT}\nAcquire-By-Hash: yes\nSHA256:\n",
        suite = suite.as_str(),
        date = date(dated_at),
        names = names.join(" "),
    );
    for (path, listed) in files {
        text.push_str(&format!(" {} {} {path}\n", listed.sha256, listed.size_bytes));
    }
    text
}

/// A date as `Release` has it.
fn date(at: i64) -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] UTC"
    );
    let moment = OffsetDateTime::from_unix_timestamp(at / SECOND).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> Item {
        Item { control: Control::parse(text).unwrap(), sha256: blobs::hash(text.as_bytes()), size_bytes: 7 }
    }

    #[test]
    fn packages_for_all_architectures_are_in_every_index_and_the_release_names_each_file() {
        let items = [
            item("Package: bb\nVersion: 1:2\nArchitecture: arm64\nDescription: b\n more"),
            item("Package: aa\nVersion: 1\nArchitecture: all"),
        ];
        let files = files(&items).unwrap();
        assert_eq!(files.len(), 6, "{:?}", files.keys());
        let text = |path: &str| String::from_utf8(files[path].clone()).unwrap();
        let arm = text("main/binary-arm64/Packages");
        assert!(arm.starts_with("Package: aa\n") && arm.contains("\n\nPackage: bb\n"), "{arm}");
        assert!(
            arm.contains(&format!("\n more\nFilename: pool/{}/bb_2_arm64.deb\nSize: 7\n", items[0].sha256)),
            "{arm}"
        );
        assert!(!text("main/binary-amd64/Packages").contains("Package: bb"));
        let listed = listed(&files);
        let release =
            release("ours", Suite::Testing, &architectures(&items), &listed, 1_700_000_000 * SECOND);
        assert!(
            release.contains("\nDate: Tue, 14 Nov 2023 22:13:20 UTC\nArchitectures: amd64 arm64\n"),
            "{release}"
        );
        for (path, listed) in &listed {
            assert!(
                release.contains(&format!(" {} {} {path}\n", listed.sha256, listed.size_bytes)),
                "{path}"
            );
        }
    }
}
