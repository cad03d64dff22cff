//! Files of sections with `key=value`: systemd.syntax(7), NetworkManager's nm-settings-keyfile(5), dnf's yum.repos.d.

/// A section, in the order of the file.
pub(super) struct Section {
    /// Its name.
    pub(super) name: String,
    entries: Vec<(String, String)>,
}

impl Section {
    /// The last value of a key; empty when it has none.
    pub(super) fn value(&self, key: &str) -> &str {
        self.values(key).last().copied().unwrap_or_default()
    }

    /// All values of a key. An empty one takes back those before it (systemd.syntax(7)).
    pub(super) fn values(&self, key: &str) -> Vec<&str> {
        let all: Vec<&str> =
            self.entries.iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_str()).collect();
        let from = all.iter().rposition(|value| value.is_empty()).map_or(0, |at| at + 1);
        all[from..].to_vec()
    }

    /// Values whose keys fit, in the order of the file.
    pub(super) fn matching(&self, fits: impl Fn(&str) -> bool) -> Vec<&str> {
        self.entries.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads a file. What stands before the first section, and comments, are left out.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Section { name: name.to_owned(), entries: Vec::new() });
        } else if let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) {
            section.entries.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sections
}

/// The values of a key in all sections of a name, in order.
pub(super) fn values<'a>(sections: &'a [Section], name: &str, key: &str) -> Vec<&'a str> {
    sections.iter().filter(|section| section.name == name).flat_map(|section| section.values(key)).collect()
}

/// `yes`, `true`, `on` or `1`.
pub(super) fn is_yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].contains(&value.to_ascii_lowercase().as_str())
}
