use std::path::Path;

use wire::survey::{AddressMethod, FoundInterface};

use super::*;
use crate::host::fake::{Answer, FakeHost};

/// The files of a system, as its installer or its own tools have written them, on a machine with these network cards.
fn system(name: &str, cards: &[(&str, &str)]) -> FakeHost {
    fn add(host: FakeHost, root: &Path, directory: &Path) -> FakeHost {
        let mut entries: Vec<_> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.into_iter().fold(host, |host, path| {
            if path.is_dir() {
                return add(host, root, &path);
            }
            let place = format!("/{}", path.strip_prefix(root).unwrap().display());
            host.with_file(&place, std::fs::read(&path).unwrap())
        })
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/survey/fixtures").join(name);
    let mut host = add(FakeHost::new(7), &root, &root);
    let mut links = Vec::new();
    for (card, mac) in cards {
        host = host.with_file(&format!("/sys/class/net/{card}/device/vendor"), "0x1af4");
        links.push(serde_json::json!({ "ifname": card, "link_type": "ether", "address": mac }));
    }
    host.answer("ip -j -d address", Answer::prints(&serde_json::json!(links).to_string()));
    host.answer("ip -j -4", Answer::prints(r#"[{"dst":"default","gateway":"10.9.9.1","dev":"enp1s0"}]"#));
    host
}

fn interface<'a>(survey: &'a Survey, name: &str) -> &'a FoundInterface {
    survey.interfaces.iter().find(|interface| interface.name == name).unwrap()
}

#[tokio::test]
async fn debian_12_as_its_installer_leaves_it() {
    let host = system("debian-12-installer", &[("enp1s0", "52:54:00:aa:bb:cc")]);
    let survey = gather(&host).await;
    assert_eq!((survey.hostname.as_str(), survey.domain.as_str()), ("pc-07", "school.example"));
    assert_eq!((survey.os.id.as_str(), survey.os.version.as_str()), ("debian", "12"));
    assert_eq!((survey.timezone.as_str(), survey.locale.as_str()), ("Europe/Berlin", "de_DE.UTF-8"));
    assert_eq!((survey.keyboard.as_str(), survey.keyboard_variant.as_str()), ("de", "nodeadkeys"));
    assert_eq!((survey.proxy.as_str(), survey.proxy_secret), ("http://proxy.school.example:3128", true));
    let card = interface(&survey, "enp1s0");
    assert_eq!(
        (card.managed_by.as_str(), card.ipv4, card.ipv6),
        ("ifupdown", AddressMethod::Fixed, AddressMethod::Unknown)
    );
    assert_eq!(
        (card.fixed.as_slice(), card.gateways.as_slice()),
        (&["192.168.1.50/24".to_owned()][..], &["192.168.1.1".to_owned()][..])
    );
    assert_eq!(survey.nameservers, ["192.168.1.1"]);
    assert_eq!(survey.sources.len(), 6);
    assert!(survey.sources.iter().all(|source| source.components == ["main", "non-free-firmware"]));
    let names: Vec<&str> = survey.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["root", "ann"]);
    assert!(survey.unread.is_empty(), "{:?}", survey.unread);
}

#[tokio::test]
async fn debian_13_with_network_manager() {
    let host =
        system("debian-13-desktop", &[("enp1s0", "52:54:00:aa:bb:cc"), ("enp9s0", "52:54:00:aa:bb:cd")]);
    let survey = gather(&host).await;
    let card = interface(&survey, "enp1s0");
    assert_eq!(
        (card.managed_by.as_str(), card.ipv4, card.ipv6),
        ("networkmanager", AddressMethod::Fixed, AddressMethod::Off)
    );
    assert_eq!(
        (card.fixed.as_slice(), card.gateways.as_slice()),
        (&["10.1.2.3/24".to_owned()][..], &["10.1.2.1".to_owned()][..])
    );
    assert_eq!(survey.nameservers, ["10.1.2.1", "1.1.1.1"]);
    assert_eq!(
        interface(&survey, "enp9s0").managed_by,
        "",
        "no connection is for it, and that of the wireless network is not"
    );
    assert_eq!(survey.ntp, ["ntp1.office.example", "ntp2.office.example"]);
    assert_eq!(survey.sources.len(), 2);
    assert_eq!(survey.sources[0].suites, ["trixie", "trixie-updates"]);
    assert_eq!(survey.locale, "en_GB.UTF-8");
    let sent = serde_json::to_string(&survey).unwrap();
    assert!(!sent.contains("supersecret"), "{sent}");
}

#[tokio::test]
async fn ubuntu_with_netplan() {
    let host =
        system("ubuntu-24.04-server", &[("enp1s0", "52:54:00:aa:bb:cc"), ("enp2s0", "52:54:00:aa:bb:cd")]);
    let survey = gather(&host).await;
    let first = interface(&survey, "enp1s0");
    assert_eq!((first.managed_by.as_str(), first.ipv4), ("networkd", AddressMethod::Automatic));
    assert_eq!(first.gateways, ["10.9.9.1"], "that of the lease, which counts now");
    let second = interface(&survey, "enp2s0");
    assert_eq!((second.ipv4, second.fixed.len()), (AddressMethod::Fixed, 2));
    assert_eq!(second.gateways, ["192.168.7.1"]);
    assert_eq!(survey.nameservers, ["192.168.7.1", "9.9.9.9"]);
    assert_eq!(survey.ntp, ["ntp.school.example"], "those of the distribution are nobody's wish");
    assert_eq!(survey.sources.len(), 2);
    assert_eq!(survey.locale, "C.UTF-8");
}

#[tokio::test]
async fn a_system_of_which_nothing_is_known_has_an_empty_survey_that_says_what_was_not_read() {
    let host = FakeHost::new(0);
    host.answer("ip ", Answer::missing());
    let survey = gather(&host).await;
    assert!(survey.interfaces.is_empty() && survey.users.is_empty() && survey.sources.is_empty());
    assert!(survey.unread.iter().any(|line| line.contains("ip")), "{:?}", survey.unread);
}

#[test]
fn an_address_loses_its_user_and_password_and_nothing_else() {
    let cases = [
        ("http://ann:secret@proxy:3128/x@y", "http://proxy:3128/x@y", true),
        ("https://token@a.example", "https://a.example", true),
        ("http://a.example/@x", "http://a.example/@x", false),
        ("http://a:b@c@d.example/", "http://d.example/", true),
        ("proxy:3128", "proxy:3128", false),
    ];
    for (uri, clean, secret) in cases {
        assert_eq!(without_secret(uri), (clean.to_owned(), secret), "{uri}");
    }
}
