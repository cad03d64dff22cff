//! The life of one fake machine: it boots, its agent runs, something happens to it, it boots again.
//!
//! The agent is the real one; what a killed agent leaves behind is only what is in the machine's files.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent::{
    config::{self, Config},
    host::fake::FakeHost,
    session::{self, Ended, Session},
};
use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use wire::Mac;

use super::{
    luck::{Blow, Luck, Tally},
    network::BadNetwork,
    program::program,
};

/// Where the installer puts the system.
const TARGET: &str = "/target";

/// Lines on a screen.
const SCREEN_LINES: usize = 8;

/// How a machine comes to its agent.
#[derive(Clone, Debug)]
pub enum Boots {
    /// An installed system, with what its agent was told.
    System(Box<Config>),
    /// Over the network: asks the server at this base URL what to boot, at every boot.
    Network(String),
}

/// A machine that is switched on.
pub struct Machine {
    /// Its first network card.
    pub mac: Mac,
    /// What it is made of.
    pub host: FakeHost,
    /// What goes wrong with it.
    pub luck: Arc<Luck>,
    /// Where that is counted.
    pub tally: Arc<Tally>,
    /// What happens to its agent.
    pub blows: UnboundedReceiver<Blow>,
    /// How it boots.
    pub boots: Boots,
    /// What its agent has said last.
    pub screen: Screen,
}

/// The last lines that people before a machine have read. Clones show the same.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<VecDeque<String>>>);

impl Screen {
    fn show(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line.to_owned());
        if lines.len() > SCREEN_LINES {
            lines.pop_front();
        }
    }

    /// The lines in one.
    pub fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect::<Vec<_>>().join(" | ")
    }
}

/// A machine with one network card, whose scripts do what they say.
pub fn hardware(mac: Mac, now_at: i64) -> FakeHost {
    let host = FakeHost::new(now_at)
        .with_file("/sys/class/net/eth0/address", mac.to_string())
        .with_file("/sys/class/net/eth0/carrier", "1")
        .with_file("/sys/class/net/eth0/device/vendor", "0x1af4")
        .with_file("/sys/class/dmi/id/product_serial", format!("serial-{mac}"));
    host.run_by(program());
    host
}

/// How a run of the agent ended.
enum After {
    Restarted,
    PoweredOff,
    Blow(Blow),
    End,
}

impl Machine {
    /// Lives until `end` fires or the machine is switched off.
    ///
    /// # Errors
    /// An agent gave up, which it never should.
    pub async fn live(mut self, end: CancellationToken) -> Result<()> {
        let mut on_disk = false;
        loop {
            let config = tokio::select! {
                config = self.boot(&mut on_disk) => config?,
                () = end.cancelled() => return Ok(()),
            };
            loop {
                match self.run(config.clone(), &end).await? {
                    After::End | After::PoweredOff => return Ok(()),
                    After::Blow(Blow::PowerCut) => {
                        self.host.lose_unsynced();
                        break;
                    }
                    After::Restarted => break,
                    After::Blow(Blow::Kill | Blow::Stop | Blow::Cut) => {}
                }
            }
            self.tally.count("boots");
            self.host.restart();
        }
    }

    /// Runs one agent to its end.
    async fn run(&mut self, config: Config, end: &CancellationToken) -> Result<After> {
        let screen = self.screen.clone();
        screen.show("--");
        let session = Session {
            config,
            host: Arc::new(self.host.clone()),
            connect: Arc::new(BadNetwork(self.luck.clone())),
            console: Arc::new(move |line| screen.show(line)),
        };
        let stop = CancellationToken::new();
        let mut running = Box::pin(session::run(&session, &stop));
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = end.cancelled() => {
                stop.cancel();
                running.await?;
                return Ok(After::End);
            }
            Some(blow) = self.blows.recv() => {
                if blow == Blow::Stop {
                    stop.cancel();
                    // It may just have ended by itself.
                    if running.await? == Ended::Down {
                        return Ok(self.after_going_down());
                    }
                }
                return Ok(After::Blow(blow));
            }
        };
        match ended.context("an agent gave up")? {
            Ended::Down => Ok(self.after_going_down()),
            Ended::Stopped => bail!("an agent stopped, and nobody had told it to"),
        }
    }

    fn after_going_down(&self) -> After {
        match self.host.powers().last() {
            Some(agent::host::Power::Reboot) => After::Restarted,
            _ => After::PoweredOff,
        }
    }

    /// Starts a system; gives what its agent knows.
    async fn boot(&self, on_disk: &mut bool) -> Result<Config> {
        let server = match &self.boots {
            Boots::System(config) => return Ok((**config).clone()),
            Boots::Network(server) => server,
        };
        let client = reqwest::Client::builder().no_proxy().build()?;
        loop {
            let asked = client.get(format!("{server}/boot/ipxe?mac={}", self.mac)).send().await;
            let script = match asked {
                Ok(answer) if answer.status().is_success() => answer.text().await.unwrap_or_default(),
                // Firmware asks again, as long as it takes.
                _ => String::new(),
            };
            if let Some(words) = script.lines().find_map(|line| line.strip_prefix("kernel ")) {
                if std::mem::take(on_disk) {
                    self.host.leave_disk(TARGET);
                }
                self.host.boot_memory(TARGET);
                self.tally.count("installer boots");
                let words = words.replace("${netX/mac:hexhyp}", &self.mac.hyphenated());
                return Ok(Config::from_command_line(&words)?);
            }
            if script.contains("sanboot") {
                if !*on_disk && self.host.file(&format!("{TARGET}{}", config::FILE)).is_some() {
                    self.host.boot_disk(TARGET);
                    *on_disk = true;
                }
                if self.host.file(config::FILE).is_some() {
                    return Ok(Config::read(&self.host)?);
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}
