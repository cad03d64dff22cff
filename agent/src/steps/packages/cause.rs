//! Why a package manager failed: the kind of cause, and of thousands of lines the few that tell. Pure.
//!
//! The first line is the same wherever the same thing went wrong: whoever looks at many clients groups by it.

/// Most lines that are shown.
const MOST_LINES: usize = 12;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) kind: Kind,
    /// One line in words, and the lines of the output that say so.
    pub(super) text: String,
}

/// Kinds of causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NoSpace,
    Lock,
    Altered,
    Unsigned,
    Held,
    Essential,
    Downgrade,
    FileClash,
    Unmet,
    NotFound,
    Script,
    Unreachable,
    Other,
}

impl Kind {
    /// The same may go well later.
    pub(super) fn is_transient(self) -> bool {
        matches!(self, Self::Lock | Self::Altered | Self::Unreachable)
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::NoSpace => "there is no space left on the disk",
            Self::Lock => "another program holds the lock of the package manager",
            Self::Altered => {
                "what was fetched is not what the index promises: the mirror is altered or in the middle of an update"
            }
            Self::Unsigned => "a source of packages is not signed by a key that it has to be signed with",
            Self::Held => "a package is held, and holds were not to be ignored",
            Self::Essential => "the system would lose a package that it cannot do without",
            Self::Downgrade => "a package would get an older version, which was not allowed",
            Self::FileClash => "a package brings a file that belongs to another package",
            Self::Unmet => "dependencies cannot be met",
            Self::NotFound => "there is no such package or version in the sources of this machine",
            Self::Script => "a package could not be configured",
            Self::Unreachable => "packages or their lists could not be fetched",
            Self::Other => "the package manager failed",
        }
    }
}

/// Signs of a kind in a line, the most telling kind first: what follows from another cause comes behind it.
const SIGNS: [(Kind, &[&str]); 12] = [
    (Kind::NoSpace, &["No space left on device", "enough free space in", "needed on the"]),
    (
        Kind::Lock,
        &[
            "Could not get lock",
            "Unable to acquire the dpkg frontend lock",
            "lock was locked by another process",
            "Unable to lock directory",
            "Waiting for cache lock",
        ],
    ),
    (
        Kind::Altered,
        &[
            "Hash Sum mismatch",
            "File has unexpected size",
            "Size mismatch",
            "checksum doesn't match",
            "incorrect checksum",
        ],
    ),
    (
        Kind::Unsigned,
        &[
            "is not signed",
            "NO_PUBKEY",
            "EXPKEYSIG",
            "REVKEYSIG",
            "BADSIG",
            "cannot be authenticated",
            "GPG check FAILED",
            "you do not have any GPG public keys installed",
        ],
    ),
    (Kind::Held, &["Held packages were changed", "filtered out by exclude filtering"]),
    (Kind::Essential, &["Essential packages were removed", "removal of the following protected packages"]),
    (Kind::Downgrade, &["Packages were downgraded"]),
    (Kind::FileClash, &["trying to overwrite", "conflicts with file from package"]),
    (
        Kind::Unmet,
        &[
            "unmet dependencies",
            ": Depends:",
            ": PreDepends:",
            ": Conflicts:",
            ": Breaks:",
            "nothing provides",
            "conflicting requests",
        ],
    ),
    (
        Kind::NotFound,
        &[
            "Unable to locate package",
            "has no installation candidate",
            "was not found",
            "No match for argument",
            "Unable to find a match",
        ],
    ),
    (Kind::Script, &["error processing package", "script subprocess returned error", "scriptlet failed"]),
    (
        Kind::Unreachable,
        &[
            "Failed to fetch",
            "Could not connect",
            "Could not resolve",
            "Temporary failure resolving",
            "Connection timed out",
            "404  Not Found",
            "Failed to download",
            "Cannot download",
        ],
    ),
];

/// Reads the lines of a run that failed, in their order.
pub(super) fn of<S: AsRef<str>>(lines: &[S]) -> Cause {
    let lines: Vec<&str> = lines.iter().map(|line| line.as_ref().trim_end()).collect();
    let has = |line: &str, signs: &[&str]| signs.iter().any(|sign| line.contains(sign));
    let found = SIGNS.iter().find(|(_, signs)| lines.iter().any(|line| has(line, signs)));
    let Some((kind, signs)) = found else {
        return told(Kind::Other, "", &last(&lines));
    };
    match kind {
        Kind::Script => {
            let (package, said) = script(&lines);
            told(*kind, &package, &said)
        }
        kind => {
            let mut telling: Vec<&str> =
                lines.iter().copied().filter(|line| has(line, signs)).map(str::trim).collect();
            telling.dedup();
            told(*kind, "", &telling)
        }
    }
}

fn told(kind: Kind, package: &str, lines: &[&str]) -> Cause {
    let first = match (kind, package) {
        (Kind::Script, package) if !package.is_empty() => {
            format!("package {package} could not be configured")
        }
        (kind, _) => kind.in_words().to_owned(),
    };
    let begin = lines.len().saturating_sub(MOST_LINES);
    let text = [&[first.as_str()][..], &lines[begin..]].concat().join("\n");
    Cause { kind, text }
}

/// The package whose script failed first, and what the script said.
fn script<'a>(lines: &[&'a str]) -> (String, Vec<&'a str>) {
    // dpkg(1), and dnf(8) for rpm.
    let named = |line: &'a str| {
        let signs = ["error processing package ", "scriptlet in rpm package "];
        signs.into_iter().find_map(|sign| line.split(sign).nth(1))
    };
    let at = lines.iter().position(|line| named(line).is_some()).unwrap_or(lines.len());
    let package = lines.get(at).copied().and_then(named);
    let package = package.and_then(|rest| rest.split([' ', ':']).next()).unwrap_or_default();
    let is_begin = |line: &&str| {
        [
            "Setting up ",
            "Preparing to unpack ",
            "Unpacking ",
            "Removing ",
            "Purging ",
            "Processing triggers for ",
            "Running scriptlet: ",
        ]
        .iter()
        .any(|word| line.trim_start().starts_with(word))
    };
    let begin = lines[..at].iter().rposition(is_begin).map_or(at, |begin| begin + 1);
    let end = (at + 2).min(lines.len());
    let said = lines[begin..end].iter().map(|line| line.trim()).filter(|line| !line.is_empty());
    (package.to_owned(), said.collect())
}

fn last<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let errors: Vec<&str> =
        lines.iter().copied().filter(|line| line.starts_with("E: ") || line.starts_with("Error: ")).collect();
    if errors.is_empty() { lines.iter().copied().filter(|line| !line.is_empty()).collect() } else { errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Kind, Vec<String>) {
        let cause = of(&text.lines().collect::<Vec<_>>());
        (cause.kind, cause.text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn a_script_that_fails_is_told_with_what_it_said_and_nothing_else() {
        let (kind, lines) = read(include_str!("testdata/apt-broken.txt"));
        assert_eq!(kind, Kind::Script);
        assert_eq!(
            lines,
            [
                "package broken could not be configured",
                "configuring broken: the licence server does not answer",
                "dpkg: error processing package broken (--configure):",
                "installed broken package post-installation script subprocess returned error exit status 3",
            ]
        );
        let (_, lines) = read(include_str!("testdata/apt-half-configured.txt"));
        assert_eq!(lines[0], "package broken could not be configured", "another job finds it broken");
    }

    #[test]
    fn each_kind_of_failure_is_recognised_in_what_apt_really_says() {
        let cases: [(&str, Kind, &str); 14] = [
            (
                include_str!("testdata/apt-not-found.txt"),
                Kind::NotFound,
                "E: Unable to locate package nosuchpackage",
            ),
            (
                include_str!("testdata/apt-bad-version.txt"),
                Kind::NotFound,
                "E: Version '9' for 'hello' was not found",
            ),
            (
                include_str!("testdata/apt-unmet.txt"),
                Kind::Unmet,
                "needs-missing : Depends: no-such-thing (>= 2)",
            ),
            (include_str!("testdata/apt-conflict.txt"), Kind::Unmet, "left : Conflicts: right but 1.0"),
            (include_str!("testdata/apt-altered.txt"), Kind::Altered, "Hash Sum mismatch"),
            (include_str!("testdata/apt-gone.txt"), Kind::Unreachable, "404  File not found"),
            (include_str!("testdata/apt-clash.txt"), Kind::FileClash, "trying to overwrite '/bin/cat'"),
            (include_str!("testdata/apt-held.txt"), Kind::Held, "Held packages were changed"),
            (
                include_str!("testdata/apt-simulate-essential.txt"),
                Kind::Essential,
                "Essential packages were removed",
            ),
            (include_str!("testdata/apt-lock.txt"), Kind::Lock, "It is held by process 7360 (python3)"),
            (include_str!("testdata/apt-update-unsigned.txt"), Kind::Unsigned, "is not signed"),
            (include_str!("testdata/apt-update-wrong-key.txt"), Kind::Unsigned, "NO_PUBKEY"),
            (include_str!("testdata/apt-no-space.txt"), Kind::NoSpace, "No space left on device"),
            (include_str!("testdata/apt-no-space-archives.txt"), Kind::NoSpace, "enough free space in"),
        ];
        for (text, kind, sign) in cases {
            let (found, lines) = read(text);
            assert_eq!(found, kind, "{lines:?}");
            assert!(lines.iter().any(|line| line.contains(sign)), "{sign}: {lines:?}");
            assert_eq!(lines[0], kind.in_words());
            assert!(lines.len() <= MOST_LINES + 1);
        }
        let (kind, lines) = read(include_str!("testdata/apt-update-down.txt"));
        assert_eq!(kind, Kind::Unreachable, "{lines:?}");
    }

    #[test]
    fn what_dnf_says_is_recognised_too() {
        let cases: [(&str, Kind, &str); 7] = [
            (include_str!("testdata/dnf-not-found.txt"), Kind::NotFound, "No match for argument: nosuch"),
            (include_str!("testdata/dnf-unmet.txt"), Kind::Unmet, "nothing provides no-such-thing >= 2"),
            (include_str!("testdata/dnf-assumeno-conflict.txt"), Kind::Unmet, "conflicting requests"),
            (include_str!("testdata/dnf-unsigned.txt"), Kind::Unsigned, "do not have any GPG public keys"),
            (include_str!("testdata/dnf-altered.txt"), Kind::Altered, "incorrect checksum"),
            (include_str!("testdata/dnf-down.txt"), Kind::Unreachable, "Failed to download metadata"),
            (include_str!("testdata/dnf-shell-bad.txt"), Kind::NotFound, "alsonosuch"),
        ];
        for (text, kind, sign) in cases {
            let (found, lines) = read(text);
            assert_eq!(found, kind, "{lines:?}");
            assert!(lines.iter().any(|line| line.contains(sign)), "{sign}: {lines:?}");
        }
        let (kind, lines) = read(include_str!("testdata/dnf-broken.txt"));
        assert_eq!((kind, lines[0].as_str()), (Kind::Script, "package broken could not be configured"));
        assert!(lines.contains(&"licence server away".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_nobody_knows_is_shown_by_its_errors_or_its_end() {
        let (kind, lines) = read("Reading\nE: something new\nmore");
        assert_eq!((kind, &lines[1..]), (Kind::Other, &["E: something new".to_owned()][..]));
        let many: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        let (_, lines) = read(&many.join("\n"));
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (MOST_LINES + 1, "line 39"));
        assert_eq!(read("").1, ["the package manager failed"]);
    }

    #[test]
    fn what_may_go_well_later_is_worth_another_try() {
        let transient = [Kind::Lock, Kind::Altered, Kind::Unreachable];
        assert!(SIGNS.iter().all(|(kind, _)| kind.is_transient() == transient.contains(kind)));
    }
}
