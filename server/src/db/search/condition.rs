//! What an expression means as the condition of a statement about `clients c`.
//!
//! Invariant: whatever people type is a bound value; the text is made of constants of this file and of numbers of packages alone.

use std::net::IpAddr;

use super::{
    super::{Arg, reach, selections, traits::address_key},
    Around, literal,
};
use crate::domain::{
    client::Stage,
    client_status::ONLINE_FOR,
    reach::Sees,
    search::{ActivityWord, Age, Comparison, Expr, Flag, HealthWord, Number, Pattern, Test, Text, version},
};

/// A statement that grows.
pub(super) struct Statement<'a> {
    /// Its text, with a placeholder for each value.
    pub(super) text: String,
    /// The values.
    pub(super) args: Vec<Arg>,
    /// Package tests of which it is known which packages they mean, with the numbers of these.
    pub(super) packages: Vec<(Test, Vec<i64>)>,
    around: Around<'a>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(around: Around<'a>) -> Self {
        Self { text: String::new(), args: Vec::new(), packages: Vec::new(), around }
    }

    /// Leaves out what whoever asks does not see.
    pub(super) fn only_seen(&mut self) {
        if *self.around.sees != Sees::Everything {
            self.text.push_str(&format!("{} AND ", reach::seen(self.around.sees, "c.id")));
        }
    }

    /// A bound value.
    pub(super) fn value(&mut self, value: impl Into<Arg>) {
        self.args.push(value.into());
        self.text.push_str(&format!("${}", self.args.len()));
    }

    /// The condition of an expression; `inside` are the groups whose own expressions surround it.
    pub(super) fn condition(&mut self, expr: &Expr, inside: &mut Vec<String>) {
        match expr {
            Expr::All(parts) if parts.is_empty() => self.text.push_str("1 = 1"),
            Expr::All(parts) => self.joined(parts, " AND ", inside),
            Expr::Any(parts) => self.joined(parts, " OR ", inside),
            Expr::Not(part) => {
                self.text.push_str("NOT (");
                self.condition(part, inside);
                self.text.push(')');
            }
            Expr::Test(test, _) => {
                self.text.push('(');
                self.test(test, inside);
                self.text.push(')');
            }
        }
    }

    fn joined(&mut self, parts: &[Expr], by: &str, inside: &mut Vec<String>) {
        self.text.push('(');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.text.push_str(by);
            }
            self.condition(part, inside);
        }
        self.text.push(')');
    }

    fn test(&mut self, test: &Test, inside: &mut Vec<String>) {
        match test {
            Test::Word(word) => self.word(word),
            Test::Text(Text::Group, pattern) => self.group(pattern, inside),
            Test::Text(text, pattern) => self.text_test(*text, pattern),
            Test::Network(address, prefix) => self.network(*address, *prefix),
            Test::Stage(stage) => self.stage(*stage),
            Test::Health(word) => self.health(*word),
            Test::Activity(word) => self.text.push_str(match word {
                ActivityWord::Working => "c.id + 0 IN (SELECT client_id FROM jobs WHERE state = 'running')",
                ActivityWord::Waiting => {
                    "c.id + 0 IN (SELECT client_id FROM jobs WHERE state IN ('held', 'queued', 'running')) \
                     AND c.id + 0 NOT IN (SELECT client_id FROM jobs WHERE state = 'running')"
                }
                ActivityWord::Idle => {
                    "c.id + 0 NOT IN (SELECT client_id FROM jobs WHERE state IN ('held', 'queued', 'running'))"
                }
            }),
            Test::Package(name, version) => {
                let known = self.packages.iter().find(|(known, _)| known == test);
                match known.map(|(_, ids)| ids.clone()) {
                    Some(ids) => self.has_one_of(&ids),
                    None => self.has_package(name, version.as_ref()),
                }
            }
            Test::Agent(comparison, wanted) => {
                self.text.push_str(&format!("coalesce(c.agent_key {} ", comparison.as_str()));
                self.value(version::key(wanted));
                self.text.push_str(", FALSE)");
            }
            Test::Number(number, comparison, value) => {
                // What is not known is 0 of what cannot be none, and -1 of what can.
                let (column, least) = match number {
                    Number::Memory => ("c.memory_bytes", 1),
                    Number::Disk => ("c.disk_bytes", 1),
                    Number::Threads => ("c.threads", 1),
                    Number::Updates => ("c.updates", 0),
                };
                self.text.push_str(&format!("{column} >= {least} AND {column} {} ", comparison.as_str()));
                self.value(i64::try_from(*value).unwrap_or(i64::MAX));
            }
            Test::Flag(Flag::Drift, holds) => self.drift(*holds),
            Test::Flag(Flag::SecurityUpdates, true) => self.text.push_str("c.security_updates > 0"),
            Test::Flag(Flag::SecurityUpdates, false) => self.text.push_str("c.security_updates = 0"),
            Test::Flag(Flag::RebootNeeded, true) => self.text.push_str("c.reboot_needed"),
            Test::Flag(Flag::RebootNeeded, false) => self.text.push_str("NOT c.reboot_needed"),
            Test::Age(age, comparison, micros) => self.age(*age, *comparison, *micros),
            Test::NeverSeen => self.text.push_str("c.last_seen_at IS NULL"),
        }
    }

    fn stage(&mut self, stage: Stage) {
        self.text.push_str("c.stage || '' = ");
        self.value(stage.as_str());
    }

    /// The same as `domain::client_status::health`, whose last word of an agent is at most 15 seconds younger.
    fn health(&mut self, word: HealthWord) {
        let critical = "(c.alarmed OR (c.failed_job IS NOT NULL AND c.stage || '' = 'installing'))";
        match word {
            HealthWord::Critical => self.text.push_str(critical),
            HealthWord::Warning => {
                self.text
                    .push_str("NOT c.alarmed AND c.failed_job IS NOT NULL AND c.stage || '' <> 'installing'");
            }
            HealthWord::Offline => {
                self.text.push_str("NOT c.alarmed AND c.failed_job IS NULL AND ");
                self.silent();
            }
            HealthWord::Ok => {
                self.text.push_str("NOT c.alarmed AND c.failed_job IS NULL AND NOT (");
                self.silent();
                self.text.push(')');
            }
        }
    }

    fn silent(&mut self) {
        self.text.push_str("c.stage || '' = 'installed' AND coalesce(c.last_seen_at, 0) <= ");
        self.value(self.around.now - ONLINE_FOR);
    }

    fn age(&mut self, age: Age, comparison: Comparison, micros: i64) {
        let since = self.around.now.saturating_sub(micros);
        let sign = comparison.turned().as_str();
        match age {
            Age::Seen => self.text.push_str(&format!("coalesce(c.last_seen_at {sign} ")),
            Age::Added => self.text.push_str(&format!("c.created_at {sign} ")),
            Age::Failed => self.text.push_str(&format!(
                "c.id + 0 IN (SELECT client_id FROM jobs WHERE state = 'failed' AND finished_at {sign} "
            )),
        }
        self.value(since);
        self.text.push_str(match age {
            Age::Seen => ", FALSE)",
            Age::Added => "",
            Age::Failed => ")",
        });
    }

    /// Bare words: only those tables are looked at that can hold such a word.
    fn word(&mut self, word: &str) {
        let word = word.to_lowercase();
        let like = format!("%{}%", literal(&word));
        self.text.push_str("c.name LIKE ");
        self.value(&like);
        self.text.push_str(" ESCAPE '!' OR lower(c.serial) LIKE ");
        self.value(&like);
        self.text.push_str(" ESCAPE '!'");
        let made_of = |more: &str| word.chars().all(|c| c.is_ascii_hexdigit() || more.contains(c));
        for (fits, table, column) in
            [(made_of(":"), "client_macs", "mac"), (made_of(".:"), "client_addresses", "address")]
        {
            if fits {
                self.text.push_str(&format!(
                    " OR c.id + 0 IN (SELECT client_id FROM {table} WHERE {column} LIKE "
                ));
                self.value(&like);
                self.text.push_str(" ESCAPE '!')");
            }
        }
    }

    /// A column that equals a pattern, begins with it or holds it.
    fn fits(&mut self, column: &str, pattern: &Pattern, how: How) {
        let text = pattern.0.to_lowercase();
        let like = literal(&text).replace('*', "%");
        let like = match how {
            _ if text.contains('*') => like,
            How::Begins if !text.is_empty() => format!("{like}%"),
            How::Holds if !text.is_empty() => format!("%{like}%"),
            How::Equals | How::Begins | How::Holds => {
                self.text.push_str(&format!("{column} = "));
                return self.value(text);
            }
        };
        self.text.push_str(&format!("{column} LIKE "));
        self.value(like);
        self.text.push_str(" ESCAPE '!'");
    }

    fn text_test(&mut self, text: Text, pattern: &Pattern) {
        let none = pattern.0.is_empty();
        match text {
            Text::Name | Text::Group => self.fits("c.name", pattern, How::Equals),
            Text::Distribution => self.fits("c.distribution", pattern, How::Equals),
            Text::Model => self.fits("c.model_key", pattern, How::Holds),
            Text::Serial => self.fits("lower(c.serial)", pattern, How::Holds),
            Text::Agent => self.fits("lower(coalesce(c.agent_version, ''))", pattern, How::Equals),
            Text::Os => {
                self.fits("c.os", pattern, How::Equals);
                if !none && !pattern.0.contains('*') {
                    for more in ["-*", ".*"] {
                        self.text.push_str(" OR ");
                        self.fits("c.os", &Pattern(format!("{}{more}", pattern.0)), How::Equals);
                    }
                }
            }
            Text::Selection if none => {
                self.text.push_str("c.id + 0 NOT IN (SELECT client_id FROM selection_clients)");
            }
            Text::Selection => {
                self.text.push_str(
                    "c.id + 0 IN (SELECT h.client_id FROM selection_clients h JOIN selections s ON s.id = h.selection_id WHERE ",
                );
                self.fits("s.name", pattern, How::Equals);
                self.text.push(')');
            }
            Text::Mac | Text::Ip => {
                let (table, column) = match text {
                    Text::Mac => ("client_macs", "mac"),
                    _ => ("client_addresses", "address"),
                };
                if none {
                    self.text.push_str(&format!("c.id + 0 NOT IN (SELECT client_id FROM {table})"));
                } else {
                    self.text.push_str(&format!("c.id + 0 IN (SELECT client_id FROM {table} WHERE "));
                    self.fits(column, pattern, How::Begins);
                    self.text.push(')');
                }
            }
        }
    }

    fn network(&mut self, address: IpAddr, prefix: u8) {
        let prefix = u32::from(prefix) + if address.is_ipv4() { 96 } else { 0 };
        let hosts = u128::MAX.checked_shr(prefix).unwrap_or(0);
        let first = address_key(address) & !hosts;
        self.text.push_str("c.id + 0 IN (SELECT client_id FROM client_addresses WHERE address_key BETWEEN ");
        self.value(format!("{first:032x}"));
        self.text.push_str(" AND ");
        self.value(format!("{:032x}", first | hosts));
        self.text.push(')');
    }

    fn has_package(&mut self, name: &Pattern, version: Option<&(Comparison, String)>) {
        self.text.push_str(
            "c.id + 0 IN (SELECT DISTINCT i.client_id FROM client_packages i JOIN packages p ON p.id = i.package_id WHERE ",
        );
        self.package(name, version);
        self.text.push(')');
    }

    /// Numbers of packages stand in the text, so that the engine knows how many clients have them: of each alone it knows that.
    fn has_one_of(&mut self, packages: &[i64]) {
        let numbers: Vec<String> = packages.iter().map(ToString::to_string).collect();
        // Nothing has this number.
        let list = if numbers.is_empty() { "-1".to_owned() } else { numbers.join(", ") };
        self.text.push_str(&format!(
            "c.id + 0 IN (SELECT DISTINCT client_id FROM client_packages WHERE package_id IN ({list}))"
        ));
    }

    /// The packages `p` that a test means.
    pub(super) fn package(&mut self, name: &Pattern, version: Option<&(Comparison, String)>) {
        self.fits("p.name", name, How::Equals);
        if let Some((comparison, wanted)) = version {
            self.text.push_str(&format!(" AND p.version_key {} ", comparison.as_str()));
            self.value(version::key(wanted));
        }
    }

    /// Clients of which it is known whether they differ from a selection that they have.
    fn drift(&mut self, holds: bool) {
        let known = "c.id + 0 IN (SELECT h.client_id FROM selection_clients h JOIN inventories k ON k.client_id = h.client_id)";
        let not = if holds { "" } else { "NOT " };
        let drifting = selections::drifting();
        self.text
            .push_str(&format!("{known} AND c.id + 0 {not}IN (SELECT d.client_id FROM ({drifting}) AS d)"));
    }

    fn group(&mut self, pattern: &Pattern, inside: &mut Vec<String>) {
        if pattern.0.is_empty() {
            self.text.push_str("c.id + 0 NOT IN (SELECT client_id FROM group_members)");
        } else {
            self.text.push_str(
                "c.id + 0 IN (SELECT m.client_id FROM group_members m JOIN client_groups g ON g.id = m.group_id WHERE ",
            );
            self.fits("g.name", pattern, How::Equals);
            self.text.push(')');
        }
        for (name, expr) in self.around.groups {
            let meant = pattern.fits(name) && !pattern.0.is_empty();
            // A group that leads to itself is refused when it is saved; were it there, it would not be asked twice.
            if (meant || pattern.0.is_empty()) && !inside.contains(name) {
                self.text.push_str(if meant { " OR (" } else { " AND NOT (" });
                inside.push(name.clone());
                self.condition(expr, inside);
                inside.pop();
                self.text.push(')');
            }
        }
    }
}

/// How a pattern without `*` fits.
#[derive(Clone, Copy)]
enum How {
    Equals,
    Begins,
    Holds,
}
