//! Media as the tools of clouds make them: their first bytes are read as the agent reads a device, their files from a tree.

use std::path::Path;

use agent::{
    host::fake::FakeHost,
    metadata::{self, Machine, Search},
};
use harness::lab::medium;
use tokio_util::sync::CancellationToken;

use super::Network;

/// Where the agent mounts a medium.
const PLACE: &str = "/run/lotse-agent/medium";
const TEXT: &str = "#lotse-v1\nserver=https://s:8443\nboot=http://s:8080\nca=3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e\n";

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

/// Puts an image into a machine's drive.
async fn read(image: &Path) -> Search {
    let tree = tempfile::tempdir().unwrap();
    medium::unpack(image, tree.path()).unwrap();
    let content = fs_err::read(image).unwrap();
    let host = FakeHost::new(0)
        .with_file("/sys/class/block/sr0/size", (content.len() / 512).to_string())
        .with_file("/dev/sr0", content);
    let host = files(host, tree.path(), tree.path());
    let network = Network::default();
    metadata::find(Machine { host: &host, ask: &network }, &|_| {}, &CancellationToken::new()).await
}

#[tokio::test]
async fn a_medium_of_cloud_localds_is_understood() {
    let scratch = tempfile::tempdir().unwrap();
    for file_system in ["iso9660", "vfat"] {
        let image = scratch.path().join("seed.img");
        medium::nocloud(&image, TEXT, file_system).unwrap();
        let search = read(&image).await;
        assert_eq!(search.looked.last().unwrap(), "NoCloud medium: /dev/sr0 user-data: found");
        fs_err::remove_file(&image).unwrap();
    }
}

#[tokio::test]
async fn a_configuration_drive_as_openstack_makes_it_is_understood() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    for (file, content) in [
        ("openstack/latest/user_data", TEXT),
        ("openstack/latest/meta_data.json", "{\"uuid\": \"d8e0\"}"),
        ("ec2/latest/meta-data.json", "{}"),
    ] {
        let path = source.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }
    let image = scratch.path().join("drive.iso");
    medium::configuration_drive(&image, &source).unwrap();
    let line = "configuration drive: /dev/sr0 openstack/latest/user_data: found";
    assert_eq!(read(&image).await.looked, [line]);
}
