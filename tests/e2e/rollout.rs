//! A rollout to twenty systems with a real dpkg, watched on its page: a package that cannot be set up stops it in its first wave, before
//! most clients have seen it; the mended package then reaches all of them.
//!
//! The package comes from an archive of the test, which the server takes for Debian's, through its package cache. Pictures are kept in
//! `target/lotse/screenshots/rollout/*.png`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use harness::{
    archive::Archive,
    browser::{Browser, Look, Page},
    lab::Copy,
    room::{GROUP, Room, has},
    site::{Programs, Site},
    story::minutes,
};

const CLIENTS: u8 = 20;
const FIRST_WAVE: usize = 3;
const PACKAGE: &str = "school-desktop";
const BROKEN: &str = "#!/bin/sh\necho 'school-desktop: /etc/school.conf is missing' >&2\nexit 1\n";

/// Systems on which dpkg was ever asked for this version.
fn touched(systems: &[Copy], version: &str) -> usize {
    let line = format!("{PACKAGE}:all <none> {version}");
    systems.iter().filter(|system| system.own_file("var/log/dpkg.log").contains(&line)).count()
}

pub(crate) async fn rollout_of_a_broken_package_halts_by_itself(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    let pictures = programs.images.with_file_name("screenshots").join("rollout");
    let archive = Archive::new()?;
    archive.package_with(PACKAGE, "2", 20_000, Some(BROKEN))?;
    archive.release("bookworm")?;
    let mut room = Room::open(programs, &directory, archive).await?;
    room.site.build_images(&["debian-12/virtual"]).await?;
    let base = room.image("debian-12/virtual").await?;
    room.fill(&base, |_| Ok(()), ":", CLIENTS).await?;
    let Room { site, systems, archive, .. } = &room;

    let link = site.lotse(&["account", "link", "admin"]).await?;
    let browser = Browser::start(&fs_err::read_to_string(site.data().join("ca.pem"))?).await?;
    let page = browser.page(Look::DESK).await?;
    page.goto(link.trim()).await?;
    page.until_shown("You have no password yet").await?;
    let console = site.addresses()?["https"].as_str().unwrap_or_default().to_owned();
    let address = format!("{console}/rollouts/{}", planned(site).await?);
    let watcher = Watcher { page, pictures, address };
    watcher.sees_it_halt(systems).await?;
    archive.package(PACKAGE, "3", 20_000)?;
    archive.release("bookworm")?;
    room.knows("Version: 3").await?;
    watcher.sees_it_finish(systems).await?;
    watcher.page.close().await.context("what the browser complained about")
}

/// The rollout's number.
async fn planned(site: &Site) -> Result<i64> {
    let (packages, first) = (format!("packages={PACKAGE}"), FIRST_WAVE.to_string());
    let what = ["--job", "package-install", "--param", &packages, "--group", GROUP];
    let waves = ["--wave", &first, "--wave", "50%", "--wave", "rest"];
    let made = site.json(&[&["rollout", "create", "Desktop 2"], &what[..], &waves[..]].concat()).await?;
    made["id"].as_i64().with_context(|| format!("no number in {made}"))
}

/// Somebody who looks at the page of the rollout.
struct Watcher {
    page: Page,
    pictures: PathBuf,
    /// Of the rollout's page.
    address: String,
}

impl Watcher {
    async fn look(&self, name: &str) -> Result<()> {
        self.page.picture(&self.pictures.join(format!("{name}.png"))).await?;
        let barriers = self.page.barriers().await?;
        ensure!(barriers.is_empty(), "{name} has barriers: {}", barriers.join("; "));
        Ok(())
    }

    async fn sees_it_halt(&self, systems: &[Copy]) -> Result<()> {
        let page = &self.page;
        page.goto(&self.address).await?;
        self.look("1-planned").await?;
        page.follow("Start").await?;
        page.eval("window.lotseStayed = true").await?;
        let halted = "document.body.innerText.includes('This rollout was halted')";
        page.until_within(minutes(5), halted, "the rollout halts by itself").await?;
        // What runs ends by itself, and is told as it does.
        let all_ended = format!("document.querySelector('.tile.bad b').innerText.trim() === '{FIRST_WAVE}'");
        page.until_within(minutes(5), &all_ended, "the whole first wave has failed").await?;
        ensure!(
            page.eval("window.lotseStayed === true").await? == true,
            "the page was loaded anew meanwhile"
        );
        self.look("2-halted").await?;
        let text = page.text().await?;
        ensure!(
            text.contains("In wave 1, ") && text.contains(PACKAGE),
            "the page does not say why it halted: {text}"
        );
        let causes = page.eval("document.querySelectorAll('code.breaks').length").await?;
        ensure!(causes == 1, "the same failure of all is {causes} causes");
        page.click("code.breaks ~ span a").await?;
        let output = "location.pathname.startsWith('/jobs/') && document.querySelector('.output')?.innerText.includes('/etc/school.conf is missing')";
        page.until(output, "the output of the failed job says what is missing").await?;
        self.look("3-output").await?;
        let touched = touched(systems, "2");
        ensure!(touched == FIRST_WAVE, "{touched} systems saw the broken package");
        Ok(())
    }

    async fn sees_it_finish(&self, systems: &[Copy]) -> Result<()> {
        let page = &self.page;
        page.goto(&self.address).await?;
        // With that, it goes on by itself.
        page.follow("Try the failed ones again").await?;
        let finished = "document.querySelector('.head .chip').innerText.trim() === 'finished'";
        page.until_within(minutes(10), finished, "the rollout finishes").await?;
        self.look("4-finished").await?;
        for system in systems {
            let has = has(system, PACKAGE);
            ensure!(
                has.as_deref() == Some("3 install ok installed"),
                "{} has {has:?} of the package",
                system.name
            );
        }
        Ok(())
    }
}
