use super::*;
use crate::host::fake::FakeHost;

/// As QEMU shows a machine with one virtio disk and one virtio network card (`/sys` of a Debian 13 kernel 6.12).
fn qemu() -> FakeHost {
    FakeHost::new(5)
        .with_file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: QEMU TCG CPU version 2.5+\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\nmodel name\t: QEMU TCG CPU version 2.5+\nphysical id\t: 0\ncore id\t\t: 1\n")
        .with_file("/proc/meminfo", "MemTotal:         987654 kB\nMemFree:          1 kB\n")
        .with_file("/proc/cmdline", "lotse.boot=http://s BOOTIF=01-52-54-00-12-34-56\n")
        .with_file("/sys/class/dmi/id/sys_vendor", "QEMU\n")
        .with_file("/sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)\n")
        .with_file("/sys/class/dmi/id/product_serial", "Not Specified\n")
        .with_file("/sys/block/vda/size", "33554432\n")
        .with_file("/sys/block/vda/serial", "LOTSE-1")
        .with_file("/sys/block/vda/queue/logical_block_size", "512\n")
        .with_file("/sys/block/vda/queue/physical_block_size", "512\n")
        .with_file("/sys/block/vda/queue/rotational", "1\n")
        .with_file("/sys/block/vda/vda1/partition", "1\n")
        .with_file("/sys/block/vda/vda1/start", "2048\n")
        .with_file("/sys/block/vda/vda1/size", "4096\n")
        .with_file("/sys/block/sr0/size", "2048\n")
        .with_file("/sys/class/net/eth0/address", "52:54:00:12:34:56\n")
        .with_file("/sys/class/net/eth0/carrier", "1\n")
        .with_file("/sys/class/net/eth0/speed", "-1\n")
        .with_file("/sys/class/net/eth0/device/vendor", "0x1af4\n")
        .with_link("/sys/class/net/eth0/device/driver", "../../../../bus/virtio/drivers/virtio_net")
        .with_file("/sys/class/net/lo/address", "00:00:00:00:00:00\n")
}

#[tokio::test]
async fn a_virtual_machine_is_measured_from_the_kernels_texts_alone() {
    let facts = gather(&qemu(), Realm::Installer).await;
    assert_eq!((facts.cpu.cores, facts.cpu.threads, facts.memory_bytes), (2, 2, 987_654 << 10));
    assert_eq!((facts.virtualization.as_str(), facts.dmi.serial.as_str()), ("qemu", ""));
    assert_eq!(facts.disks.len(), 1);
    let disk = &facts.disks[0];
    assert_eq!(
        (disk.path.as_str(), disk.serial.as_str(), disk.size_bytes),
        ("/dev/vda", "LOTSE-1", 16 << 30)
    );
    assert_eq!(disk.transport, "virtio");
    assert_eq!((disk.partitions[0].start_bytes, disk.partitions[0].size_bytes), (1 << 20, 2 << 20));
    assert_eq!(facts.nics.len(), 1);
    assert!(facts.nics[0].booted && facts.nics[0].carrier);
    assert_eq!((facts.nics[0].driver.as_str(), facts.nics[0].speed_mbit), ("virtio_net", 0));
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
    let text = r#"[{"ifname":"eth0","addr_info":[{"local":"10.0.0.5","prefixlen":24,"scope":"global"},{"local":"fe80::1","prefixlen":64,"scope":"link"}]}]"#;
    assert_eq!(net::parse(text)["eth0"], ["10.0.0.5/24"]);
}

#[test]
fn os_release_is_read_with_and_without_quotes() {
    let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
    assert_eq!(os::field(text, "ID"), "debian");
    assert_eq!(os::field(text, "PRETTY_NAME"), "Debian GNU/Linux 12 (bookworm)");
}
