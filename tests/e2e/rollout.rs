//! A rollout to twenty systems with a real dpkg, watched on its page: a package that cannot be set up stops it in its first wave, before
//! most clients have seen it; the mended package then reaches all of them.
//!
//! The package comes from an archive of the test, which the server takes for Debian's, through its package cache. Pictures are kept in
//! `target/lotse/screenshots/rollout/*.png`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use harness::{
    archive::{Archive, Mirror},
    browser::{Browser, Look, Page},
    lab::{Copies, Copy},
    site::{Dhcp, Programs, Site},
    story::minutes,
};
use tokio::time::{Instant, sleep};

const CLIENTS: u8 = 20;
const FIRST_WAVE: usize = 3;
const PACKAGE: &str = "school-desktop";
const GROUP: &str = "room-12";
const BROKEN: &str = "#!/bin/sh\necho 'school-desktop: /etc/school.conf is missing' >&2\nexit 1\n";

/// The base image as a file.
async fn base_system(site: &Site, image: &str) -> Result<PathBuf> {
    let images = site.json(&["image", "list"]).await?;
    let found = images.as_array().into_iter().flatten().find(|found| found["name"] == image);
    let found = found.with_context(|| format!("{image} is not there: {images}"))?;
    let hash =
        found["parts"]["archive"]["sha256"].as_str().with_context(|| format!("no archive in {found}"))?;
    Ok(site.data().join("blobs").join(hash))
}

/// Systems that take their packages from the archive through the server's cache, known to the server as members of the group.
async fn systems(site: &Site, agent: &Path, archive: &Archive) -> Result<(Copies, Vec<Copy>)> {
    let base = base_system(site, "debian-12/virtual").await?;
    let copies = Copies::of(&base, agent, &site.directory.join("copies"))?;
    let etc = copies.base().join("etc");
    let boot = site.addresses()?["boot"].as_str().unwrap_or_default().to_owned();
    let keyring = "/etc/apt/keyrings/school.gpg";
    fs_err::create_dir_all(etc.join("apt/keyrings"))?;
    fs_err::copy(archive.keyring(), etc.join("apt/keyrings/school.gpg"))?;
    fs_err::write(
        etc.join("apt/sources.list"),
        format!("deb [signed-by={keyring}] {boot}/mirror/debian bookworm main\n"),
    )?;
    let mut running = Vec::new();
    for number in 1..=CLIENTS {
        let name = format!("pc-{number:02}");
        site.lotse(&["client", "add", &name, "--group", GROUP]).await?;
        let enrol = site.json(&["client", "enrol-command", &name]).await?;
        let enrol = enrol["command"].as_str().context("no command to enrol")?;
        running.push(copies.start(&site.network, &name, 10 + number, enrol)?);
    }
    for system in &running {
        site.wait_for_client(&system.name, "is installed", minutes(5), |client| {
            client["stage"] == "installed"
        })
        .await?;
    }
    Ok((copies, running))
}

/// The version of the package that dpkg has on a system, with its state.
fn has(system: &Copy) -> Option<String> {
    let status = system.own_file("var/lib/dpkg/status");
    let block = status.split("\n\n").find(|block| block.starts_with(&format!("Package: {PACKAGE}\n")))?;
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    Some(format!("{} {}", field("Version: ")?, field("Status: ")?))
}

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
    let mirror = Mirror::serve(&archive.root()).await?;
    let words = [
        format!("--mirrors=debian={}", mirror.url),
        format!("--cache-keyrings=debian={}", archive.keyring().display()),
    ];
    let agent = programs.agent.clone();
    let site = Site::start_with(programs, &directory, Dhcp::None, &words).await?;
    site.build_images(&["debian-12/virtual"]).await?;
    let (_copies, systems) = systems(&site, &agent, &archive).await?;

    let link = site.lotse(&["account", "link", "admin"]).await?;
    let browser = Browser::start(&fs_err::read_to_string(site.data().join("ca.pem"))?).await?;
    let page = browser.page(Look::DESK).await?;
    page.goto(link.trim()).await?;
    page.until_shown("You have no password yet").await?;
    let console = site.addresses()?["https"].as_str().unwrap_or_default().to_owned();
    let address = format!("{console}/rollouts/{}", planned(&site).await?);
    let watcher = Watcher { page, pictures, address };
    watcher.sees_it_halt(&systems).await?;
    archive.package(PACKAGE, "3", 20_000)?;
    archive.release("bookworm")?;
    knows(&site, "Version: 3").await?;
    watcher.sees_it_finish(&systems).await?;
    watcher.page.close().await.context("what the browser complained about")
}

/// Waits until the package cache gives this text in its list of packages. As apt does, it asks for the release first: with that, the
/// cache looks whether the archive has a newer one, no more than once in some seconds.
async fn knows(site: &Site, text: &str) -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let boot = site.addresses()?["boot"].as_str().unwrap_or_default().to_owned();
    let suite = format!("{boot}/mirror/debian/dists/bookworm");
    let deadline = Instant::now() + minutes(2);
    loop {
        reqwest::get(format!("{suite}/InRelease")).await?.error_for_status()?;
        let list = reqwest::get(format!("{suite}/main/binary-amd64/Packages")).await?.text().await?;
        if list.contains(text) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the package cache does not come to know of {text:?}");
        sleep(Duration::from_secs(1)).await;
    }
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
            let has = has(system);
            ensure!(
                has.as_deref() == Some("3 install ok installed"),
                "{} has {has:?} of the package",
                system.name
            );
        }
        Ok(())
    }
}
