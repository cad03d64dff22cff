//! A package that is made of files: what is asked for, where its files may be, and what it says of itself. Pure.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::problem::FieldProblem;

use super::repository::{ARCHITECTURE, NAME, VERSION, fits};

/// A relation to other packages: alternatives between commas (Debian Policy 7.1).
const RELATIONS: &str = concat!(
    r"^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?( \((<<|<=|=|>=|>>) [0-9A-Za-z.+~:-]+\))?",
    r"((, | \| )[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?( \((<<|<=|=|>=|>>) [0-9A-Za-z.+~:-]+\))?)*$"
);
/// Longest description.
const DESCRIPTION: usize = 4000;
/// Longest path of a file; dpkg and tar take more, people do not.
const LONGEST_PATH: usize = 1000;
/// Who made a package when nobody is named; every package has to name somebody.
const MAINTAINER: &str = "Lotse <root@localhost>";

/// A package that somebody wants to have made of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PackageBuild {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its architecture; `all` unless said otherwise.
    #[serde(default = "default_architecture")]
    pub architecture: String,
    /// What it needs, such as `python3, openssh-client (>= 1:9)`.
    #[serde(default)]
    pub depends: String,
    /// What it is: one line, and more below if wanted.
    pub description: String,
    /// Who answers for it, `NAME <ADDRESS>`.
    #[serde(default)]
    pub maintainer: String,
    /// The folder of the client under which the files are put; `/` unless said otherwise.
    #[serde(default)]
    pub below: String,
    /// Files keep the right to run as another user or group (setuid, setgid); otherwise such files are refused.
    #[serde(default)]
    pub setuid: bool,
}

fn default_architecture() -> String {
    "all".to_owned()
}

impl PackageBuild {
    /// What cannot stand so, by field.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, field: &str, message: &str| {
            if !holds {
                problems.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
            }
        };
        let name = "must be a package's name: small letters, digits, + . and -";
        check(fits(NAME, &self.package), "package", name);
        check(fits(VERSION, &self.version), "version", "must be a version, such as 1.0 or 1.0-2");
        check(
            fits(ARCHITECTURE, &self.architecture),
            "architecture",
            "must be an architecture, such as all or amd64",
        );
        let depends = self.depends.is_empty() || fits(RELATIONS, &self.depends);
        check(
            depends,
            "depends",
            "must be packages with commas between them, such as `python3, vim (>= 2:9)`",
        );
        let lines: Vec<&str> = self.description.trim().lines().collect();
        let printable = lines.iter().all(|line| !line.chars().any(char::is_control));
        let has_synopsis = lines.first().is_some_and(|line| !line.trim().is_empty());
        check(
            has_synopsis && printable && self.description.len() <= DESCRIPTION,
            "description",
            "must say in one line what it is; more may stand below",
        );
        let one_line = !self.maintainer.chars().any(char::is_control);
        let addressed = self.maintainer.is_empty() || fits("^[^<>]+ <[^<> ]+>$", &self.maintainer);
        check(one_line && addressed, "maintainer", "must be `NAME <ADDRESS>`");
        check(place("", &self.below).is_ok(), "below", "must be a folder, such as /opt/tool");
        problems
    }

    /// Its control file (deb-control(5)).
    pub fn control(&self, installed_kib: u64) -> String {
        let Self { package, version, architecture, .. } = self;
        let maintainer = if self.maintainer.is_empty() { MAINTAINER } else { &self.maintainer };
        let depends =
            if self.depends.is_empty() { String::new() } else { format!("Depends: {}\n", self.depends) };
        let mut lines = self.description.trim().lines().map(str::trim_end);
        let mut description = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            description.push_str(if line.is_empty() { "\n ." } else { "\n " });
            description.push_str(line);
        }
        format!(
            "Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\n\
             Installed-Size: {installed_kib}\n{depends}Section: misc\nPriority: optional\nDescription: {description}\n"
        )
    }
}

/// Where a file of an archive is on the client: its path without the slash at the beginning; empty for the root itself.
///
/// # Errors
/// Why it cannot be there.
pub fn place(below: &str, path: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in below.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => return Err(format!("{path}: a path with `..` could lead anywhere")),
            part if part.chars().any(char::is_control) => {
                return Err(format!("{}: a name has a control character", path.escape_debug()));
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if joined.len() > LONGEST_PATH {
        return Err(format!("{path}: a path may have {LONGEST_PATH} bytes"));
    }
    if parts.first() == Some(&"DEBIAN") {
        return Err("DEBIAN: scripts and control files are not taken from an archive".to_owned());
    }
    Ok(joined)
}

/// Where a symbolic link leads that stands at a place: to another place of the same client.
///
/// # Errors
/// It leads above the root.
pub fn led_to(link: &str, target: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { link.split('/').collect() };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| format!("{link}: its link to {target} leads above the root"))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::repository::Control;

    fn build() -> PackageBuild {
        PackageBuild {
            package: "school-settings".to_owned(),
            version: "1.0".to_owned(),
            architecture: "all".to_owned(),
            depends: "python3, vim (>= 2:9.0~) | nano:any".to_owned(),
            description: "Settings of the school\nFor all rooms.\n\nAnd more.".to_owned(),
            maintainer: String::new(),
            below: String::new(),
            setuid: false,
        }
    }

    #[test]
    fn what_it_says_of_itself_is_read_again() {
        assert_eq!(build().problems(), []);
        let text = build().control(12);
        let control = Control::parse(&text).unwrap();
        assert_eq!((control.name.as_str(), control.installed_bytes), ("school-settings", 12 * 1024));
        assert_eq!(control.description, "Settings of the school");
        assert!(text.ends_with("school\n For all rooms.\n .\n And more.\n"), "{text}");
    }

    #[test]
    fn what_cannot_stand_so_is_named_by_its_field() {
        let wrong = |change: fn(&mut PackageBuild)| {
            let mut build = build();
            change(&mut build);
            build.problems().into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(wrong(|it| it.package = "Tool".to_owned()), ["package"]);
        assert_eq!(wrong(|it| it.version = "v1".to_owned()), ["version"]);
        assert_eq!(wrong(|it| it.architecture = "x86 64".to_owned()), ["architecture"]);
        assert_eq!(wrong(|it| it.depends = "vim\nEssential: yes".to_owned()), ["depends"]);
        assert_eq!(wrong(|it| it.depends = "vim python3".to_owned()), ["depends"]);
        assert_eq!(wrong(|it| it.description = " \n".to_owned()), ["description"]);
        assert_eq!(wrong(|it| it.maintainer = "somebody".to_owned()), ["maintainer"]);
        assert_eq!(wrong(|it| it.below = "/opt/../etc".to_owned()), ["below"]);
    }

    #[test]
    fn a_path_is_where_it_says_and_nowhere_else() {
        assert_eq!(place("", "./etc//motd").unwrap(), "etc/motd");
        assert_eq!(place("/opt/tool/", "bin/run").unwrap(), "opt/tool/bin/run");
        assert_eq!(place("", "/etc/motd").unwrap(), "etc/motd");
        assert_eq!(place("", "./").unwrap(), "");
        for wrong in ["../etc/motd", "a/../../b", "a\nb", "DEBIAN/postinst", &"x/".repeat(600)] {
            assert!(place("", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_leads_to_a_place_of_the_client() {
        assert_eq!(led_to("usr/bin/tool", "../lib/tool/run").unwrap(), "usr/lib/tool/run");
        assert_eq!(led_to("usr/bin/tool", "/opt/tool").unwrap(), "opt/tool");
        assert_eq!(led_to("usr/bin/tool", "other").unwrap(), "usr/bin/other");
        assert!(led_to("usr/bin/tool", "../../../etc/shadow").is_err());
        assert!(led_to("usr/bin/tool", "/../etc/shadow").is_err());
    }
}
