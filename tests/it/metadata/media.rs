//! Media as the tools of clouds make them: their first bytes are read as the agent reads a device, their files from a tree.

use std::{path::Path, process::Command};

use agent::{
    host::fake::FakeHost,
    metadata::{self, Machine, Search},
};
use tokio_util::sync::CancellationToken;

use super::Network;

/// Where the agent mounts a medium.
const PLACE: &str = "/run/lotse-agent/medium";
const TEXT: &str = "#lotse-v1\nserver=https://s:8443\nboot=http://s:8080\nca=3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e\n";

fn run(argv: &[&str], directory: &Path) {
    let output = Command::new(argv[0]).args(&argv[1..]).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{} is needed (make setup): {error}", argv[0]));
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files below a directory, as the agent sees them on the medium.
fn files(host: FakeHost, directory: &Path, below: &Path) -> FakeHost {
    fs_err::read_dir(directory).unwrap().fold(host, |host, entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return files(host, &path, below);
        }
        let name = Path::new(PLACE).join(path.strip_prefix(below).unwrap());
        host.with_file(&name.display().to_string(), fs_err::read(&path).unwrap())
    })
}

/// Puts an image into a machine's drive; its files are those of the unpacked tree.
async fn read(image: &Path, tree: &Path) -> Search {
    let content = fs_err::read(image).unwrap();
    let host = FakeHost::new(0)
        .with_file("/sys/class/block/sr0/size", (content.len() / 512).to_string())
        .with_file("/dev/sr0", content);
    let host = files(host, tree, tree);
    let network = Network::default();
    metadata::find(Machine { host: &host, ask: &network }, &|_| {}, &CancellationToken::new()).await
}

fn unpack_iso(image: &Path, to: &Path) {
    let (image, to) = (image.display().to_string(), to.display().to_string());
    run(&["xorriso", "-osirrox", "on", "-indev", &image, "-extract", "/", &to], Path::new("/"));
}

#[tokio::test]
async fn an_iso_of_cloud_localds_is_understood() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    fs_err::write(directory.join("text"), TEXT).unwrap();
    fs_err::write(directory.join("meta"), "instance-id: i-1\n").unwrap();
    run(&["cloud-localds", "seed.iso", "text", "meta"], directory);
    let tree = directory.join("tree");
    unpack_iso(&directory.join("seed.iso"), &tree);
    let search = read(&directory.join("seed.iso"), &tree).await;
    assert_eq!(search.looked.last().unwrap(), "NoCloud medium: /dev/sr0 user-data: found");
}

#[tokio::test]
async fn a_fat_disk_of_cloud_localds_is_understood() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    fs_err::write(directory.join("text"), TEXT).unwrap();
    run(&["cloud-localds", "--filesystem", "vfat", "seed.img", "text"], directory);
    fs_err::create_dir(directory.join("tree")).unwrap();
    run(&["mcopy", "-i", "seed.img", "::user-data", "tree/"], directory);
    let search = read(&directory.join("seed.img"), &directory.join("tree")).await;
    assert_eq!(search.looked.last().unwrap(), "NoCloud medium: /dev/sr0 user-data: found");
}

#[tokio::test]
async fn a_configuration_drive_as_openstack_makes_it_is_understood() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    fs_err::create_dir_all(source.join("openstack/latest")).unwrap();
    fs_err::create_dir_all(source.join("ec2/latest")).unwrap();
    fs_err::write(source.join("openstack/latest/user_data"), TEXT).unwrap();
    fs_err::write(source.join("openstack/latest/meta_data.json"), "{\"uuid\": \"d8e0\"}").unwrap();
    fs_err::write(source.join("ec2/latest/meta-data.json"), "{}").unwrap();
    // The words of nova's virt/configdrive.py.
    let words = ["-ldots", "-allow-lowercase", "-allow-multidot", "-l", "-quiet", "-J", "-r", "-V", "config-2"];
    let mut argv = vec!["xorriso", "-as", "mkisofs", "-o", "../drive.iso"];
    argv.extend(words);
    argv.push(".");
    run(&argv, &source);
    let tree = scratch.path().join("tree");
    unpack_iso(&scratch.path().join("drive.iso"), &tree);
    let search = read(&scratch.path().join("drive.iso"), &tree).await;
    let line = "configuration drive: /dev/sr0 openstack/latest/user_data: found";
    assert_eq!(search.looked, [line]);
}
