//! The sample's own repository, source list, and an index to search in.

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use server::{
    app::{
        repositories::{self, NewRepository},
        source_lists::{self, Receiver},
    },
    context::Ctx,
    db::archives::{self, Entry, Place},
    domain::source_list::{ListWish, PackageSource},
};

use crate::archive::Archive;

/// What somebody finds in the sample's archive: name, version, section, kB, and description.
const OFFERED: [(&str, &str, &str, i64, &str); 6] = [
    (
        "firefox-esr",
        "115.12.0esr-1~deb12u1",
        "web",
        63_000,
        "Mozilla Firefox web browser - Extended Support Release (ESR)",
    ),
    (
        "firefox-esr-l10n-de",
        "115.12.0esr-1~deb12u1",
        "localization",
        560,
        "German language package for Firefox ESR",
    ),
    ("gimp", "2.10.34-1+deb12u2", "graphics", 5_300, "GNU Image Manipulation Program"),
    ("htop", "3.2.2-2", "utils", 150, "interactive processes viewer"),
    (
        "libreoffice-writer",
        "4:7.4.7-1+deb12u3",
        "editors",
        9_700,
        "office productivity suite -- word processor",
    ),
    ("vlc", "3.0.21-0+deb12u1", "video", 90, "multimedia player and streamer"),
];

/// Makes them.
///
/// # Errors
/// The server refuses something, or dpkg-deb is not there.
pub(super) async fn fill(ctx: &Ctx) -> Result<()> {
    let wish =
        NewRepository { name: "ours".to_owned(), description: "Packages of the school".to_owned(), keep: 3 };
    repositories::create(ctx, &wish, "admin").await?;
    let archive = Archive::new()?;
    for (version, promote) in [("1.0", true), ("1.1", false)] {
        for name in ["school-settings", "school-wallpaper"] {
            let package = archive.package(name, version, 2_000)?;
            let content = stream::iter([Ok::<_, std::io::Error>(Bytes::from(package.content))]);
            repositories::upload(ctx, "ours", content, "ann").await?;
        }
        if promote {
            repositories::promote(ctx, "ours", "ann").await?;
        }
    }
    let source = PackageSource {
        uris: vec!["repository:ours".to_owned()],
        suites: vec!["production".to_owned()],
        components: vec!["main".to_owned()],
        ..PackageSource::default()
    };
    let wish = ListWish {
        description: "For the computer lab".to_owned(),
        distribution: Some("debian-12".to_owned()),
        sources: vec![source],
        ..ListWish::default()
    };
    source_lists::set(ctx, "lab-extra", &wish, None, "admin").await?;
    source_lists::give(ctx, "lab-extra", Receiver::Group("computer-lab"), true, "admin").await?;
    offer(ctx).await
}

/// What was read of an archive.
async fn offer(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    let entries = OFFERED.map(|(name, version, section, kilobytes, description)| Entry {
        name: name.to_owned(),
        version: version.to_owned(),
        section: section.to_owned(),
        size_bytes: kilobytes << 10,
        installed_bytes: kilobytes << 12,
        description: description.to_owned(),
    });
    let mut tx = ctx.db.write().await?;
    for (suite, entries) in [("bookworm", &entries[..]), ("bookworm-updates", &entries[..0])] {
        for component in ["main", "non-free-firmware"] {
            let place = Place {
                archive: "debian".to_owned(),
                suite: suite.to_owned(),
                component: component.to_owned(),
                architecture: "amd64".to_owned(),
            };
            let index = archives::want(&mut tx, &place, now).await?;
            let version = archives::begin(&mut tx, index, now).await?;
            let entries = if component == "main" { entries } else { &[] };
            archives::add(&mut tx, version, 0, entries).await?;
            let count = i64::try_from(entries.len())?;
            archives::publish(&mut tx, index, version, ("", now - 3_600_000_000, count), now).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
