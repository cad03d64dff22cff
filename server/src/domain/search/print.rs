//! Expressions as text that reads the same again.

use std::fmt::{self, Display, Formatter, Write};

use super::{Age, Comparison, Expr, Flag, Number, Pattern, Test, Text, quantity};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, " ", |part| matches!(part, Self::All(_) | Self::Any(_))),
            Self::Any(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Any(_))),
            Self::Not(part) => {
                f.write_str("not ")?;
                one(f, part, matches!(**part, Self::All(_) | Self::Any(_)))
            }
            Self::Test(test, _) => test.fmt(f),
        }
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Expr], by: &str, inside: impl Fn(&Expr) -> bool) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(by)?;
        }
        one(f, part, inside(part))?;
    }
    Ok(())
}

fn one(f: &mut Formatter<'_>, part: &Expr, in_parentheses: bool) -> fmt::Result {
    if in_parentheses { write!(f, "({part})") } else { part.fmt(f) }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => quoted(f, word, true),
            Self::Text(text, Pattern(pattern)) => {
                write!(f, "{}:", text.as_str())?;
                quoted(f, pattern, false)
            }
            Self::Network(address, prefix) => write!(f, "ip:{address}/{prefix}"),
            Self::Stage(stage) => write!(f, "stage:{}", stage.as_str()),
            Self::Health(word) => write!(f, "health:{}", word.as_str()),
            Self::Activity(word) => write!(f, "activity:{}", word.as_str()),
            Self::Package(Pattern(name), version) => {
                write!(f, "package:{name}")?;
                match version {
                    Some((comparison, version)) => write!(f, "{}{version}", comparison.as_str()),
                    None => Ok(()),
                }
            }
            Self::Agent(comparison, version) => {
                write!(f, "agent{}", comparison.as_str())?;
                quoted(f, version, false)
            }
            Self::Number(number, comparison, value) => {
                let value = match number {
                    Number::Memory | Number::Disk => quantity::show_size(*value),
                    Number::Threads | Number::Updates => value.to_string(),
                };
                write!(f, "{}{}{value}", number.as_str(), comparison.as_str())
            }
            Self::Flag(flag, holds) => write!(f, "{}:{}", flag.as_str(), if *holds { "yes" } else { "no" }),
            Self::Age(age, comparison, micros) => {
                write!(f, "{}{}{}", age.as_str(), comparison.as_str(), quantity::show_age(*micros))
            }
            Self::NeverSeen => f.write_str("seen:never"),
        }
    }
}

/// A text as it is typed: in quotes when it would mean something else without them.
fn quoted(f: &mut Formatter<'_>, text: &str, is_word: bool) -> fmt::Result {
    let plain = !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || "()\"\\".contains(c))
        && (!is_word
            || (!text.contains([':', '<', '>', '='])
                && !["and", "or", "not"].iter().any(|word| text.eq_ignore_ascii_case(word))));
    if plain {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for character in text.chars() {
        if character == '"' || character == '\\' {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

impl Text {
    /// The field's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Group => "group",
            Self::Mac => "mac",
            Self::Ip => "ip",
            Self::Os => "os",
            Self::Distribution => "distribution",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::Agent => "agent",
            Self::Selection => "selection",
        }
    }
}

impl Number {
    /// The field's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Threads => "threads",
            Self::Updates => "updates",
        }
    }
}

impl Flag {
    /// The field's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SecurityUpdates => "security-updates",
            Self::RebootNeeded => "reboot-needed",
            Self::Drift => "drift",
        }
    }
}

impl Age {
    /// The field's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Added => "added",
            Self::Failed => "failed",
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
