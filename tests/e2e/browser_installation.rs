//! What a newcomer does with nothing but a telephone: logs in by the link that the server gave, adopts a blank machine, watches its
//! installation, and installs a package on it; in German, without one word on the command line.
//!
//! Every page on the way must fit into the window, be usable by everybody, and speak German. Its pictures are kept as
//! `target/lotse/screenshots/installation/*.png`, whether the story ends well or not.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use harness::{
    browser::{Browser, Look, Page},
    lab::Firmware,
    site::{Dhcp, Programs},
    story::minutes,
};

use crate::stories::{NAME, machine, site};

/// What somebody sees of the story.
struct Walk {
    page: Page,
    pictures: PathBuf,
    taken: u32,
}

impl Walk {
    /// Looks at the page as it is now: it fits, has no barriers, and speaks German.
    async fn look(&mut self, name: &str) -> Result<()> {
        self.taken += 1;
        self.page.picture(&self.pictures.join(format!("{:02}-{name}.png", self.taken))).await?;
        let overhang = self.page.overhang().await?;
        ensure!(overhang.is_none(), "{name} is wider than the window: {}", overhang.unwrap_or_default());
        let english = self.page.english().await?;
        ensure!(english.is_empty(), "{name} speaks English: {}", english.join("; "));
        let barriers = self.page.barriers().await?;
        ensure!(barriers.is_empty(), "{name} has barriers: {}", barriers.join("; "));
        Ok(())
    }
}

pub(crate) async fn browser_installation(programs: Programs, directory: PathBuf) -> Result<()> {
    let pictures = programs.images.with_file_name("screenshots").join("installation");
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let link = site.lotse(&["account", "link", "admin"]).await?;
    let browser = Browser::start(&fs_err::read_to_string(site.data().join("ca.pem"))?).await?;
    let page = browser.page(Look { language: "de", ..Look::PHONE }).await?;
    let mut walk = Walk { page, pictures, taken: 0 };

    walk.page.goto(link.trim()).await?;
    walk.page.until_shown("Sie haben noch kein Passwort").await?;
    walk.look("logged-in").await?;
    walk.page.fill("#password", "vier Wörter sind genug").await?;
    walk.page.fill("#again", "vier Wörter sind genug").await?;
    walk.page.follow("Passwort speichern").await?;
    walk.page.follow("Weiter zur Übersicht").await?;
    walk.page.until_shown("Schalten Sie einen Rechner").await?;
    walk.look("nothing-yet").await?;

    // Nobody reloads a page from here on, but for following links: what happens comes by itself.
    let machine = machine(&site, Firmware::Bios)?;
    let running = machine.power_on(&site.network)?;
    let adopt = "[...document.querySelectorAll('a')].some(a => a.innerText === 'Übernehmen')";
    walk.page.until_within(minutes(6), adopt, "the new machine is on the overview").await?;
    walk.look("new-machine").await?;
    walk.page.follow("Übernehmen").await?;
    walk.look("adoption").await?;
    let shown = walk.page.eval("document.querySelector('form code').innerText").await?;
    let fingerprint = shown.as_str().unwrap_or_default();
    ensure!(
        !fingerprint.is_empty() && running.serial()?.contains(fingerprint),
        "the page shows the fingerprint {fingerprint}, which the machine's screen does not"
    );
    walk.page.click("input[name=compared]").await?;
    walk.page.fill("#name", NAME).await?;
    walk.page.choose("#distribution", "debian-12").await?;
    walk.page.choose("#layout", "whole-disk").await?;
    walk.page.fill("#user", "ann").await?;
    walk.page.fill("#password", "noch ein Passwort").await?;
    walk.page.follow("Übernehmen und den Plan ansehen").await?;
    walk.page.until_shown("Diese Platte ist leer").await?;
    walk.look("plan").await?;
    walk.page.follow("Jetzt installieren").await?;
    walk.page.until_shown("wird installiert").await?;
    walk.page.eval("window.lotseStayed = true").await?;

    // The output that is shown is always that of the job that runs.
    for (title, line) in
        [("Grundsystem installieren", "unpacking"), ("System konfigurieren", "wrote /etc/hostname")]
    {
        let follows = format!(
            "document.querySelector('#output')?.innerText.includes({title:?}) && document.querySelector('.output').innerText.includes({line:?})"
        );
        walk.page.until_within(minutes(20), &follows, &format!("the output of `{title}` is shown")).await?;
        walk.look(&format!("installing-{}", walk.taken)).await?;
    }
    let stage = "document.querySelector('.answer .chip').innerText.trim() === 'installiert'";
    walk.page.until_within(minutes(30), stage, "the machine is installed").await?;
    ensure!(
        walk.page.eval("window.lotseStayed === true").await? == true,
        "the page was loaded anew meanwhile"
    );
    walk.look("installed").await?;

    walk.page.fill("#packages", "hello").await?;
    walk.page.follow("Installieren").await?;
    let done = "document.querySelector('.output').innerText.includes('Setting up hello')";
    walk.page.until_within(minutes(15), done, "the output shows that hello was set up").await?;
    walk.page.follow("Pakete installieren").await?;
    walk.page
        .until_within(
            minutes(5),
            "document.querySelector('.head .chip').innerText.trim() === 'erfolgreich'",
            "the job has succeeded",
        )
        .await?;
    walk.look("package").await?;
    walk.page.close().await.context("what the browser complained about")
}
