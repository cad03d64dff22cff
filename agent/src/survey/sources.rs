//! Package sources: sources.list(5) in both its formats, and the repositories of dnf.

use wire::survey::FoundSource;

use super::{Files, ini, without_secret};

/// `list` and `sources` files, in the order in which apt reads them, then dnf's.
pub(super) fn gather(files: &mut Files<'_>) -> Vec<FoundSource> {
    const LIST: &str = "/etc/apt/sources.list";
    let mut found = one_line(LIST, &files.text(LIST));
    let is_apt = |name: &str| name.ends_with(".list") || name.ends_with(".sources");
    for (path, text) in files.texts("/etc/apt/sources.list.d", is_apt) {
        found.extend(if path.ends_with(".list") { one_line(&path, &text) } else { deb822(&path, &text) });
    }
    for (path, text) in files.texts("/etc/yum.repos.d", |name| name.ends_with(".repo")) {
        found.extend(dnf(&path, &text));
    }
    found
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A source whose addresses have lost their secrets.
fn clean(source: FoundSource) -> FoundSource {
    let clean: Vec<(String, bool)> = source.uris.iter().map(|uri| without_secret(uri)).collect();
    FoundSource {
        has_secret: clean.iter().any(|(_, secret)| *secret),
        uris: clean.into_iter().map(|(uri, _)| uri).collect(),
        ..source
    }
}

/// `deb [signed-by=FILE] URI SUITE COMPONENT…`; what is commented out is no source.
fn one_line(file: &str, text: &str) -> Vec<FoundSource> {
    let line = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (kind, rest) = line.split_once(char::is_whitespace)?;
        if !matches!(kind, "deb" | "deb-src") {
            return None;
        }
        let rest = rest.trim();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        let mut words = words(rest).into_iter();
        let (uri, suite) = (words.next()?, words.next()?);
        Some(FoundSource {
            file: file.to_owned(),
            types: vec![kind.to_owned()],
            uris: vec![uri],
            suites: vec![suite],
            components: words.collect(),
            enabled: true,
            signed_by: signed_by.unwrap_or_default().to_owned(),
            has_secret: false,
        })
    };
    text.lines().filter_map(line).map(clean).collect()
}

/// Paragraphs of fields, which go on in lines that begin with a blank.
fn deb822(file: &str, text: &str) -> Vec<FoundSource> {
    let mut paragraphs: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(paragraph) = paragraphs.last_mut() else { break };
        if line.trim().is_empty() {
            paragraphs.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = paragraph.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            paragraph.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let source = |paragraph: &Vec<(String, String)>| {
        let field = |name: &str| {
            let found = paragraph.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let key = field("signed-by");
        let source = FoundSource {
            file: file.to_owned(),
            types: words(field("types")),
            uris: words(field("uris")),
            suites: words(field("suites")),
            components: words(field("components")),
            enabled: field("enabled").is_empty() || ini::is_yes(field("enabled")),
            // A key may stand in the file itself, over many lines.
            signed_by: if key.contains("PGP PUBLIC KEY") { file.to_owned() } else { key.replace('\n', " ") },
            has_secret: false,
        };
        (!source.types.is_empty()).then(|| clean(source))
    };
    paragraphs.iter().filter_map(source).collect()
}

/// Sections of yum.repos.d, one for each repository.
fn dnf(file: &str, text: &str) -> Vec<FoundSource> {
    let source = |section: ini::Section| {
        let place = ["baseurl", "metalink", "mirrorlist"].map(|key| section.value(key));
        clean(FoundSource {
            file: file.to_owned(),
            types: vec!["rpm".to_owned()],
            uris: place.into_iter().find(|place| !place.is_empty()).map(words).unwrap_or_default(),
            suites: vec![section.name.clone()],
            components: Vec::new(),
            enabled: section.value("enabled").is_empty() || ini::is_yes(section.value("enabled")),
            signed_by: section.value("gpgkey").trim_start_matches("file://").to_owned(),
            has_secret: false,
        })
    };
    ini::sections(text).into_iter().filter(|section| section.name != "main").map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_archives_do_not_leave_the_machine() {
        let found = one_line("f", "deb https://ann:secret@archive.example/x stable main # ours\n");
        assert_eq!(found[0].uris, ["https://archive.example/x"]);
        assert!(found[0].has_secret);
        let key = "Types: deb\nURIs: https://t:u@a.example/\nSuites: ./\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n x\n";
        let found = deb822("/etc/apt/sources.list.d/a.sources", key);
        assert_eq!((found[0].uris[0].as_str(), found[0].has_secret), ("https://a.example/", true));
        assert_eq!(found[0].signed_by, "/etc/apt/sources.list.d/a.sources");
    }

    #[test]
    fn options_and_disabled_paragraphs_are_understood() {
        let text = "#deb http://a.example x main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.example stable main contrib\n";
        let found = one_line("f", text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].signed_by.as_str(), found[0].components.len()), ("/k.gpg", 2));
        let found = deb822(
            "f",
            "Enabled: no\nTypes: deb deb-src\nURIs: http://a.example\nSuites: a b\nComponents: main\n",
        );
        assert_eq!((found[0].enabled, found[0].types.len(), found[0].suites.len()), (false, 2, 2));
    }

    #[test]
    fn a_repository_of_dnf_has_its_id_and_its_key() {
        let text = "[baseos]\nname=CentOS Stream 9 - BaseOS\nmetalink=https://m.example/x?repo=a\ngpgkey=file:///etc/pki/k\nenabled=1\n\n\
                    [debug]\nname=Debug\nbaseurl=https://d.example/\nenabled=0\n";
        let found = dnf("f", text);
        assert_eq!((found[0].suites[0].as_str(), found[0].signed_by.as_str()), ("baseos", "/etc/pki/k"));
        assert_eq!((found[0].enabled, found[1].enabled), (true, false));
    }
}
