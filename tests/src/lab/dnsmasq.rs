//! DHCP for the lab: dnsmasq with the configuration under test, and a DHCP server that belongs to somebody else.
//!
//! The text of the configuration comes from the test (rendered by what it tests); only where dnsmasq keeps its own files
//! is added here.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use tokio::time::{Instant, sleep};

use super::{
    network::{BRIDGE, Network},
    process::{Process, run},
};

const LIMIT: Duration = Duration::from_hours(2);

/// dnsmasq on the bridge of a [`Network`].
#[derive(Debug)]
pub struct Dnsmasq {
    process: Process,
}

impl Dnsmasq {
    /// Starts dnsmasq with this configuration and returns when it answers. `directory` takes its files.
    ///
    /// # Errors
    /// dnsmasq refuses the configuration; the error carries what it said.
    pub async fn start(network: &Network, configuration: &str, directory: &Path) -> Result<Self> {
        let command = network.wrap(&["dnsmasq"]);
        Self::start_by(command, configuration, directory, "dnsmasq").await
    }

    async fn start_by(
        mut command: Vec<String>,
        configuration: &str,
        directory: &Path,
        name: &str,
    ) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        let file = directory.join(format!("{name}.conf"));
        let leases = directory.join(format!("{name}.leases"));
        fs_err::write(&file, format!("{configuration}\ndhcp-leasefile={}\n", leases.display()))?;
        command.extend(["--keep-in-foreground".into(), "--log-facility=-".into(), "--pid-file=".into()]);
        command.push(format!("--conf-file={}", file.display()));
        let process = Process::start(&command, &directory.join(format!("{name}.log")), LIMIT)?;
        let mut dnsmasq = Self { process };
        dnsmasq
            .wait_until_ready()
            .await
            .with_context(|| format!("starting dnsmasq with {}", file.display()))?;
        Ok(dnsmasq)
    }

    /// Everything dnsmasq logged so far: with `log-dhcp`, each exchange with each machine.
    pub fn log(&self) -> Result<String> {
        self.process.output()
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let log = self.log()?;
            if log.contains("dnsmasq-dhcp") || log.contains("DHCP, ") {
                return Ok(());
            }
            if !self.process.is_running()? || Instant::now() > deadline {
                bail!("it does not serve DHCP: {}", log.trim());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The DHCP server that a network already had: it gives out addresses and knows nothing about booting.
#[derive(Debug)]
pub struct ForeignDhcp {
    namespace: String,
    address: Ipv4Addr,
    dnsmasq: Option<Dnsmasq>,
}

impl ForeignDhcp {
    /// Starts it as another machine of the network: it answers at address .3 and gives out .200 to .250.
    pub async fn start(network: &Network, directory: &Path) -> Result<Self> {
        let namespace = format!("{}-foreign", network.namespace());
        run(&["ip", "netns", "add", &namespace])?;
        let mut foreign = Self { namespace: namespace.clone(), address: network.address(3), dnsmasq: None };
        let address = format!("{}/24", foreign.address);
        let inside = ["ip", "-n", &namespace];
        let there = |rest: &[&str]| run(&[&inside[..], rest].concat());
        network.inside(&[
            "ip", "link", "add", "foreign", "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ])?;
        network.inside(&["ip", "link", "set", "foreign", "master", BRIDGE])?;
        network.inside(&["ip", "link", "set", "foreign", "up"])?;
        there(&["address", "add", &address, "dev", "eth0"])?;
        there(&["link", "set", "eth0", "up"])?;
        let configuration = format!(
            "port=0\ninterface=eth0\nbind-dynamic\nlog-dhcp\ndhcp-range={},{},255.255.255.0,1h\ndhcp-option=option:router\n",
            network.address(200),
            network.address(250),
        );
        let command = ["ip", "netns", "exec", &namespace, "dnsmasq"].map(str::to_owned).to_vec();
        foreign.dnsmasq = Some(Dnsmasq::start_by(command, &configuration, directory, "foreign").await?);
        Ok(foreign)
    }

    /// Listens where it answers itself: the virtual router of a cloud gives more than addresses.
    ///
    /// # Errors
    /// The port is taken, or the namespace is gone.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let namespace = fs_err::File::open(format!("/run/netns/{}", self.namespace))?;
        let address = (self.address, port);
        // A socket stays where it was made, so a thread goes there for a moment.
        let made = std::thread::spawn(move || -> Result<TcpListener> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(TcpListener::bind(address)?)
        });
        made.join().map_err(|_| anyhow!("the thread in the namespace has panicked"))?
    }
}

impl Drop for ForeignDhcp {
    fn drop(&mut self) {
        self.dnsmasq = None;
        run(&["ip", "netns", "delete", &self.namespace]).ok();
    }
}
