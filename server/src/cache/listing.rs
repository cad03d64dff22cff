//! What an archive offers, for people who look for a package: the paragraphs of `Packages`, out of the cache's own verified files.

use std::{
    io::{self, BufRead},
    sync::Arc,
};

use futures_util::TryStreamExt;
use wire::Sha256;

use super::{
    Cache, Content, failure::Failure, flight::blocking, index, naming::smallest, reading::pieces,
    upstream::Mirror,
};

/// No index is larger in packed form.
const LARGEST: u64 = 512 << 20;

/// An index as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexNow {
    /// Its content: another hash means that it has changed.
    pub sha256: Sha256,
    /// When the archive signed it.
    pub dated_at: i64,
    path: String,
}

/// A package that an index lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its section, such as `web`.
    pub section: String,
    /// Bytes that are fetched.
    pub size_bytes: i64,
    /// Bytes on the disk.
    pub installed_bytes: i64,
    /// One line.
    pub description: String,
}

impl Cache {
    /// The index of a component as it is now; with `ask` the mirror is asked whether there is a newer one, else what is known counts.
    ///
    /// # Errors
    /// The mirror cannot be asked and nothing is known, or the suite has no such component or architecture.
    pub async fn index_now(
        &self,
        mirror: &str,
        suite: &str,
        (component, architecture): (&str, &str),
        ask: bool,
    ) -> Result<Option<IndexNow>, Failure> {
        let mirror = self.mirror(mirror)?;
        let suite = self.suites.suite(&mirror.name, &format!("dists/{suite}"));
        let generation = if ask { Some(self.generation(&suite).await?.0) } else { suite.current() };
        let Some(generation) = generation else { return Ok(None) };
        let stem = format!("{component}/binary-{architecture}/Packages");
        let (form, wanted) = smallest(&generation.release, &stem).ok_or_else(|| Failure::NotThere {
            mirror: Arc::clone(&mirror.name),
            path: format!("{}/{stem}", suite.root).into(),
        })?;
        let path = format!("{}/{form}", suite.root);
        Ok(Some(IndexNow { sha256: wanted.sha256, dated_at: generation.release.dated_at, path }))
    }

    /// Every package of an index.
    ///
    /// # Errors
    /// It cannot be had, or is not what the signed text says.
    pub async fn offered(&self, mirror: &str, index: &IndexNow) -> Result<Vec<Listed>, Failure> {
        let found = self.get(mirror, &index.path).await?;
        if found.sha256 != index.sha256 || found.size > LARGEST {
            return Err(Failure::broken("reading an index", &"it has changed meanwhile"));
        }
        let Content::File(source) = found.content else {
            return Err(Failure::broken("reading an index", &"it is no file"));
        };
        let read = |error: io::Error| Failure::broken("reading an index", &error);
        // Counted by nobody: these bytes go to no client.
        let nobody = Mirror::new(mirror, "", self.client.clone(), self.clock.clone(), Arc::default());
        let whole = pieces(source, 0..found.size, Arc::new(nobody));
        let packed: Vec<u8> = whole
            .try_fold(Vec::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await
            .map_err(read)?;
        let path = index.path.clone();
        blocking("reading an index", move || paragraphs(&mut *index::unpacked(&path, packed.as_slice())?))
            .await
    }
}

/// Every paragraph with a name and a version; characters that are no UTF-8 are replaced.
fn paragraphs(text: &mut dyn BufRead) -> io::Result<Vec<Listed>> {
    let mut all = Vec::new();
    let mut one = Listed::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = text.read_until(b'\n', &mut line)? == 0;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.is_empty() {
            let whole = std::mem::take(&mut one);
            if !whole.name.is_empty() && !whole.version.is_empty() {
                all.push(whole);
            }
            if end {
                return Ok(all);
            }
            continue;
        }
        let Some((name, value)) = text.split_once(':').filter(|_| !text.starts_with([' ', '\t'])) else {
            continue;
        };
        let value = value.trim();
        match name {
            "Package" => value.clone_into(&mut one.name),
            "Version" => value.clone_into(&mut one.version),
            "Section" => value.clone_into(&mut one.section),
            "Size" => one.size_bytes = value.parse().unwrap_or(0),
            "Installed-Size" => one.installed_bytes = value.parse::<i64>().unwrap_or(0).saturating_mul(1024),
            "Description" => one.description = value.chars().take(300).collect(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_becomes_what_people_look_for() {
        let text = "Package: hello\nVersion: 2.10-3\nInstalled-Size: 280\nSection: devel\nDescription: says hello\n Longer: not this\nSize: 53000\n\n\
                    Package: nameless\n\nPackage: last\nVersion: 1";
        let all = paragraphs(&mut text.as_bytes()).unwrap();
        assert_eq!(all.len(), 2);
        let hello = &all[0];
        assert_eq!(
            (hello.name.as_str(), hello.size_bytes, hello.installed_bytes),
            ("hello", 53000, 280 * 1024)
        );
        assert_eq!((hello.section.as_str(), hello.description.as_str()), ("devel", "says hello"));
        assert_eq!(all[1].name, "last");
    }
}
