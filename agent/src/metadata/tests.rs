use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use super::*;
use crate::{
    host::fake::FakeHost,
    server::{Error, plain::PATIENCE},
};

const CA: &str = "3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e";
const EC2: &str = "http://169.254.169.254/latest/user-data";
const EC2_TOKEN: &str = "http://169.254.169.254/latest/api/token";
const OPENSTACK: &str = "http://169.254.169.254/openstack/latest/user_data";

fn text() -> String {
    format!("#lotse-v1\nserver=https://s:8443\nboot=http://s:8080\nca={CA}\ntoken=lotse_t\n")
}

/// A network in which some addresses answer, and all others are silent for as long as a question lasts.
#[derive(Default)]
struct Network {
    answers: BTreeMap<String, Answer>,
    /// These answer only from this question for them on.
    late: BTreeMap<String, usize>,
    asked: Mutex<Vec<Question>>,
}

impl Network {
    fn with(mut self, url: &str, status: u16, content: impl Into<Vec<u8>>) -> Self {
        let answer = Answer { status, location: String::new(), content: content.into() };
        self.answers.insert(url.to_owned(), answer);
        self
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Question>> {
        self.asked.lock().unwrap()
    }

    fn times(&self, url: &str) -> usize {
        self.asked().iter().filter(|question| question.url == url).count()
    }
}

impl Ask for Network {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>> {
        self.asked().push(question.clone());
        Box::pin(async move {
            let late = self.late.get(&question.url).is_some_and(|from| self.times(&question.url) < *from);
            if let Some(answer) = self.answers.get(&question.url).filter(|_| !late) {
                return Ok(answer.clone());
            }
            tokio::time::sleep(PATIENCE).await;
            let source = std::io::Error::from(std::io::ErrorKind::TimedOut).into();
            Err(Error::Unreachable { attempt: "ask for user-data", source })
        })
    }
}

async fn search(host: &FakeHost, network: &Network) -> (Search, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let say = |line: &str| said.lock().unwrap().push(line.to_owned());
    let machine = Machine { host, ask: network };
    let search = find(machine, &say, &CancellationToken::new()).await;
    (search, said.into_inner().unwrap())
}

/// Searches, and gives the line of the place where it was found.
async fn found(host: &FakeHost, network: &Network) -> String {
    let (search, said) = search(host, network).await;
    let found = search.found.unwrap_or_else(|| panic!("{:#?}", search.looked));
    assert_eq!(found.render().unwrap(), text());
    assert_eq!(said.last(), search.looked.last());
    search.looked.last().unwrap().clone()
}

async fn reasons(host: &FakeHost, network: &Network) -> String {
    let (search, _) = search(host, network).await;
    assert_eq!(search.found, None);
    search.looked.join("\n")
}

/// A machine with a medium, whose first bytes are those of this file system with this label.
fn with_medium(name: &str, file_system: &str, label: &str) -> FakeHost {
    let mut head = vec![0; 0x9000];
    let mut put = |offset: usize, bytes: &[u8]| head[offset..offset + bytes.len()].copy_from_slice(bytes);
    if file_system == "iso9660" {
        put(0x8001, b"CD001");
        put(0x8028, format!("{label:32}").as_bytes());
    } else {
        put(54, b"FAT16   ");
        put(43, format!("{label:11}").as_bytes());
    }
    FakeHost::new(0)
        .with_file(&format!("/dev/{name}"), head)
        .with_file(&format!("/sys/class/block/{name}/size"), "72\n")
        .with_file("/sys/class/block/vda/size", "41943040\n")
        .with_file("/sys/class/block/loop0/size", "72\n")
}

fn virtual_machine() -> FakeHost {
    FakeHost::new(0).with_file("/sys/class/dmi/id/sys_vendor", "QEMU\n")
}

#[tokio::test(start_paused = true)]
async fn a_configuration_drive_of_openstack_is_read_and_no_network_is_asked() {
    let host = with_medium("sr0", "iso9660", "config-2")
        .with_file("/run/lotse-agent/medium/openstack/latest/meta_data.json", "{}")
        .with_file("/run/lotse-agent/medium/openstack/latest/user_data", text());
    let network = Network::default();
    let line = found(&host, &network).await;
    assert_eq!(line, "configuration drive: /dev/sr0 openstack/latest/user_data: found");
    assert!(network.asked().is_empty());
    assert!(host.mounts().is_empty(), "the medium stays mounted");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_drive_of_cloudstack_is_read() {
    let host = with_medium("vdb", "vfat", "CONFIG-2")
        .with_file("/run/lotse-agent/medium/cloudstack/userdata/user_data.txt", text());
    let line = found(&host, &Network::default()).await;
    assert_eq!(line, "configuration drive: /dev/vdb cloudstack/userdata/user_data.txt: found");
}

#[tokio::test(start_paused = true)]
async fn a_nocloud_medium_or_directory_is_read() {
    let host = with_medium("sr1", "iso9660", "cidata").with_file("/run/lotse-agent/medium/user-data", text());
    assert_eq!(found(&host, &Network::default()).await, "NoCloud medium: /dev/sr1 user-data: found");
    let host = FakeHost::new(0).with_file("/var/lib/cloud/seed/nocloud/user-data", text());
    let line = found(&host, &Network::default()).await;
    assert_eq!(line, "NoCloud directory: /var/lib/cloud/seed/nocloud/user-data: found");
}

#[tokio::test(start_paused = true)]
async fn a_medium_with_another_label_is_not_even_mounted() {
    let host = with_medium("sr0", "iso9660", "LOTSE").with_file("/run/lotse-agent/medium/user-data", text());
    let reasons = reasons(&host, &Network::default()).await;
    assert!(reasons.contains("NoCloud medium: media: none has the label cidata"), "{reasons}");
}

#[tokio::test(start_paused = true)]
async fn a_serial_number_may_name_the_seed() {
    let host = FakeHost::new(0)
        .with_file("/sys/class/dmi/id/product_serial", "ds=nocloud;s=http://10.0.2.2:8000/pc7/;h=pc7\n");
    let network = Network::default().with("http://10.0.2.2:8000/pc7/user-data", 200, text());
    assert_eq!(found(&host, &network).await, "NoCloud address: http://10.0.2.2:8000/pc7/user-data: found");
}

#[tokio::test(start_paused = true)]
async fn a_dhcp_option_names_the_server_in_one_line() {
    let option = hex::encode(text().trim_end().replace('\n', " "));
    let lease = format!("SERVER_ADDRESS=10.1.1.1\nOPTION_224={option}\n");
    let host = FakeHost::new(0).with_file("/run/lotse/lease.eth0", lease);
    assert_eq!(found(&host, &Network::default()).await, "DHCP: /run/lotse/lease.eth0: found");
}

#[tokio::test(start_paused = true)]
async fn cloudstack_s_virtual_router_is_the_dhcp_server_or_has_a_name_or_is_the_gateway() {
    let host = FakeHost::new(0)
        .with_file("/run/lotse/lease.eth0", "SERVER_ADDRESS=10.1.1.1\n")
        .with_file("/proc/net/route", "Iface\tDestination\tGateway\neth0\t00000000\tFE01010A\t0003\n");
    for router in ["10.1.1.1", "data-server", "10.1.1.254"] {
        let url = format!("http://{router}/latest/user-data");
        let network = Network::default().with(&url, 200, text());
        assert_eq!(found(&host, &network).await, format!("CloudStack: {url}: found"));
    }
}

#[tokio::test(start_paused = true)]
async fn openstack_s_service_is_asked() {
    let network = Network::default().with(OPENSTACK, 200, text());
    assert_eq!(found(&FakeHost::new(0), &network).await, format!("OpenStack: {OPENSTACK}: found"));
}

#[tokio::test(start_paused = true)]
async fn ec2_is_asked_with_its_token_and_without_one_where_it_knows_none() {
    let network = Network::default().with(EC2_TOKEN, 200, "AQAE==\n").with(EC2, 200, text());
    assert_eq!(found(&FakeHost::new(0), &network).await, format!("EC2: {EC2}: found"));
    let asked = network.asked().clone();
    assert!(asked.iter().any(|question| question.put && question.url == EC2_TOKEN));
    let header = ("x-aws-ec2-metadata-token", "AQAE==".to_owned());
    assert!(asked.iter().any(|question| question.url == EC2 && question.headers.contains(&header)));

    for (status, content) in [(404, ""), (405, ""), (200, "<html>\nplease log in\n</html>")] {
        let network = Network::default().with(EC2_TOKEN, status, content).with(EC2, 200, text());
        assert_eq!(found(&FakeHost::new(0), &network).await, format!("EC2: {EC2}: found"));
        assert!(network.asked().iter().all(|question| question.url != EC2 || question.headers.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_answers_is_told_and_the_next_place_is_asked() {
    let host = virtual_machine().with_file("/run/lotse/lease.eth0", "SERVER_ADDRESS=10.1.1.1\n");
    let mut network = Network::default()
        .with("http://10.1.1.1/latest/user-data", 302, "")
        .with("http://data-server/latest/user-data", 200, "<html><h1>Welcome to our hotel</h1></html>")
        .with(OPENSTACK, 200, "#cloud-config\nusers: []\n")
        .with(EC2_TOKEN, 200, "token")
        .with(EC2, 200, vec![b'x'; LARGEST + 1]);
    network.answers.get_mut("http://10.1.1.1/latest/user-data").unwrap().location =
        "http://portal/login".into();
    let reasons = reasons(&host, &network).await;
    for expected in [
        "CloudStack: http://10.1.1.1/latest/user-data: sends to `http://portal/login` (302): a portal",
        "CloudStack: http://data-server/latest/user-data: what is there is a web page",
        "OpenStack: http://169.254.169.254/openstack/latest/user_data: what is there is not for Lotse: it begins with `#cloud-config`",
        "EC2: http://169.254.169.254/latest/user-data: what is there is longer than the 2048 bytes",
    ] {
        assert!(reasons.contains(expected), "{expected} is not in\n{reasons}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_in_silence_ends_in_time_and_tells_each_place_once() {
    for (host, patience) in [(virtual_machine(), 49), (FakeHost::new(0), 10)] {
        let begun = tokio::time::Instant::now();
        let (search, said) = search(&host, &Network::default()).await;
        assert!(begun.elapsed() <= Duration::from_secs(patience), "{:?}", begun.elapsed());
        assert_eq!(search.found, None);
        assert_eq!(said, search.looked);
        assert!(said.contains(&format!("OpenStack: {OPENSTACK}: does not answer: timed out")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_virtual_router_that_comes_up_late_is_still_found() {
    let url = "http://10.1.1.1/latest/user-data";
    let host = virtual_machine().with_file("/run/lotse/lease.eth0", "SERVER_ADDRESS=10.1.1.1\n");
    let mut network = Network::default().with(url, 200, text());
    network.late.insert(url.to_owned(), 3);
    assert_eq!(found(&host, &network).await, format!("CloudStack: {url}: found"));
    assert_eq!(network.times(url), 3);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_stop_does_not_wait() {
    let stop = CancellationToken::new();
    stop.cancel();
    let host = virtual_machine();
    let begun = tokio::time::Instant::now();
    let search = find(Machine { host: &host, ask: &Network::default() }, &|_| {}, &stop).await;
    assert_eq!((search.found, begun.elapsed()), (None, Duration::ZERO));
}

#[test]
fn what_was_looked_at_is_kept_for_this_boot_only() {
    let host = FakeHost::new(0);
    assert!(looked(&host).is_empty());
    keep(&host, &["one".to_owned(), "two".to_owned()]).unwrap();
    assert_eq!(looked(&host), ["one", "two"]);
    host.restart();
    assert!(looked(&host).is_empty());
}
