//! The package cache beside what Debian has for the same: apt-cacher-ng, nginx with `proxy_cache`, and nginx that sends plain files with
//! sendfile(2), which is as fast as it gets. One origin, one load, one machine, one after the other in the same run.
//!
//! Hits are the same files again and again from kept connections, until the time is over. Misses are files that nobody has asked for
//! before. Ours verifies every file; the others do not.

mod load;
mod rivals;

use anyhow::{Context, Result};
use harness::archive::Archive;

use self::rivals::{Rival, Running};
use crate::{
    say,
    table::{Line, count, median},
};

/// Clients at once.
const CLIENTS: [usize; 3] = [1, 50, 300];
/// Files that nobody has asked for before, for each number of clients.
const COLD: [usize; 3] = [30, 100, 300];
/// Bytes of a package: the middle of what an installation fetches.
const PACKAGE: usize = 1 << 20;
/// Packages that are asked for again and again.
const HOT: usize = 16;
const ROUNDS: usize = 3;
const SECONDS: f64 = 4.0;
/// How many times apt-cacher-ng hits shall be, and which part of nginx.
const AIM: (f64, f64) = (3.0, 0.9);

/// What a program showed.
struct Shown {
    /// By number of clients.
    hits: Vec<load::Shown>,
    misses: Vec<load::Shown>,
    /// MiB in memory at most, by number of clients.
    memory: Vec<f64>,
}

/// Measures all of them.
pub(crate) async fn measure() -> Result<Vec<Line>> {
    say("package cache: making an archive");
    let archive = Archive::new()?;
    let cold: usize = COLD.iter().sum();
    let mut packages = Vec::new();
    for number in 0..HOT + cold {
        packages.push(archive.package(&format!("package-{number}"), "1", PACKAGE)?.path);
    }
    archive.release("bookworm")?;
    let scratch = tempfile::Builder::new().prefix("lotse-bench-").tempdir()?;
    let origin = rivals::origin(scratch.path(), &archive.root()).await.context("starting the origin")?;
    let mut shown = Vec::new();
    for rival in [Rival::Lotse, Rival::Cacher, Rival::Proxy, Rival::Sendfile] {
        let started = rival.start(scratch.path(), &archive, &origin).await;
        let running = started.with_context(|| format!("starting {}", rival.name()))?;
        shown.push(one(&running, &packages, rival).await.with_context(|| rival.name())?);
    }
    Ok(lines(&shown))
}

async fn one(running: &Running, packages: &[String], rival: Rival) -> Result<Shown> {
    let (hot, mut cold) = packages.split_at(HOT);
    let mut shown = Shown { hits: Vec::new(), misses: Vec::new(), memory: Vec::new() };
    load::each_once(running, hot, 1).await?;
    for (clients, files) in CLIENTS.into_iter().zip(COLD) {
        let (now, later) = cold.split_at(files);
        cold = later;
        // What only sends files has no misses.
        if rival != Rival::Sendfile {
            shown.misses.push(load::each_once(running, now, clients).await?);
        }
        running.program.forget_peak()?;
        let (mut rates, mut starved) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let round = load::again_and_again(running, hot, clients, SECONDS).await?;
            rates.push(round.rate);
            starved = starved.max(round.starved);
        }
        let (hits, memory) = (load::Shown { rate: median(&rates), starved }, running.program.peak_mib()?);
        say(&format!("{}: {clients} clients: {hits} hits, {memory:.0} MiB in memory", rival.name()));
        shown.hits.push(hits);
        shown.memory.push(memory);
    }
    Ok(shown)
}

impl std::fmt::Display for load::Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} MiB/s", self.rate)?;
        if self.starved > 0 { write!(f, ", {} clients not served", self.starved) } else { Ok(()) }
    }
}

fn lines(shown: &[Shown]) -> Vec<Line> {
    let [ours, cacher, proxy, sendfile] = shown else { return Vec::new() };
    let mut lines = Vec::new();
    let nothing = load::Shown { rate: 0.0, starved: 0 };
    let at = |values: &[load::Shown], place: usize| values.get(place).copied().unwrap_or(nothing);
    let beside = |title: String, ours: load::Shown, name: &str, theirs: load::Shown| {
        Line::new(title, ours.to_string()).beside(format!("{name}: {theirs}"), ours.rate / theirs.rate)
    };
    for (place, clients) in CLIENTS.into_iter().enumerate() {
        let title = || format!("package cache: hits, {clients} clients");
        let own = at(&ours.hits, place);
        let of = |theirs: &Shown| own.rate / at(&theirs.hits, place).rate;
        let text = format!("{} x apt-cacher-ng", AIM.0);
        lines.push(
            beside(title(), own, "apt-cacher-ng", at(&cacher.hits, place)).aim(text, of(cacher) >= AIM.0),
        );
        let text = format!("at least {} of nginx", AIM.1);
        lines.push(
            beside(title(), own, "nginx proxy_cache", at(&proxy.hits, place)).aim(text, of(proxy) >= AIM.1),
        );
        lines.push(beside(title(), own, "sendfile", at(&sendfile.hits, place)));
    }
    for (place, clients) in CLIENTS.into_iter().enumerate() {
        let title = || format!("package cache: cold misses, {clients} clients");
        let own = at(&ours.misses, place);
        lines.push(beside(title(), own, "apt-cacher-ng", at(&cacher.misses, place)));
        lines.push(beside(title(), own, "nginx proxy_cache", at(&proxy.misses, place)));
    }
    for (place, clients) in CLIENTS.into_iter().enumerate() {
        let of = |shown: &Shown| shown.memory.get(place).copied().unwrap_or(0.0);
        let (own, theirs) = (of(ours), of(cacher));
        let title = format!("package cache: memory at most, {clients} clients");
        lines.push(
            Line::new(title, format!("{own:.0} MiB"))
                .beside(format!("apt-cacher-ng: {theirs:.0} MiB"), own / theirs),
        );
    }
    lines
}

/// MiB a second.
fn rate(bytes: usize, seconds: f64) -> f64 {
    count(bytes) / f64::from(1 << 20) / seconds
}
