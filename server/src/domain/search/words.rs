//! Every word of the language: fields, what they take, and what could come next while somebody types.

use super::{ActivityWord, Age, Flag, HealthWord, Number, Text};
use crate::domain::client::Stage;

/// A field of the language.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its word.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// For help and errors.
    pub example: &'static str,
}

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text or a pattern.
    Text(Text),
    /// A word of a stage.
    Stage,
    /// A word of health.
    Health,
    /// A word of activity.
    Activity,
    /// A package, perhaps with a version.
    Package,
    /// `yes` or `no`.
    Flag(Flag),
    /// A number to compare with.
    Number(Number),
    /// A time span to compare with.
    Age(Age),
}

/// All fields, those first that people need most.
pub const FIELDS: [Field; 23] = [
    field("name", Shape::Text(Text::Name), "name:pc-*"),
    field("stage", Shape::Stage, "stage:installed"),
    field("health", Shape::Health, "health:offline"),
    field("activity", Shape::Activity, "activity:working"),
    field("group", Shape::Text(Text::Group), "group:room-101"),
    field("os", Shape::Text(Text::Os), "os:debian-12"),
    field("distribution", Shape::Text(Text::Distribution), "distribution:debian-13"),
    field("package", Shape::Package, "package:openssl<3.0.15"),
    field("updates", Shape::Number(Number::Updates), "updates>0"),
    field("security-updates", Shape::Flag(Flag::SecurityUpdates), "security-updates:yes"),
    field("reboot-needed", Shape::Flag(Flag::RebootNeeded), "reboot-needed:yes"),
    field("selection", Shape::Text(Text::Selection), "selection:office"),
    field("drift", Shape::Flag(Flag::Drift), "drift:yes"),
    field("mac", Shape::Text(Text::Mac), "mac:52:54"),
    field("ip", Shape::Text(Text::Ip), "ip:10.0.0.0/8"),
    field("model", Shape::Text(Text::Model), "model:\"OptiPlex 7080\""),
    field("serial", Shape::Text(Text::Serial), "serial:7XK"),
    field("memory", Shape::Number(Number::Memory), "memory<4G"),
    field("disk", Shape::Number(Number::Disk), "disk>500G"),
    field("threads", Shape::Number(Number::Threads), "threads>=8"),
    field("seen", Shape::Age(Age::Seen), "seen<7d"),
    field("added", Shape::Age(Age::Added), "added<30d"),
    field("failed", Shape::Age(Age::Failed), "failed<1d"),
];

/// The agent's version is for the few who look after agents: it is known, but not offered.
pub(super) const AGENT: Field = field("agent", Shape::Text(Text::Agent), "agent:0.1.*");

const fn field(name: &'static str, shape: Shape, example: &'static str) -> Field {
    Field { name, shape, example }
}

/// A field by its word.
pub(super) fn find(name: &str) -> Option<&'static Field> {
    FIELDS.iter().chain([&AGENT]).find(|field| field.name.eq_ignore_ascii_case(name))
}

pub(super) const STAGES: [Stage; 5] =
    [Stage::Registered, Stage::Discovered, Stage::Installing, Stage::Installed, Stage::Retired];

/// The words that a field takes, when it takes no others.
pub(super) fn values(shape: Shape) -> Vec<&'static str> {
    match shape {
        Shape::Stage => STAGES.iter().map(|stage| stage.as_str()).collect(),
        Shape::Health => HealthWord::ALL.iter().map(|word| word.as_str()).collect(),
        Shape::Activity => ActivityWord::ALL.iter().map(|word| word.as_str()).collect(),
        Shape::Flag(_) => vec!["yes", "no"],
        Shape::Text(_) | Shape::Package | Shape::Number(_) | Shape::Age(_) => Vec::new(),
    }
}

/// What could come next where somebody types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// These words in place of the last one; what stands before it, then the candidates.
    Words(String, Vec<String>),
    /// A value of a field whose values only the database knows: what stands before it with the field, the field, its beginning.
    Values(String, Text, String),
    /// A package: what stands before it with the field, its beginning.
    Packages(String, String),
}

/// What could come next at the end of a text.
pub fn completions(text: &str) -> Completion {
    let begin = text.rfind(|c: char| c.is_whitespace() || c == '(').map_or(0, |at| at + 1);
    let (before, word) = text.split_at(begin);
    if let Some((name, value)) = word.split_once(':')
        && let Some(field) = find(name)
    {
        let before = format!("{before}{}:", field.name);
        let typed = value.to_lowercase();
        return match field.shape {
            Shape::Text(text) => Completion::Values(before, text, typed),
            Shape::Package => Completion::Packages(before, typed),
            shape => {
                let fitting = values(shape).into_iter().filter(|word| word.starts_with(&typed));
                Completion::Words(before, fitting.map(str::to_owned).collect())
            }
        };
    }
    let typed = word.to_lowercase();
    let words = FIELDS.iter().map(|field| match field.shape {
        Shape::Number(_) | Shape::Age(_) => format!("{}<", field.name),
        _ => format!("{}:", field.name),
    });
    let words = words.chain(["not ".to_owned(), "or ".to_owned(), "and ".to_owned()]);
    Completion::Words(before.to_owned(), words.filter(|word| word.starts_with(&typed)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_completed_and_what_stands_before_it_stays() {
        let words = |before: &str, words: &[&str]| {
            Completion::Words(before.to_owned(), words.iter().map(|&word| word.to_owned()).collect())
        };
        assert_eq!(completions("x (sta"), words("x (", &["stage:"]));
        assert_eq!(completions("stage:ins"), words("stage:", &["installing", "installed"]));
        assert_eq!(
            completions("not group:ro"),
            Completion::Values("not group:".to_owned(), Text::Group, "ro".to_owned())
        );
    }

    #[test]
    fn every_example_is_an_expression() {
        for field in FIELDS.iter().chain([&AGENT]) {
            crate::domain::search::parse(field.example).unwrap();
        }
    }
}
