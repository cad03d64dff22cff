//! A real machine from power-on to the first report of the installed system; beside it the floor, on the same machine: the same
//! network boot, kernel and archive, and nothing but what cannot be left out.
//!
//! The two alternate, so that a change of the machine's load hits both.

mod floor;
mod ours;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result};
use harness::{
    lab::{Disk, Firmware, Machine, Network},
    site::{Dhcp, Programs, Site},
};

use crate::{
    say,
    table::{Line, median},
};

/// Of the floor, at most.
const AIM: f64 = 1.25;

/// The parts of an installation in order, and what they are for a person.
const STAGES: [(&str, &str); 8] = [
    ("boot", "power-on until the first job, or the floor's network"),
    ("tools", "tool set fetched and mounted"),
    ("storage", "partitioned and formatted"),
    ("base-system", "archive streamed and unpacked"),
    ("configure", "configured"),
    ("boot-loader", "boot loader installed"),
    ("agent", "agent installed"),
    ("restart", "restart until the first report, or the floor's network"),
];

/// Seconds of each stage.
type Stages = BTreeMap<&'static str, f64>;

/// Installs so many machines in each way.
pub(crate) async fn measure(rounds: usize, distribution: &str) -> Result<Vec<Line>> {
    let scratch = tempfile::Builder::new().prefix("lotse-bench-").tempdir()?;
    let site = Site::start(Programs::built()?, scratch.path(), Dhcp::Own).await?;
    let base = format!("{distribution}/virtual");
    say("installation: images (built, or taken from the cache)");
    site.build_images(&["installer", "loaders", "agent", &base]).await?;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let done = ours::install(&site, round, distribution).await;
        ours.push(done.with_context(|| format!("installing machine {round}"))?);
        say(&format!("installation {round} of {rounds}: {}", shown(ours.last())));
        let done = floor::install(&site, round, &base).await;
        floors.push(done.with_context(|| format!("installing floor {round}"))?);
        say(&format!("floor {round} of {rounds}: {}", shown(floors.last())));
    }
    Ok(lines(&ours, &floors))
}

/// The same machine for both.
fn machine(network: &Network, directory: &Path, mac: &str) -> Result<Machine> {
    fs_err::create_dir_all(directory)?;
    let disk = Disk::create(&directory.join("disk.img"), "BENCH-0001", 8)?;
    let machine = Machine::new(directory, Firmware::Bios)?.disk(disk).card(network, mac)?;
    Ok(machine.limit(Duration::from_mins(30)))
}

fn lines(ours: &[Stages], floors: &[Stages]) -> Vec<Line> {
    let middle = |all: &[Stages], name: &str| {
        let values: Vec<_> = all.iter().filter_map(|stages| stages.get(name)).copied().collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let total =
        |all: &[Stages]| median(&all.iter().map(|stages| stages.values().sum()).collect::<Vec<f64>>());
    let ratio = total(ours) / total(floors);
    let mut lines = vec![
        Line::new("installation: power-on to first report", format!("{:.1} s", total(ours)))
            .beside(format!("floor: {:.1} s", total(floors)), ratio)
            .aim(format!("at most {AIM}"), ratio <= AIM),
    ];
    for (name, title) in STAGES {
        let Some(seconds) = middle(ours, name) else { continue };
        let line = Line::new(format!("  {name}: {title}"), format!("{seconds:.1} s"));
        lines.push(match middle(floors, name) {
            Some(floor) => line.beside(format!("floor: {floor:.1} s"), seconds / floor),
            None => line,
        });
    }
    lines
}

fn shown(stages: Option<&Stages>) -> String {
    let Some(stages) = stages else { return String::new() };
    let parts = STAGES.iter().filter_map(|(name, _)| Some(format!("{name} {:.1}", stages.get(name)?)));
    format!("{:.1} s: {}", stages.values().sum::<f64>(), parts.collect::<Vec<_>>().join(", "))
}
