//! The floor: the same machine, network boot, kernel and archive; `floor.sh` instead of an installer, nobody who is asked.
//!
//! It has a network of its own, whose DHCP server names our boot script; kernel, initramfs and archive come from the same server.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::{Router, extract::State, routing::get};
use harness::{
    lab::{Dnsmasq, Network, Running},
    site::{CONSOLE, Site},
    story::minutes,
};
use serde_json::Value;

use super::{Stages, machine};
use crate::say;

const MAC: &str = "52:54:00:be:f1:00";
/// What it says on the serial line at the end of a stage.
const MARKS: [(&str, &str); 5] = [
    ("boot", "floor: has a network"),
    ("storage", "floor: has a disk"),
    ("base-system", "floor: has a system"),
    ("boot-loader", "floor: has a boot loader"),
    ("restart", "floor: the system is up"),
];

/// Answers the boot program: the first time with the floor, then with the disk.
struct Script {
    text: String,
    asked: AtomicUsize,
}

pub(super) async fn install(site: &Site, round: usize, base: &str) -> Result<Stages> {
    let directory = site.directory.join(format!("floor-{round}"));
    fs_err::create_dir_all(&directory)?;
    let network = Network::create()?;
    let listener = tokio::net::TcpListener::bind((network.server_address(), 0)).await?;
    let own = format!("http://{}", listener.local_addr()?);
    let images = Images::of(site).await?;
    let script = Arc::new(Script { text: images.script(base, &own)?, asked: AtomicUsize::new(0) });
    let tools = site.data().join("blobs").join(images.hash("installer", "tools")?);
    let pack = pack(&directory, tools).await?;
    let routes = Router::new()
        .route("/script", get(answer))
        .route("/pack", get(move || std::future::ready(pack.clone())))
        .with_state(script.clone());
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let dnsmasq = Dnsmasq::start(&network, &dhcp(&network, &own), &directory).await?;
    let machine = machine(&network, &directory, MAC)?;
    let mut running = machine.power_on(&network)?;
    let begun = Instant::now();
    let stages = watch(&mut running, begun, &script).await;
    running.power_off();
    drop(dnsmasq);
    serving.abort();
    fs_err::remove_dir_all(&directory)?;
    stages
}

async fn watch(running: &mut Running, begun: Instant, script: &Script) -> Result<Stages> {
    let mut stages = Stages::new();
    let mut before = Duration::ZERO;
    for (name, mark) in MARKS {
        if name == "restart" {
            while script.asked.load(Ordering::Relaxed) < 2 && begun.elapsed() < minutes(20) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let asked = begun.elapsed();
            let up = running.wait_for(mark, minutes(5)).await?;
            say(&format!(
                "  the floor's restart: {:.1} s until the boot program asks, {:.1} s until the system is up",
                asked.saturating_sub(before).as_secs_f64(),
                up.saturating_sub(asked).as_secs_f64()
            ));
        } else {
            running.wait_for(mark, minutes(10)).await?;
        }
        let now = begun.elapsed();
        stages.insert(name, now.saturating_sub(before).as_secs_f64());
        before = now;
    }
    Ok(stages)
}

async fn answer(State(script): State<Arc<Script>>) -> String {
    if script.asked.fetch_add(1, Ordering::Relaxed) == 0 {
        script.text.clone()
    } else {
        "#!ipxe\nsanboot --no-describe --drive 0x80\n".to_owned()
    }
}

/// What the server serves.
struct Images {
    list: Value,
    boot: String,
}

impl Images {
    async fn of(site: &Site) -> Result<Self> {
        let addresses = site.addresses()?;
        let boot = addresses["boot"].as_str().context("finding the server's address")?.to_owned();
        Ok(Self { list: site.json(&["image", "list"]).await?, boot })
    }

    fn hash(&self, image: &str, part: &str) -> Result<&str> {
        let found = self.list.as_array().into_iter().flatten().find(|found| found["name"] == image);
        let hash = found.and_then(|found| found["parts"][part]["sha256"].as_str());
        hash.with_context(|| format!("finding {part} of the image {image}"))
    }

    /// As the server's own script for its installer, with another first process.
    fn script(&self, base: &str, own: &str) -> Result<String> {
        let url = |image, part| self.hash(image, part).map(|hash| format!("{}/boot/blobs/{hash}", self.boot));
        let (kernel, initramfs) = (url("installer", "vmlinuz")?, url("installer", "initramfs")?);
        let archive = url(base, "archive")?;
        Ok(format!(
            "#!ipxe\nkernel {kernel} rdinit=/floor console=tty0 console={CONSOLE} floor.archive={archive}\n\
             initrd {initramfs}\ninitrd {own}/pack\nboot\n"
        ))
    }
}

async fn pack(directory: &Path, tools: PathBuf) -> Result<Vec<u8>> {
    let (scripts, out) = (Site::share().join("tests/bench/installation"), directory.join("pack.cpio"));
    let argv = ["sh".into(), scripts.join("pack.sh"), scripts.join("floor.sh"), tools, out.clone()]
        .map(|path: PathBuf| path.display().to_string());
    let packed = tokio::task::spawn_blocking(move || Site::run(&argv.each_ref().map(String::as_str)));
    packed.await?.context("packing the floor's programs")?;
    Ok(fs_err::read(&out)?)
}

fn dhcp(network: &Network, own: &str) -> String {
    format!(
        "port=0\ninterface=br0\nbind-dynamic\nlog-dhcp\ndhcp-range={},{},255.255.255.0,1h\n\
         dhcp-option=option:router,{}\ndhcp-boot={own}/script\n",
        network.address(100),
        network.address(199),
        network.server_address(),
    )
}
