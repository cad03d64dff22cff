use serde_json::json;
use wire::survey::FoundSource;

use super::*;
use crate::domain::{
    client::{Ipv4Method, Ipv6Method},
    source_list::PackageSource,
};

/// A machine with a fixed address, as an agent tells of it.
fn survey() -> Survey {
    serde_json::from_value(json!({
        "surveyed_at": 7, "packages": "dpkg", "hostname": "old-name", "domain": "school.example", "timezone": "Europe/Berlin",
        "os": { "id": "debian", "version": "12", "name": "Debian 12", "kernel": "", "hostname": "old-name", "reboot_wanted": "" },
        "locale": "de_DE.utf8", "keyboard": "de", "keyboard_variant": "nodeadkeys", "ntp": ["ntp.school.example"],
        "proxy": "http://proxy:3128", "proxy_secret": true, "nameservers": ["192.168.1.1"], "unread": [],
        "interfaces": [
            { "name": "enp1s0", "mac": "52:54:00:00:00:01", "kind": "ethernet", "managed_by": "ifupdown", "file": "/etc/network/interfaces",
              "ipv4": "fixed", "ipv6": "automatic", "fixed": ["192.168.1.50/24"], "gateways": ["192.168.1.1"], "addresses": ["192.168.1.50/24"] },
            { "name": "br0", "mac": "52:54:00:00:00:02", "kind": "bridge", "managed_by": "ifupdown", "file": "/etc/network/interfaces",
              "ipv4": "automatic", "ipv6": "unknown", "fixed": [], "gateways": [], "addresses": [] },
        ],
        "users": [
            { "name": "root", "uid": 0, "full_name": "root", "home": "/root", "groups": ["root"], "key_fingerprints": ["SHA256:a"] },
            { "name": "ann", "uid": 1000, "full_name": "Ann Example", "home": "/home/ann", "groups": ["ann", "sudo"], "key_fingerprints": [] },
            { "name": "Bob.Old", "uid": 1001, "full_name": "", "home": "/home/bob", "groups": [], "key_fingerprints": [] },
        ],
        "sources": [],
    }))
    .unwrap()
}

fn source(uri: &str, suites: &[&str]) -> FoundSource {
    FoundSource {
        file: "/etc/apt/sources.list".to_owned(),
        types: vec!["deb".to_owned()],
        uris: vec![uri.to_owned()],
        suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        enabled: true,
        ..FoundSource::default()
    }
}

#[test]
fn what_a_record_can_hold_is_taken_and_what_it_cannot_hold_is_left_out() {
    let taken = taken_over(&ClientConfig::default(), &survey(), |name| name == "debian-12");
    assert!(taken.check().is_empty(), "{:?}", taken.check());
    assert_eq!((taken.distribution.as_str(), taken.domain.as_str()), ("debian-12", "school.example"));
    assert_eq!((taken.locale.as_str(), taken.keyboard.as_str()), ("de_DE.UTF-8", "de"));
    assert_eq!((taken.timezone.as_str(), taken.proxy.as_str()), ("Europe/Berlin", "http://proxy:3128"));
    let [interface] = taken.network.interfaces.as_slice() else { panic!("{:?}", taken.network) };
    let fixed = Ipv4Method::Static {
        address: "192.168.1.50".parse().unwrap(),
        prefix: 24,
        gateway: Some("192.168.1.1".parse().unwrap()),
    };
    assert_eq!((&interface.ipv4, &interface.ipv6), (&fixed, &Ipv6Method::Auto));
    // A login name that no record takes is a difference, no error.
    let [user] = taken.users.as_slice() else { panic!("{:?}", taken.users) };
    assert_eq!((user.name.as_str(), user.sudo, user.has_password), ("ann", true, false));
}

#[test]
fn a_survey_that_says_nothing_leaves_a_record_as_it_is() {
    let nothing = Survey {
        locale: String::new(),
        interfaces: Vec::new(),
        users: Vec::new(),
        ntp: Vec::new(),
        nameservers: Vec::new(),
        domain: String::new(),
        timezone: "nonsense zone".to_owned(),
        keyboard: String::new(),
        proxy: "proxy without scheme".to_owned(),
        ..survey()
    };
    assert_eq!(taken_over(&ClientConfig::default(), &nothing, |_| false), ClientConfig::default());
}

#[test]
fn what_was_taken_over_differs_only_in_what_a_record_cannot_hold() {
    let survey = survey();
    let taken = taken_over(&ClientConfig::default(), &survey, |_| true);
    let found = differences("pc-07", &taken, &survey, &[]);
    let parts: Vec<(SurveyPart, &str)> = found.iter().map(|it| (it.part, it.there.as_str())).collect();
    assert_eq!(
        parts,
        [
            (SurveyPart::Name, "old-name"),
            (SurveyPart::Keyboard, "de nodeadkeys"),
            (SurveyPart::Proxy, "http://proxy:3128 (…@)"),
            (SurveyPart::Network, "br0 bridge DHCP (ifupdown)"),
            (SurveyPart::Keys, "root: SHA256:a"),
            (SurveyPart::Users, "Bob.Old"),
        ]
    );
}

#[test]
fn a_record_that_was_changed_differs_where_it_was_changed() {
    let survey = survey();
    let mut config = taken_over(&ClientConfig::default(), &survey, |_| true);
    config.timezone = "Etc/UTC".to_owned();
    config.users.push(User { name: "carl".to_owned(), ..User::default() });
    config.network.interfaces[0].ipv4 = Ipv4Method::Dhcp;
    let found = differences("old-name", &config, &survey, &[]);
    let has = |part, there: &str, recorded: &str| {
        found.iter().any(|it| it.part == part && it.there == there && it.recorded == recorded)
    };
    assert!(has(SurveyPart::Timezone, "Europe/Berlin", "Etc/UTC"), "{found:?}");
    assert!(has(SurveyPart::Users, "", "carl"), "{found:?}");
    let (there, recorded) = ("enp1s0 192.168.1.50/24 (ifupdown)", "52:54:00:00:00:01 DHCP, IPv6 auto");
    assert!(has(SurveyPart::Network, there, recorded), "{found:?}");
}

#[test]
fn a_source_is_the_list_that_has_all_of_its_suites() {
    let known = |name: &str, uri: &str, suites: &[&str]| KnownList {
        name: name.to_owned(),
        sources: suites
            .iter()
            .map(|suite| PackageSource {
                uris: vec![uri.to_owned()],
                suites: vec![(*suite).to_owned()],
                ..PackageSource::default()
            })
            .collect(),
    };
    let lists = [
        known("debian-12", "mirror:debian", &["bookworm", "bookworm-updates"]),
        known("tools", "https://tools.example/apt", &["stable"]),
    ];
    let found = [
        source("http://deb.example/debian/", &["bookworm", "bookworm-updates"]),
        source("http://deb.example/debian", &["bookworm", "bookworm-backports"]),
        source("http://tools.example/apt/", &["stable"]),
        source("http://other.example/apt", &["stable"]),
        source("http://deb.example/debian", &[]),
    ];
    let lists: Vec<Option<String>> = seen(&found, &lists).into_iter().map(|seen| seen.list).collect();
    assert_eq!(lists, [Some("debian-12".to_owned()), None, Some("tools".to_owned()), None, None]);
}

#[test]
fn a_source_that_is_no_list_differs_and_one_that_is_not_used_does_not() {
    let survey = survey();
    let config = taken_over(&ClientConfig::default(), &survey, |_| true);
    let unused = FoundSource { enabled: false, ..source("http://b.example", &["x"]) };
    let sources = seen(&[source("http://a.example", &["x"]), unused], &[]);
    let found = differences("pc-07", &config, &survey, &sources);
    let sources: Vec<&str> =
        found.iter().filter(|it| it.part == SurveyPart::Sources).map(|it| it.there.as_str()).collect();
    assert_eq!(sources, ["deb http://a.example x"]);
}
