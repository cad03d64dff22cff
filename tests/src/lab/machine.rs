//! A machine: QEMU with a firmware, disks and network cards; switched on as often as a test likes, with the same disks.
//!
//! Switching off is always pulling the plug: a machine that shuts down by itself is seen by [`Running::wait_until_off`].

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    disk::Disk,
    keys,
    network::Network,
    process::{Process, accelerator},
    serial::Serial,
};

/// Emulation by several threads may fail an assertion of QEMU's own (`msix_table_mmio_write`) while the kernel moves the windows of
/// PCI cards about. That is no machine's fault: it is switched on again, as after a power cut, and QEMU's log tells of it.
const SWITCHED_ON_AGAIN: &str = r#"for again in 1 2; do
    "$@"
    status=$?
    [ $status = 134 ] || exit $status
    echo "the emulator broke down; the machine is switched on again"
done
exec "$@""#;

const POLL: Duration = Duration::from_millis(200);
const TO_START: Duration = Duration::from_secs(60);

/// What runs before the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// `SeaBIOS`; the network card brings iPXE.
    Bios,
    /// OVMF with its own PXE.
    Uefi,
    /// OVMF with its own PXE, Secure Boot enforced with Microsoft's keys.
    UefiSecureBoot,
}

/// What the firmware tries to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The first network card.
    Network,
    /// The first disk.
    Disk,
    /// The CD.
    Cdrom,
}

/// A machine that is switched off.
#[derive(Debug)]
pub struct Machine {
    directory: PathBuf,
    firmware: Firmware,
    memory_mib: u32,
    disks: Vec<Disk>,
    cards: Vec<(String, String)>,
    cdrom: Option<PathBuf>,
    media: Vec<PathBuf>,
    order: Vec<Boot>,
    limit: Duration,
    starts: AtomicU32,
}

impl Machine {
    /// A machine with 1 GiB of memory, two processors, no disk and no card, that boots from the network, then from disk.
    ///
    /// `directory` takes its firmware variables and serial logs; it must be its own.
    ///
    /// # Errors
    /// The directory cannot be made, or OVMF is not installed.
    pub fn new(directory: &Path, firmware: Firmware) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        if let Some((_, variables)) = firmware.files() {
            fs_err::copy(variables, directory.join("variables.fd"))
                .context("copying the firmware's variables: packaging/setup.sh installs ovmf")?;
        }
        Ok(Self {
            directory: directory.to_owned(),
            firmware,
            memory_mib: 1024,
            disks: Vec::new(),
            cards: Vec::new(),
            cdrom: None,
            media: Vec::new(),
            order: vec![Boot::Network, Boot::Disk],
            limit: Duration::from_hours(1),
            starts: AtomicU32::new(0),
        })
    }

    /// With this much memory.
    #[must_use]
    pub fn memory_mib(self, memory_mib: u32) -> Self {
        Self { memory_mib, ..self }
    }

    /// With one more disk.
    #[must_use]
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// With one more network card, plugged into `network`.
    ///
    /// # Errors
    /// The network has no further port.
    pub fn card(mut self, network: &Network, mac: &str) -> Result<Self> {
        self.cards.push((network.add_tap()?, mac.to_owned()));
        Ok(self)
    }

    /// With a CD in its drive.
    #[must_use]
    pub fn cdrom(self, image: &Path) -> Self {
        Self { cdrom: Some(image.to_owned()), ..self }
    }

    /// With one more CD, from which it does not boot.
    #[must_use]
    pub fn medium(mut self, image: &Path) -> Self {
        self.media.push(image.to_owned());
        self
    }

    /// In this boot order.
    #[must_use]
    pub fn boot_order(self, order: &[Boot]) -> Self {
        Self { order: order.to_vec(), ..self }
    }

    /// No run of it lasts longer than this.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Switches it on, in the network that its cards are plugged into.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn power_on(&self, network: &Network) -> Result<Running> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.directory.join(format!("serial-{start}.log"));
        // The path of a socket has at most 107 bytes (unix(7)), and the directory may lie deep.
        let sockets = tempfile::Builder::new().prefix("lotse-machine-").tempdir()?;
        let options = self.options(&log, &monitor_in(&sockets));
        let words = ["sh", "-c", SWITCHED_ON_AGAIN, "machine"].into_iter();
        let words: Vec<&str> = words.chain(options.iter().map(String::as_str)).collect();
        let output = self.directory.join(format!("qemu-{start}.log"));
        let process = Process::start(&network.wrap(&words), &output, self.limit)?;
        let mut running = Running { process, serial: Serial::new(&log), sockets, started: Instant::now() };
        running.comes_up()?;
        Ok(running)
    }

    fn options(&self, log: &Path, monitor: &Path) -> Vec<String> {
        let mut options: Vec<String> =
            ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-vga", "std"]
                .map(str::to_owned)
                .to_vec();
        let mut add = |name: &str, value: String| options.extend([name.to_owned(), value]);
        add("-accel", accelerator());
        add("-cpu", "max".into());
        add("-smp", "2".into());
        add("-m", self.memory_mib.to_string());
        add("-device", "virtio-rng-pci".into());
        add("-chardev", format!("file,id=serial,append=on,path={}", log.display()));
        add("-serial", "chardev:serial".into());
        add("-monitor", format!("unix:{},server=on,wait=off", monitor.display()));
        add(
            "-machine",
            if self.firmware == Firmware::UefiSecureBoot { "q35,smm=on".into() } else { "q35".into() },
        );
        if let Some((code, _)) = self.firmware.files() {
            let variables = self.directory.join("variables.fd");
            add("-drive", format!("if=pflash,format=raw,readonly=on,file={code}"));
            add("-drive", format!("if=pflash,format=raw,file={}", variables.display()));
        }
        if self.firmware == Firmware::UefiSecureBoot {
            add("-global", "driver=cfi.pflash01,property=secure,value=on".into());
        }
        // UEFI machines boot by their own PXE and not by the iPXE in QEMU's card, which no real machine has.
        let rom = if self.firmware == Firmware::Bios { "" } else { ",romfile=" };
        for (number, (tap, mac)) in self.cards.iter().enumerate() {
            let boot = self.place(Boot::Network) + number;
            add("-netdev", format!("tap,id=net{number},ifname={tap},script=no,downscript=no"));
            add("-device", format!("virtio-net-pci,netdev=net{number},mac={mac},bootindex={boot}{rom}"));
        }
        if let Some(image) = &self.cdrom {
            add(
                "-drive",
                format!("if=none,id=cd,format=raw,media=cdrom,readonly=on,file={}", image.display()),
            );
            add("-device", format!("ide-cd,bus=ide.1,drive=cd,bootindex={}", self.place(Boot::Cdrom)));
        }
        for (number, image) in self.media.iter().enumerate() {
            let drive = format!(
                "if=none,id=medium{number},format=raw,media=cdrom,readonly=on,file={}",
                image.display()
            );
            add("-drive", drive);
            // One drive on each bus of this controller; a disk takes the first.
            add("-device", format!("ide-cd,bus=ide.{},drive=medium{number}", 2 + number));
        }
        for (number, disk) in self.disks.iter().enumerate() {
            options.extend(disk.options(&format!("disk{number}"), self.place(Boot::Disk) + number));
        }
        options
    }

    /// Where the kind starts in QEMU's boot order; what is not listed comes last.
    fn place(&self, boot: Boot) -> usize {
        10 * (1 + self.order.iter().position(|&entry| entry == boot).unwrap_or(8 + boot as usize))
    }
}

impl Firmware {
    fn files(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Bios => None,
            Self::Uefi => Some(("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd")),
            Self::UefiSecureBoot => {
                Some(("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"))
            }
        }
    }
}

/// A machine that is switched on; dropping it pulls the plug.
#[derive(Debug)]
pub struct Running {
    process: Process,
    serial: Serial,
    sockets: TempDir,
    started: Instant,
}

impl Running {
    /// QEMU's monitor answers once it has made all devices.
    fn comes_up(&mut self) -> Result<()> {
        loop {
            let answer = self.monitor("info status");
            if answer.is_ok() {
                return Ok(());
            }
            if !self.process.is_running()? {
                bail!("the machine did not start: {}", self.process.output()?);
            }
            if self.started.elapsed() > TO_START {
                return answer.context("the machine did not start");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until this text appears on the serial line, behind the text that was waited for last.
    /// Gives the time since power-on.
    ///
    /// # Errors
    /// It did not come within `timeout`, or the machine went off before; the error shows the end of the serial log.
    pub async fn wait_for(&mut self, text: &str, timeout: Duration) -> Result<Duration> {
        let deadline = Instant::now() + timeout;
        loop {
            let alive = self.process.is_running()?;
            if self.serial.find(text)? {
                return Ok(self.started.elapsed());
            }
            if !alive {
                bail!(
                    "waiting for {text:?}: the machine went off: {}\n{}",
                    self.process.output()?,
                    self.serial.tail(40)
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "waiting for {text:?}: not within {timeout:?}; the end of the serial log:\n{}",
                    self.serial.tail(40)
                );
            }
            sleep(POLL).await;
        }
    }

    /// Waits until the machine switched itself off.
    ///
    /// # Errors
    /// It did not within `timeout`.
    pub async fn wait_until_off(&mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        while self.process.is_running()? {
            if Instant::now() > deadline {
                bail!(
                    "the machine is still on after {timeout:?}; the end of the serial log:\n{}",
                    self.serial.tail(40)
                );
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Everything the machine wrote on its serial line since power-on.
    pub fn serial(&self) -> Result<String> {
        self.serial.text()
    }

    /// Pulls the plug.
    pub fn power_off(mut self) {
        self.process.kill();
    }

    /// Types text on the machine's keyboard.
    ///
    /// # Errors
    /// A character has no key, or QEMU's monitor does not answer.
    pub async fn type_text(&self, text: &str) -> Result<()> {
        for key in keys::for_text(text)? {
            self.monitor(&format!("sendkey {key} 20"))?;
            // The guest's keyboard buffer holds only a few presses.
            sleep(Duration::from_millis(60)).await;
        }
        Ok(())
    }

    /// Gives QEMU's monitor a command, such as `system_reset`.
    pub fn monitor(&self, command: &str) -> Result<()> {
        let attempt = || -> std::io::Result<()> {
            let mut socket = UnixStream::connect(monitor_in(&self.sockets))?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            wait_for_prompt(&mut socket)?;
            socket.write_all(format!("{command}\n").as_bytes())?;
            wait_for_prompt(&mut socket)
        };
        attempt().with_context(|| format!("telling QEMU's monitor {command:?}"))
    }
}

/// QEMU's monitor.
fn monitor_in(sockets: &TempDir) -> PathBuf {
    sockets.path().join("monitor")
}

fn wait_for_prompt(socket: &mut UnixStream) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"(qemu) ") {
        socket.read_exact(&mut byte)?;
        seen.push(byte[0]);
    }
    Ok(())
}
