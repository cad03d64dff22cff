//! Name, time zone, language, keyboard, time servers and proxy.

use std::path::Path;

use super::{Files, ini, without_secret};
use crate::facts::os::field;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) hostname: String,
    pub(super) domain: String,
    pub(super) timezone: String,
    pub(super) locale: String,
    pub(super) keyboard: String,
    pub(super) keyboard_variant: String,
    pub(super) ntp: Vec<String>,
    pub(super) proxy: String,
    pub(super) proxy_secret: bool,
}

pub(super) fn gather(files: &mut Files<'_>) -> Settings {
    let (hostname, domain) = name(&files.text("/etc/hostname"), &files.text("/etc/hosts"));
    let (keyboard, keyboard_variant) = keyboard(files);
    let (proxy, proxy_secret) = without_secret(&proxy(files));
    Settings {
        hostname,
        domain,
        timezone: timezone(files),
        locale: locale(files),
        keyboard,
        keyboard_variant,
        ntp: ntp(files),
        proxy,
        proxy_secret,
    }
}

/// Host name and domain: of hostname(5), where some write the whole name, or of the line of hosts(5) that has the name with a domain.
fn name(hostname: &str, hosts: &str) -> (String, String) {
    let whole = hostname.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let (name, domain) = whole.unwrap_or_default().split_once('.').unwrap_or((whole.unwrap_or_default(), ""));
    if !domain.is_empty() || name.is_empty() {
        return (name.to_owned(), domain.to_owned());
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.flat_map(|line| line.split_whitespace().skip(1));
    let domain = names.filter_map(|word| word.split_once('.')).find(|(first, _)| *first == name);
    (name.to_owned(), domain.map(|(_, domain)| domain.to_owned()).unwrap_or_default())
}

/// The link localtime(5) counts; where it is a copy, Debian has the name in a file.
fn timezone(files: &mut Files<'_>) -> String {
    let link = files.host.read_link(Path::new("/etc/localtime")).unwrap_or_default();
    match link.to_string_lossy().split_once("zoneinfo/") {
        Some((_, zone)) => zone.trim_start_matches("posix/").to_owned(),
        None => files.text("/etc/timezone").trim().to_owned(),
    }
}

fn locale(files: &mut Files<'_>) -> String {
    let first = field(&files.text("/etc/locale.conf"), "LANG");
    if first.is_empty() { field(&files.text("/etc/default/locale"), "LANG") } else { first }
}

/// Layout and variant: of keyboard(5), or of vconsole.conf(5), whose layouts are called `de-nodeadkeys`.
fn keyboard(files: &mut Files<'_>) -> (String, String) {
    let debian = files.text("/etc/default/keyboard");
    let layout = field(&debian, "XKBLAYOUT");
    if !layout.is_empty() {
        return (layout, field(&debian, "XKBVARIANT"));
    }
    let keymap = field(&files.text("/etc/vconsole.conf"), "KEYMAP");
    let (layout, variant) = keymap.split_once('-').unwrap_or((&keymap, ""));
    (layout.to_owned(), variant.to_owned())
}

/// What somebody has set for systemd-timesyncd, or the servers of chrony and ntp that are not the distribution's own.
fn ntp(files: &mut Files<'_>) -> Vec<String> {
    let mut texts = vec![files.text("/etc/systemd/timesyncd.conf")];
    let is_conf = |name: &str| name.ends_with(".conf");
    texts.extend(files.texts("/etc/systemd/timesyncd.conf.d", is_conf).into_iter().map(|(_, text)| text));
    let set = texts.iter().flat_map(|text| ini::sections(text)).filter(|section| section.name == "Time");
    let mut servers: Vec<String> = set
        .flat_map(|section| section.value("NTP").split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for path in ["/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntpsec/ntp.conf", "/etc/ntp.conf"] {
        for line in files.text(path).lines() {
            let mut words = line.split_whitespace();
            if let (Some("server" | "pool" | "peer"), Some(server)) = (words.next(), words.next())
                && !server.ends_with(".pool.ntp.org")
                && server != "ntp.ubuntu.com"
            {
                servers.push(server.to_owned());
            }
        }
    }
    servers.dedup();
    servers
}

/// Apt's, dnf's, or that of the sessions.
fn proxy(files: &mut Files<'_>) -> String {
    let mut texts = vec![("/etc/apt/apt.conf".to_owned(), files.text("/etc/apt/apt.conf"))];
    // As apt.conf(5) reads them: of a setting that is there twice the last one counts.
    texts.extend(files.texts("/etc/apt/apt.conf.d", |name| !name.contains('.') || name.ends_with(".conf")));
    let apt = texts.iter().flat_map(|(_, text)| text.lines()).filter_map(apt_proxy).next_back();
    if let Some(proxy) = apt.filter(|proxy| !proxy.is_empty() && !proxy.eq_ignore_ascii_case("direct")) {
        return proxy.to_owned();
    }
    let dnf = ini::sections(&files.text("/etc/dnf/dnf.conf"));
    if let Some(proxy) = ini::values(&dnf, "main", "proxy").last() {
        return (*proxy).to_owned();
    }
    let environment = files.text("/etc/environment");
    let words = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];
    words.iter().map(|word| field(&environment, word)).find(|value| !value.is_empty()).unwrap_or_default()
}

/// `Acquire::http::Proxy "http://proxy:3128";`, in any case, on a line of its own.
fn apt_proxy(line: &str) -> Option<&str> {
    let line = line.trim();
    let (name, value) = line.split_once(char::is_whitespace)?;
    let is_proxy = name.eq_ignore_ascii_case("Acquire::http::Proxy")
        || name.eq_ignore_ascii_case("Acquire::https::Proxy");
    is_proxy.then(|| value.trim().trim_end_matches(';').trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_comes_from_the_whole_name_or_from_the_line_with_the_name() {
        let pair = |name: &str, domain: &str| (name.to_owned(), domain.to_owned());
        let hosts =
            "127.0.0.1\tlocalhost\n127.0.1.1\tpc-1.school.example\tpc-1\n\n::1 localhost ip6-localhost\n";
        assert_eq!(name("pc-1\n", hosts), pair("pc-1", "school.example"));
        assert_eq!(name("pc-1.other.example\n", hosts), pair("pc-1", "other.example"));
        assert_eq!(name("pc-2\n", hosts), pair("pc-2", ""));
        assert_eq!(name("", hosts), pair("", ""));
    }

    #[test]
    fn a_proxy_of_apt_is_found_as_installers_and_people_write_it() {
        assert_eq!(apt_proxy("Acquire::http::Proxy \"http://proxy:3128/\";"), Some("http://proxy:3128/"));
        assert_eq!(apt_proxy("  acquire::HTTP::proxy  \"DIRECT\" ;"), Some("DIRECT"));
        assert_eq!(apt_proxy("// Acquire::http::Proxy \"http://old:1\";"), None);
        assert_eq!(apt_proxy("Acquire::http::Proxy::mirror \"DIRECT\";"), None);
    }
}
