//! What a path has to be: looked up in the signed documents and indices that are known, and in more of them when none names it yet.

use std::sync::Arc;

use super::{
    Cache, LEARN_EVERY, Named,
    failure::Failure,
    index,
    path::{self, Asked},
    refresh::places,
    release::{Release, Wanted},
    suites::{Generation, Suite},
    upstream::Mirror,
};

/// Forms of an index that can be read, the smallest first.
const FORMS: [&str; 4] = [".xz", ".zst", ".gz", ""];

impl Cache {
    /// What a path has to be.
    ///
    /// # Errors
    /// [`Failure::NotNamed`]: no signed index names it, so it is not asked for.
    pub(super) async fn named(&self, mirror: &Arc<Mirror>, path: &str) -> Result<Named, Failure> {
        let not_named = || Failure::NotNamed { mirror: Arc::clone(&mirror.name), path: path.into() };
        match path::asked(path) {
            Asked::ByHash(sha256) => {
                let suites = self.suites.of_mirror(&mirror.name);
                let known = suites.iter().find_map(|suite| suite.by_sha256(&sha256));
                // One that nobody lists is its own proof all the same.
                let (listed, wanted) =
                    known.unwrap_or_else(|| (path.to_owned(), Wanted { sha256, size: None }));
                let mut places = places(&listed, &wanted, false);
                places.insert(0, path.to_owned());
                places.dedup();
                return Ok(Named { path: listed, places, wanted });
            }
            Asked::BySha512(hash) => {
                let suites = self.suites.of_mirror(&mirror.name);
                let (listed, wanted) =
                    suites.iter().find_map(|suite| suite.by_sha512(hash)).ok_or_else(not_named)?;
                let places = places(&listed, &wanted, true);
                return Ok(Named { path: listed, places, wanted });
            }
            Asked::Document { .. } | Asked::File => {}
        }
        if let Some(named) = self.listed(mirror, path).await? {
            return Ok(named);
        }
        let found = |wanted| Named { path: path.to_owned(), places: vec![path.to_owned()], wanted };
        if let Some(wanted) = self.in_tables(mirror, path)? {
            return Ok(found(wanted));
        }
        self.all_read().await;
        if let Some(wanted) = self.in_tables(mirror, path)? {
            return Ok(found(wanted));
        }
        let learnt = self.learn(mirror, path).await;
        self.all_read().await;
        match (self.in_tables(mirror, path)?, learnt) {
            (Some(wanted), _) => Ok(found(wanted)),
            (None, Ok(())) => Err(not_named()),
            (None, Err(failure)) => Err(failure),
        }
    }

    fn in_tables(&self, mirror: &Mirror, path: &str) -> Result<Option<Wanted>, Failure> {
        self.tables.find(&mirror.name, path).map_err(|error| Failure::broken("looking for a file", &error))
    }

    /// An index that the suite above it lists, in the generation that counts.
    async fn listed(&self, mirror: &Mirror, path: &str) -> Result<Option<Named>, Failure> {
        let above = |suite: &Arc<Suite>| {
            path.strip_prefix(suite.root.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut suites: Vec<_> = self.suites.of_mirror(&mirror.name).into_iter().filter(above).collect();
        if suites.is_empty() {
            for root in path::roots(path) {
                let suite = self.suites.suite(&mirror.name, root);
                match self.generation(&suite).await {
                    Ok(_) => suites.push(suite),
                    Err(Failure::NotThere { .. }) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        for suite in suites {
            let Some(current) = suite.current() else { continue };
            let name = &path[suite.root.len() + 1..];
            if let Some(wanted) = current.release.file(name) {
                let places = places(path, wanted, current.release.by_hash);
                return Ok(Some(Named { path: path.to_owned(), places, wanted: wanted.clone() }));
            }
        }
        Ok(None)
    }

    /// Reads indices that may name a file: of suites that are known, and of those that distributions name.
    async fn learn(&self, mirror: &Arc<Mirror>, path: &str) -> Result<(), Failure> {
        if path.starts_with("dists/") {
            return Ok(());
        }
        let source = !path.ends_with("deb");
        if !source && path::architecture(path).is_none() {
            return Ok(());
        }
        let what = format!("{} {}", mirror.name, path::architecture(path).unwrap_or("source"));
        let mut learning = self.learning.lock().await;
        let now = self.clock.now();
        if learning.get(&what).is_some_and(|at| now - at < LEARN_EVERY) {
            return Ok(());
        }
        let mut architectures: Vec<_> = path::architecture(path).into_iter().collect();
        let declared: Vec<_> =
            self.declared.iter().filter(|declared| declared.mirror == *mirror.name).collect();
        if architectures == ["all"] {
            architectures.extend(declared.iter().map(|declared| declared.architecture.as_str()));
        }
        for declared in &declared {
            let suite = self.suites.suite(&mirror.name, &format!("dists/{}", declared.suite));
            match self.generation(&suite).await {
                Ok(_) | Err(Failure::NotThere { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        for suite in self.suites.of_mirror(&mirror.name) {
            let Some(current) = suite.current() else { continue };
            for name in indices(&current, path, source, &architectures) {
                let Some((form, wanted)) = smallest(&current.release, &name) else { continue };
                if self.tables.has(&mirror.name, &wanted.sha256) {
                    continue;
                }
                let path = format!("{}/{form}", suite.root);
                let places = places(&path, &wanted, current.release.by_hash);
                match self.known(mirror, &path, places, wanted).await {
                    Ok(()) | Err(Failure::NotThere { .. }) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        learning.insert(what, now);
        Ok(())
    }

    /// Makes an index known: fetches it, or reads it once more when it is there but its table is not.
    async fn known(
        &self,
        mirror: &Arc<Mirror>,
        path: &str,
        places: Vec<String>,
        wanted: Wanted,
    ) -> Result<(), Failure> {
        if self.store.has(&wanted.sha256) {
            self.read_index(mirror, path, &wanted);
            return Ok(());
        }
        self.fetch_whole(mirror, path, places, wanted).await
    }
}

/// Indices without their endings that may name a file.
fn indices(current: &Generation, path: &str, source: bool, architectures: &[&str]) -> Vec<String> {
    let component = path.strip_prefix("pool/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let fits = |name: &&str| {
        let parts: Vec<_> = name.rsplit('/').collect();
        match parts.as_slice() {
            [file, "source", ..] => source && file.starts_with("Sources"),
            [file, folder, ..] => {
                let architecture = folder.strip_prefix("binary-");
                !source
                    && file.starts_with("Packages")
                    && architecture.is_some_and(|architecture| architectures.contains(&architecture))
            }
            _ => false,
        }
    };
    let named =
        current.release.files().map(|(name, _)| name).filter(fits).filter(|name| index::kind(name).is_some());
    let stem = |name: &str| {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        format!("{folder}/{}", file.split('.').next().unwrap_or_default())
    };
    let mut stems: Vec<_> = named.map(stem).collect();
    stems.sort();
    stems.dedup();
    if stems.iter().any(|stem| stem.starts_with(&format!("{component}/"))) && !component.is_empty() {
        stems.retain(|stem| stem.starts_with(&format!("{component}/")));
    }
    stems
}

pub(super) fn smallest(release: &Release, stem: &str) -> Option<(String, Wanted)> {
    FORMS.iter().find_map(|form| {
        let name = format!("{stem}{form}");
        release.file(&name).cloned().map(|wanted| (name, wanted))
    })
}
