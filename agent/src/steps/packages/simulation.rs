//! What `apt-get --simulate` and `apt-get --print-uris` say, as a transaction. Pure.

use std::collections::BTreeSet;

use wire::package_work::{ChangeKind, PackageChange, Transaction};

/// Where security updates of Debian and Ubuntu come from, as apt writes origins (`Label:version/suite`).
const SECURITY: [&str; 2] = ["Debian-Security:", "-security"];

/// The changes of a simulated run. `asked`: the packages that somebody asked for, as they were named; nobody did where everything is
/// upgraded.
pub(super) fn transaction(simulated: &str, asked: &[String]) -> Transaction {
    let asked: BTreeSet<&str> = asked.iter().map(|name| bare(name)).collect();
    let downgraded = listed_below(simulated, "The following packages will be DOWNGRADED:");
    let mut changes: Vec<PackageChange> =
        simulated.lines().filter_map(|line| change(line, &downgraded, &asked)).collect();
    changes.sort_by(|a, b| (&a.package, &a.architecture).cmp(&(&b.package, &b.architecture)));
    changes
        .dedup_by(|later, first| later.package == first.package && later.architecture == first.architecture);
    Transaction { changes, ..Transaction::default() }
}

/// A package's name without its architecture, version and suite.
pub(super) fn bare(name: &str) -> &str {
    name.split(['=', ':', '/']).next().unwrap_or(name)
}

/// `Inst name[:arch] [from] (to origin, origin [arch]) …`, `Remv name [from]`, `Purg name [from]`.
fn change(line: &str, downgraded: &BTreeSet<&str>, asked: &BTreeSet<&str>) -> Option<PackageChange> {
    let (word, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (package, architecture) = name.split_once(':').unwrap_or((name, ""));
    let from =
        rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or("", |(version, _)| version);
    let mut found = PackageChange {
        package: package.to_owned(),
        architecture: architecture.to_owned(),
        change: ChangeKind::Remove,
        from: from.to_owned(),
        to: String::new(),
        is_security: false,
        is_dependency: !asked.is_empty() && !asked.contains(package),
    };
    match word {
        "Remv" => {}
        "Purg" => found.change = ChangeKind::Purge,
        "Inst" => {
            let inner = rest.split_once('(')?.1.split_once(')')?.0;
            let (to, origins) = inner.split_once(' ').unwrap_or((inner, ""));
            found.to = to.to_owned();
            found.is_security = SECURITY.iter().any(|sign| origins.contains(sign));
            if let Some((_, architecture)) =
                origins.rsplit_once('[').filter(|_| found.architecture.is_empty())
            {
                found.architecture = architecture.trim_end_matches(']').to_owned();
            }
            found.change = match from {
                "" => ChangeKind::Install,
                from if from == to => ChangeKind::Reinstall,
                _ if downgraded.contains(package) => ChangeKind::Downgrade,
                _ => ChangeKind::Upgrade,
            };
        }
        _ => return None,
    }
    Some(found)
}

/// The indented names below a heading.
fn listed_below<'a>(text: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let below = text.lines().skip_while(|line| line.trim_end() != heading).skip(1);
    below.take_while(|line| line.starts_with(' ')).flat_map(str::split_whitespace).collect()
}

/// What has to be fetched, and what the disk loses, in bytes, from the output of `--print-uris`.
pub(super) fn sizes(printed: &str) -> (u64, i64) {
    let fetched = printed.lines().filter(|line| line.starts_with('\''));
    let fetched = fetched.filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()).sum();
    let disk = printed.lines().find_map(|line| {
        let amount = line.strip_prefix("After this operation, ")?;
        let bytes = decimal(amount)?;
        Some(if amount.contains("freed") { -bytes } else { bytes })
    });
    (fetched, disk.unwrap_or(0))
}

/// `53.1 kB …` in bytes, as apt writes sizes (`SizeToStr`: powers of 1000, one digit behind the point).
fn decimal(text: &str) -> Option<i64> {
    let mut words = text.split(' ');
    let (number, unit) = (words.next()?, words.next()?);
    let factor = match unit {
        "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, tenths): (i64, i64) = (whole.replace(',', "").parse().ok()?, tenths.parse().ok()?);
    Some(whole * factor + tenths * factor / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    fn in_words(transaction: &Transaction) -> Vec<String> {
        let one = |it: &PackageChange| {
            let mark = if it.is_dependency { " (needed)" } else { "" };
            format!("{:?} {}:{} {}>{}{mark}", it.change, it.package, it.architecture, it.from, it.to)
        };
        transaction.changes.iter().map(one).collect()
    }

    #[test]
    fn an_installation_tells_what_was_asked_for_and_what_comes_along() {
        let said = transaction(include_str!("testdata/apt-simulate-install.txt"), &names("hello cowsay"));
        let said = in_words(&said);
        assert!(said.contains(&"Install hello:amd64 >2.10-3".to_owned()), "{said:?}");
        assert!(said.contains(&"Install cowsay:all >3.03+dfsg2-8".to_owned()), "{said:?}");
        assert!(
            said.contains(&"Install libtext-charwidth-perl:amd64 >0.04-11 (needed)".to_owned()),
            "{said:?}"
        );
    }

    #[test]
    fn removals_are_told_apart_from_purges_and_from_removals_for_something_else() {
        let removed = transaction(include_str!("testdata/apt-simulate-remove.txt"), &names("hello"));
        assert_eq!(in_words(&removed), ["Remove hello: 2.10-3>"]);
        let purged = transaction(include_str!("testdata/apt-simulate-purge.txt"), &names("hello"));
        assert_eq!(in_words(&purged), ["Purge hello: 2.10-3>"]);
        let instead = transaction(include_str!("testdata/apt-simulate-removal.txt"), &names("left"));
        assert_eq!(in_words(&instead), ["Install left:all >1.0", "Remove right: 1.0> (needed)"]);
    }

    #[test]
    fn an_upgrade_tells_which_updates_are_for_security_and_a_downgrade_is_no_upgrade() {
        let upgrade = transaction(include_str!("testdata/apt-simulate-upgrade.txt"), &[]);
        let by_name = |name: &str| upgrade.changes.iter().find(|it| it.package == name).unwrap();
        assert!(by_name("perl-base").is_security);
        assert_eq!(by_name("perl-base").to, "5.36.0-7+deb12u4");
        assert!(!by_name("bash").is_security);
        assert!(upgrade.changes.iter().all(|it| it.change == ChangeKind::Upgrade && !it.is_dependency));
        let back = transaction(include_str!("testdata/apt-simulate-downgrade.txt"), &names("good=1.0"));
        assert_eq!(in_words(&back), ["Downgrade good:all 1.1>1.0"]);
    }

    #[test]
    fn sizes_are_what_is_fetched_and_what_the_disk_loses_or_wins() {
        assert_eq!(sizes(include_str!("testdata/apt-uris-install.txt")), (9_496 + 21_372 + 53_080, 420_000));
        assert_eq!(sizes("After this operation, 1,024 kB disk space will be freed."), (0, -1_024_000));
        assert_eq!(
            sizes("After this operation, 53.1 MB of additional disk space will be used."),
            (0, 53_100_000)
        );
        assert_eq!(sizes("nothing to do"), (0, 0));
    }
}
