use super::*;
use crate::host::fake::{Answer, FakeHost};

/// A machine from what `testdata/capture.sh` printed on it.
fn captured(text: &str) -> FakeHost {
    let mut host = FakeHost::new(5);
    let starts = ["== ", "-- ", "-> "];
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((kind, rest)) = line.split_at_checked(3).filter(|(kind, _)| starts.contains(kind)) else {
            continue;
        };
        if let Some((path, link)) = rest.split_once(' ').filter(|_| kind == "-> ") {
            host = host.with_link(path, link);
            continue;
        }
        let mut content = String::new();
        while let Some(line) = lines.next_if(|line| !starts.iter().any(|start| line.starts_with(start))) {
            content += line;
            content.push('\n');
        }
        host = if kind == "-- " {
            host.with_file(rest, hex::decode(content.trim()).unwrap())
        } else {
            host.with_file(rest, content)
        };
    }
    host
}

fn qemu() -> FakeHost {
    let host = captured(include_str!("testdata/qemu-q35.txt"));
    host.answer("ip address", Answer::prints(include_str!("testdata/ip-address.txt")));
    host
}

#[tokio::test]
async fn a_virtual_machine_is_measured_from_the_kernels_texts_alone() {
    let facts = gather(&qemu(), Realm::Installer).await;
    assert_eq!((facts.cpu.cores, facts.cpu.threads, facts.memory_bytes), (2, 2, 988_228 << 10));
    assert_eq!(facts.cpu.model, "QEMU TCG CPU version 2.5+");
    assert_eq!((facts.virtualization.as_str(), facts.dmi.serial.as_str()), ("qemu", ""));
    let nics: Vec<_> =
        facts.nics.iter().map(|nic| (nic.name.as_str(), nic.driver.as_str(), nic.speed_mbit)).collect();
    assert_eq!(nics, [("eth0", "e1000e", 1000), ("eth1", "virtio_net", 0)]);
    assert_eq!(facts.nics.iter().map(|nic| nic.booted).collect::<Vec<_>>(), [false, true]);
    assert!(facts.nics[0].carrier);
    assert_eq!(facts.nics[0].addresses[0], "10.0.2.15/24");
}

#[tokio::test]
async fn a_container_shows_the_interfaces_that_have_an_address() {
    let host = FakeHost::new(5)
        .with_file("/sys/class/net/lo/address", "00:00:00:00:00:00\n")
        .with_file("/sys/class/net/eth0/address", "52:54:00:c0:00:01\n")
        .with_file("/sys/class/net/dummy0/address", "52:54:00:c0:00:02\n");
    let printed = "1: lo: <LOOPBACK>\n    inet 127.0.0.1/8 scope host lo\n2: eth0@if3: <UP>\n    inet 10.0.0.7/24 scope global eth0\n4: dummy0: <UP>\n";
    host.answer("ip address", Answer::prints(printed));
    let nics = gather(&host, Realm::System).await.nics;
    let shown: Vec<_> = nics.iter().map(|nic| (nic.name.as_str(), nic.addresses.as_slice())).collect();
    assert_eq!(shown, [("eth0", &["10.0.0.7/24".to_owned()][..])]);
}

#[tokio::test]
async fn every_disk_is_there_once_with_what_identifies_it() {
    let facts = gather(&qemu(), Realm::Installer).await;
    let seen: Vec<_> = facts
        .disks
        .iter()
        .map(|disk| [&disk.path, &disk.transport, &disk.serial, &disk.model, &disk.wwn].map(String::as_str))
        .collect();
    assert_eq!(
        seen,
        [
            ["/dev/nvme0n1", "nvme", "NVME-2", "QEMU NVMe Ctrl", ""],
            ["/dev/sda", "sata", "SATA-3", "QEMU HARDDISK", "naa.5000c50015ea71ad"],
            ["/dev/sdb", "scsi", "SCSI-4", "QEMU QEMU HARDDISK", ""],
            ["/dev/sdc", "usb", "STICK-5", "QEMU QEMU HARDDISK", ""],
            ["/dev/vda", "virtio", "LOTSE-1", "", ""],
        ]
    );
    let [nvme, .., stick, virtio] = facts.disks.as_slice() else { panic!() };
    assert_eq!((nvme.sector_bytes, nvme.size_bytes, nvme.rotational), (4096, 2 << 30, false));
    assert!(stick.removable && !virtio.removable);
    let second = &virtio.partitions[1];
    assert_eq!((second.number, second.start_bytes, second.size_bytes), (2, 206_848 * 512, 3_985_408 * 512));
}

#[tokio::test]
async fn the_hypervisor_counts_more_than_its_firmware() {
    let clocks = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    let host = qemu().with_file(clocks, "kvm-clock tsc hpet\n");
    assert_eq!(gather(&host, Realm::System).await.virtualization, "kvm");
}

#[tokio::test]
async fn a_machine_that_shows_nothing_is_measured_without_a_guess() {
    let facts = gather(&FakeHost::new(0), Realm::System).await;
    assert!(facts.disks.is_empty() && facts.nics.is_empty() && facts.virtualization.is_empty());
}

#[test]
fn the_boot_interface_is_read_in_both_spellings() {
    for line in ["BOOTIF=01-52-54-00-12-34-56", "quiet BOOTIF=52:54:00:12:34:56 x"] {
        assert_eq!(net::booted(line).unwrap().to_string(), "52:54:00:12:34:56");
    }
    assert_eq!(net::booted("BOOTIF=garbage"), None);
}

#[test]
fn addresses_of_link_scope_are_left_out() {
    let iproute2 = include_str!("testdata/ip-address.txt");
    let found = net::parse(iproute2);
    assert_eq!(found["eth0"], ["10.0.2.15/24", "fec0::5054:ff:fe12:3457/64", "fec0::5054:ff:fe12:3456/64"]);
    assert_eq!(found.get("lo"), None);
}

#[test]
fn os_release_is_read_with_and_without_quotes() {
    let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
    assert_eq!(os::field(text, "ID"), "debian");
    assert_eq!(os::field(text, "PRETTY_NAME"), "Debian GNU/Linux 12 (bookworm)");
}
