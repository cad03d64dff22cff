use std::path::Path;

use wire::step::StepKind;

use super::*;
use crate::{
    host::{
        Host,
        fake::{Answer, FakeHost},
    },
    steps::testing::Stage,
};

const NAMED: &str = "ln -sfn /dev/vda1 /dev/disk/by-uuid/7b70";
const MENU: &str = "menuentry 'Debian' {\n\tsearch --fs-uuid 7b70\n\tlinux\t/boot/vmlinuz-6.1 root=UUID=7b70 ro\n\tinitrd\t/boot/initrd.img-6.1\n}\n";

/// What update-grub writes where nothing leads from the UUID to the device.
const UNSTABLE: &str = "menuentry 'Debian' {\n\tsearch --fs-uuid 7b70\n\tlinux\t/boot/vmlinuz-6.1 root=/dev/vda1 ro\n\tinitrd\t/boot/initrd.img-6.1\n}\n";

/// A target whose programs leave what the real ones leave.
fn target() -> FakeHost {
    let host = FakeHost::new(0)
        .with_file("/target/etc/fstab", "# x\nUUID=7b70 / ext4 defaults 0 1\n")
        .with_file("/target/etc/os-release", "ID=debian\n")
        .with_file("/target/boot/vmlinuz-6.1", "")
        .with_file("/target/boot/initrd.img-6.1", "")
        .with_file("/target/boot/grub/grub.cfg", MENU)
        .with_file("/target/boot/grub/i386-pc/core.img", "")
        .with_file("/sys/block/vda/size", "33554432")
        .with_file("/sys/block/vda/serial", "LOTSE-1")
        .with_file("/sys/block/vda/queue/logical_block_size", "512");
    host.answer(
        "dpkg-query",
        Answer::prints("grub-pc installed\nlinux-image-amd64 installed\nlinux-old config-files\n"),
    );
    Host::mount(&host, "/dev/vda1", Path::new("/target"), "ext4", "").unwrap();
    host
}

async fn run(stage: &Stage, command_line: &str) -> Result<(), StepError> {
    let disk = serde_json::json!({
        "disk": "system", "path": "/dev/sda", "serial": "LOTSE-1", "size_bytes": 16_u64 << 30, "sector_bytes": 512,
    });
    let kind: StepKind = serde_json::from_value(serde_json::json!({
        "kind": "boot-loader", "firmware": "bios", "disks": [disk], "kernel_packages": ["linux-image-amd64"],
        "packages": ["grub-pc"], "kernel_command_line": command_line,
    }))
    .unwrap();
    crate::steps::execute(&stage.ctx(), &kind).await
}

#[tokio::test]
async fn a_complete_system_only_gets_its_boot_record_on_the_disk_that_is_meant() {
    let stage = Stage::new(target());
    run(&stage, "quiet").await.unwrap();
    let commands: Vec<_> =
        stage.host.command_lines().into_iter().filter(|line| !line.starts_with("dpkg-query")).collect();
    assert_eq!(commands, ["grub-install --target=i386-pc --recheck /dev/vda", NAMED, "update-grub", "sync"]);
    assert!(stage.host.text("/target/etc/default/grub.d/lotse.cfg").contains("GRUB_CMDLINE_LINUX='quiet'"));
}

#[tokio::test]
async fn what_is_missing_is_installed_from_the_targets_own_sources() {
    let stage = Stage::new(target().with_file("/target/boot/vmlinuz-6.2", ""));
    stage.host.answer("dpkg-query", Answer::fails(1, "no packages found"));
    run(&stage, "").await.unwrap();
    let commands = stage.host.command_lines().join("\n");
    assert!(commands.contains("install -- linux-image-amd64 grub-pc"), "{commands}");
    assert!(commands.contains("update-initramfs -c -k 6.2") && !commands.contains("-k 6.1"), "{commands}");
}

#[tokio::test]
async fn a_mirror_that_is_down_is_worth_another_try_but_an_unknown_package_is_not() {
    let stage = Stage::new(target());
    stage.host.answer("dpkg-query", Answer::fails(1, ""));
    stage.host.answer("apt-get -q update", Answer::fails(100, "E: Failed to fetch"));
    assert!(matches!(run(&stage, "").await, Err(StepError::Transient(_))));
    stage.host.answer("apt-get -q update", Answer::default());
    stage.host.answer("apt-get -q -y", Answer::fails(100, "E: Unable to locate package grub-pc"));
    assert!(matches!(run(&stage, "").await, Err(StepError::Permanent(_))));
}

#[tokio::test]
async fn a_system_that_cannot_boot_is_a_failure() {
    for (path, content, reason) in [
        ("/target/etc/fstab", "UUID=other / ext4 defaults 0 1\n", "does not name the root file system other"),
        ("/target/etc/fstab", "", "no line for /"),
        ("/target/boot/grub/grub.cfg", "\tlinux\t/boot/vmlinuz-6.1\n", "no `initrd` line"),
        (
            "/target/boot/grub/grub.cfg",
            UNSTABLE,
            "does not name the root file system 7b70: linux\t/boot/vmlinuz-6.1 root=/dev/vda1",
        ),
        ("/target/boot/grub/grub.cfg", "\tlinux /vmlinuz-5\n\tinitrd /x\n", "/vmlinuz-5, which is not there"),
    ] {
        let stage = Stage::new(target().with_file(path, content));
        let error = run(&stage, "").await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(stage.host.mounts().len(), 1, "the target alone");
    }
}

#[tokio::test]
async fn a_dangerous_command_line_is_refused_before_anything_happens() {
    let stage = Stage::new(target());
    assert!(matches!(run(&stage, "quiet'; reboot '").await, Err(StepError::Refused(_))));
    assert!(stage.host.commands().is_empty() && stage.host.mounts().len() == 1);
}
