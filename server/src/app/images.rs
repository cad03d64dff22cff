//! Images: what was built, what uses it, what is being built, and files that come in and go.

use std::collections::BTreeSet;

use wire::{Sha256, enrol::BlobRef};

use super::Error;
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, audit, events, images},
    domain::{
        client::is_word,
        image::{self, Image},
    },
};

/// A build that has said nothing for so long has ended without a word.
const SILENT: i64 = 600 * SECOND;
const LONGEST_VERSION: usize = 100;
/// More builds at a time are not remembered.
const MOST_BUILDS: usize = 50;

/// An image, and what would miss it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ImageUse {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// It is the one of its name that installations take.
    pub current: bool,
    /// How many clients shall have what it carries.
    pub clients: i64,
    /// How many jobs that are not over need its files.
    pub jobs: i64,
    /// Why it cannot be deleted; absent when nobody would miss it.
    pub needed: Option<String>,
}

/// A build, as whoever builds tells about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Build {
    /// Name of the image.
    pub name: String,
    /// How far it is.
    pub percent: u8,
    /// What is being done.
    pub message: String,
    /// It has failed.
    pub failed: bool,
    /// Who builds.
    pub actor: String,
    /// When this was said.
    pub at: i64,
}

/// The boot ISO, as a cloud is told to fetch it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct BootIso {
    /// Where it is. The name ends with `.iso`, as `CloudStack` wants it, and is another one as soon as the content is.
    pub url: String,
    /// Its size.
    pub size_bytes: u64,
    /// Hash of its content.
    pub sha256: Sha256,
    /// The same as `CloudStack` writes checksums: the algorithm in braces, then the digits.
    pub checksum: String,
    /// When it was built.
    pub built_at: i64,
    /// There is no newer installer than the one in it.
    pub current: bool,
}

/// Builds that run, by the words of those who build. Kept in memory: a server that restarts hears of them again.
#[derive(Default)]
pub struct Builds(std::sync::Mutex<Vec<Build>>);

impl Builds {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Build>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes a word about a build; at 100 per cent it is over.
    pub fn heard(&self, build: Build) {
        let mut all = self.all();
        all.retain(|other| other.name != build.name && build.at - other.at < SILENT);
        if build.percent < 100 || build.failed {
            all.truncate(MOST_BUILDS - 1);
            all.push(build);
        }
    }

    /// Builds that run or have just failed.
    pub fn list(&self, now: i64) -> Vec<Build> {
        let mut all = self.all();
        all.retain(|build| now - build.at < SILENT);
        all.clone()
    }
}

/// Keeps an image whose files are stored already.
///
/// # Errors
/// Its name cannot be one, it has no file, or a file is not stored.
pub async fn create(ctx: &Ctx, mut image: Image, actor: &str) -> Result<Image, Error> {
    if !image.name.split('/').all(is_word) || image.parts.is_empty() {
        return Err(Error::invalid(
            format!("`{}` with {} parts cannot be an image", image.name, image.parts.len()),
            "give a name of small letters, digits, hyphens and dots, such as debian-12/metal, and at least one part",
        ));
    }
    if image.version.len() > LONGEST_VERSION
        || image.version.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Err(Error::invalid(
            format!("`{}` cannot be a version", image.version),
            format!("give one of at most {LONGEST_VERSION} letters without blanks, or none"),
        ));
    }
    let now = ctx.now();
    image.built_at = now;
    let mut tx = ctx.db.write().await?;
    // Within the transaction: whoever deletes an image removes its files within one, too.
    for (part, blob) in &image.parts {
        if ctx.blobs.find(&blob.sha256).is_none() {
            return Err(Error::conflict(
                format!("part `{part}` of image {} is not stored: {}", image.name, blob.sha256),
                "send the file first: POST /api/v1/blobs",
            ));
        }
    }
    image.id = images::create(&mut tx, &image).await?;
    audit::note(&mut tx, "image.create", &format!("image {}", image.name), &(), &image).await?;
    events::add(&mut tx, "image.built", None, None, actor, &image.name, now).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(image)
}

/// Notes that somebody has stored a file.
///
/// # Errors
/// The database refuses.
pub async fn stored(ctx: &Ctx, blob: &BlobRef) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    audit::note(&mut tx, "file.store", &format!("file {}", blob.sha256), &(), blob).await?;
    Ok(tx.commit().await?)
}

/// The newest image of each name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Image>, Error> {
    Ok(images::list(tx).await?)
}

/// The boot ISO without any server in it.
///
/// # Errors
/// None was built yet.
pub async fn boot_iso(ctx: &Ctx, tx: &mut Tx) -> Result<BootIso, Error> {
    let iso = images::find(tx, image::ISO).await?;
    let installer = images::find(tx, image::INSTALLER).await?;
    let file = iso.as_ref().and_then(|iso| iso.parts.get(image::FILE));
    let (Some(iso), Some(BlobRef { sha256, size_bytes })) = (&iso, file) else {
        return Err(Error::conflict("this server has no boot ISO yet", "build it: `lotse image build iso`"));
    };
    Ok(BootIso {
        url: format!("{}/boot/iso/{sha256}.iso", ctx.addresses.boot),
        size_bytes: *size_bytes,
        sha256: sha256.clone(),
        checksum: format!("{{SHA-256}}{sha256}"),
        built_at: iso.built_at,
        current: installer.is_none_or(|installer| installer.built_at <= iso.built_at),
    })
}

/// Version of the agent that this server has; empty when it has none, or nobody knows.
///
/// # Errors
/// The database refuses.
pub async fn agent_version(tx: &mut Tx) -> Result<String, Error> {
    Ok(images::find(tx, image::AGENT).await?.map(|image| image.version).unwrap_or_default())
}

/// All images, with what uses them.
///
/// # Errors
/// The database refuses.
pub async fn used(tx: &mut Tx) -> Result<Vec<ImageUse>, Error> {
    let all = images::all(tx).await?;
    let plans = images::open_plans(tx).await?;
    let wanted = images::wanted_distributions(tx).await?;
    let mut seen = BTreeSet::new();
    Ok(all
        .into_iter()
        .map(|image| {
            let current = seen.insert(image.name.clone());
            let names = |plan: &&String| image.parts.values().any(|blob| plan.contains(blob.sha256.as_str()));
            let jobs = i64::try_from(plans.iter().filter(names).count()).unwrap_or(i64::MAX);
            let distribution = image.name.split_once('/').map(|(name, _)| name);
            let clients = wanted
                .iter()
                .find(|(name, _)| Some(name.as_str()) == distribution)
                .map_or(0, |(_, count)| *count);
            let needed = needed(&image, current, if current { clients } else { 0 }, jobs);
            ImageUse { current, clients: if current { clients } else { 0 }, jobs, needed, image }
        })
        .collect())
}

fn needed(image: &Image, current: bool, clients: i64, jobs: i64) -> Option<String> {
    if jobs > 0 {
        return Some(format!("{jobs} jobs that are not over need its files"));
    }
    if !current {
        return None;
    }
    if [image::INSTALLER, image::LOADERS, image::AGENT].contains(&image.name.as_str()) {
        return Some("machines boot and enrol with it".to_owned());
    }
    (clients > 0).then(|| format!("{clients} clients shall have this distribution"))
}

/// Removes an image that nobody needs, with those of its files that no other image has.
///
/// # Errors
/// It does not exist, or it is needed.
pub async fn delete(ctx: &Ctx, id: i64, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let all = used(&mut tx).await?;
    let Some(found) = all.iter().find(|other| other.image.id == id) else {
        return Err(Error::not_found(format!("image {id}")));
    };
    if let Some(needed) = &found.needed {
        return Err(Error::conflict(
            format!("the image {} of number {id} is in use: {needed}", found.image.name),
            "build a newer one, or wait until these jobs are over",
        ));
    }
    images::delete(&mut tx, id).await?;
    audit::note(&mut tx, "image.delete", &format!("image {}", found.image.name), &found.image, &()).await?;
    events::add(&mut tx, "image.deleted", None, None, actor, &found.image.name, ctx.now()).await?;
    let kept: BTreeSet<&Sha256> = all
        .iter()
        .filter(|other| other.image.id != id)
        .flat_map(|other| other.image.parts.values().map(|blob| &blob.sha256))
        .collect();
    let gone: Vec<Sha256> = found
        .image
        .parts
        .values()
        .map(|blob| blob.sha256.clone())
        .filter(|sha256| !kept.contains(sha256))
        .collect();
    tx.commit().await?;
    // The record first: a record without its files would break installations, files without a record only take room.
    for sha256 in &gone {
        ctx.blobs.delete(sha256).map_err(|error| Error::Internal(error.into()))?;
    }
    ctx.presence.events_came();
    Ok(())
}

/// Takes a word about a build that runs somewhere.
///
/// # Errors
/// None at present.
pub fn report(
    ctx: &Ctx,
    name: &str,
    percent: u8,
    message: &str,
    failed: bool,
    actor: &str,
) -> Result<(), Error> {
    if name.is_empty() || name.len() > 200 || message.len() > 1000 {
        return Err(Error::invalid(
            "a build needs a name of up to 200 letters and a message of up to 1000",
            "shorten them",
        ));
    }
    ctx.builds.heard(Build {
        name: name.to_owned(),
        percent: percent.min(100),
        message: message.to_owned(),
        failed,
        actor: actor.to_owned(),
        at: ctx.now(),
    });
    Ok(())
}

/// Names of everything that can be built here.
pub fn buildable(ctx: &Ctx) -> Vec<String> {
    let fixed = [image::INSTALLER, image::LOADERS, image::AGENT, image::ISO].map(str::to_owned);
    let bases = ctx.catalog.distributions().flat_map(|(name, distribution)| {
        distribution.kernel.keys().map(move |variant| format!("{name}/{variant}"))
    });
    fixed.into_iter().chain(bases).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &str, percent: u8, at: i64) -> Build {
        Build {
            name: name.to_owned(),
            percent,
            message: String::new(),
            failed: false,
            actor: "x".to_owned(),
            at,
        }
    }

    #[test]
    fn a_build_is_shown_until_it_is_done_or_silent_for_long() {
        let builds = Builds::default();
        builds.heard(build("installer", 10, 0));
        builds.heard(build("installer", 20, SECOND));
        builds.heard(build("agent", 50, SECOND));
        assert_eq!(builds.list(SECOND).len(), 2);
        builds.heard(build("agent", 100, 2 * SECOND));
        assert_eq!(builds.list(2 * SECOND), [build("installer", 20, SECOND)]);
        assert!(builds.list(SECOND + SILENT).is_empty());
    }

    #[test]
    fn what_boots_machines_is_needed_and_an_older_one_is_not() {
        let image = |name: &str| Image {
            id: 1,
            name: name.to_owned(),
            recipe: crate::blobs::hash(b"x"),
            parts: std::collections::BTreeMap::new(),
            built_at: 0,
            version: String::new(),
        };
        assert!(needed(&image("installer"), true, 0, 0).is_some());
        assert!(needed(&image("installer"), false, 0, 0).is_none());
        assert!(needed(&image("debian-12/virtual"), true, 3, 0).is_some());
        assert!(needed(&image("debian-12/virtual"), true, 0, 0).is_none());
        assert!(needed(&image("debian-12/virtual"), false, 0, 1).is_some());
    }
}
