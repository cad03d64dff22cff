//! Reads expressions. An error names its place and what would be possible there.
//!
//! Invariant: whatever is read is small: at most [`LONGEST`] bytes, [`MOST`] tests, [`DEEPEST`] levels of parentheses and `not`.

mod error;

use std::{net::IpAddr, ops::Range};

pub use self::error::{ErrorKind, SearchError};
use super::{
    ActivityWord, Comparison, Expr, HealthWord, Number, Pattern, Span, Test, Text, quantity,
    words::{FIELDS, Shape, find, values},
};

/// Longest text, in bytes.
const LONGEST: usize = 2000;
/// Most tests of one expression.
const MOST: usize = 100;
/// Deepest nesting.
const DEEPEST: usize = 30;

/// Reads an expression; an empty text means all clients.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str) -> Result<Expr, SearchError> {
    let mut parser = Parser { text, at: 0, tests: 0, depth: 0 };
    if text.len() > LONGEST {
        return Err(parser.wrong(ErrorKind::TooLarge, 0..text.len(), Vec::new()));
    }
    parser.skip_space();
    if parser.rest().is_empty() {
        return Ok(Expr::All(Vec::new()));
    }
    let expr = parser.any()?;
    match parser.rest().chars().next() {
        None => Ok(expr),
        Some(next) => {
            Err(parser.wrong(ErrorKind::Unexpected, parser.at..parser.at + next.len_utf8(), Vec::new()))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    tests: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SearchError>;

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn wrong(&self, kind: ErrorKind, span: Range<usize>, possible: Vec<String>) -> SearchError {
        let found = self.text[span.clone()].chars().take(60).collect();
        SearchError { place: self.text[..span.start].chars().count() + 1, span, kind, found, possible }
    }

    /// Takes a word of the language itself.
    fn take_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let Some(start) = rest.get(..word.len()) else { return false };
        let ends = rest[word.len()..].chars().next().is_none_or(|c| c.is_whitespace() || "()\"".contains(c));
        if start.eq_ignore_ascii_case(word) && ends {
            self.at += word.len();
            self.skip_space();
            return true;
        }
        false
    }

    fn any(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.all()?];
        while self.take_word("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.one()?];
        loop {
            if self.take_word("and") {
                parts.push(self.one()?);
                continue;
            }
            let rest = self.rest();
            let before = self.at;
            if rest.is_empty() || rest.starts_with(')') || self.take_word("or") {
                self.at = before;
                break;
            }
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn one(&mut self) -> Parsed<Expr> {
        let begin = self.at;
        if self.take_word("not") {
            return Ok(Expr::Not(Box::new(self.deeper(begin, Self::one)?)));
        }
        for word in ["and", "or"] {
            if self.take_word(word) {
                return Err(self.wrong(ErrorKind::Unexpected, begin..begin + word.len(), Vec::new()));
            }
        }
        match self.rest().chars().next() {
            None | Some(')') => {
                // What stands before the gap is what misses something.
                let before = self.text[..self.at].trim_end();
                let start = before.rfind(|c: char| c.is_whitespace() || c == '(').map_or(0, |at| at + 1);
                let start = if before.ends_with('(') { before.len() - 1 } else { start };
                Err(self.wrong(ErrorKind::MissingTest, start..before.len(), Vec::new()))
            }
            Some('(') => {
                self.at += 1;
                self.skip_space();
                let inside = self.deeper(begin, Self::any)?;
                if !self.rest().starts_with(')') {
                    return Err(self.wrong(ErrorKind::OpenParenthesis, begin..begin + 1, Vec::new()));
                }
                self.at += 1;
                self.skip_space();
                Ok(inside)
            }
            Some(_) => self.test(begin),
        }
    }

    fn deeper(&mut self, begin: usize, inside: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        if self.depth == DEEPEST {
            return Err(self.wrong(ErrorKind::TooLarge, begin..self.at, Vec::new()));
        }
        self.depth += 1;
        let parsed = inside(self);
        self.depth -= 1;
        parsed
    }

    fn test(&mut self, begin: usize) -> Parsed<Expr> {
        self.tests += 1;
        if self.tests > MOST {
            return Err(self.wrong(ErrorKind::TooLarge, begin..self.text.len(), Vec::new()));
        }
        let test = match self.field()? {
            Some(test) => test,
            None => Test::Word(self.value()?.0),
        };
        let span = Span(begin..self.at);
        self.skip_space();
        Ok(Expr::Test(test, span))
    }

    /// A text in quotes or up to the next space or parenthesis, and whether it was in quotes.
    fn value(&mut self) -> Parsed<(String, bool)> {
        let begin = self.at;
        let rest = self.rest();
        if !rest.starts_with('"') {
            let end = rest.find(|c: char| c.is_whitespace() || "()\"".contains(c)).unwrap_or(rest.len());
            self.at += end;
            return Ok((rest[..end].to_owned(), false));
        }
        let mut value = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = begin + at + 1;
                    return Ok((value, true));
                }
                '\\' => match characters.next() {
                    Some((_, escaped)) => value.push(escaped),
                    None => break,
                },
                other => value.push(other),
            }
        }
        Err(self.wrong(ErrorKind::OpenQuote, begin..begin + 1, Vec::new()))
    }

    /// `field:value` and the like; `None` for a bare word.
    fn field(&mut self) -> Parsed<Option<Test>> {
        let begin = self.at;
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(rest.len());
        let signs = [
            (":", None),
            ("<=", Some(Comparison::AtMost)),
            (">=", Some(Comparison::AtLeast)),
            ("<", Some(Comparison::Less)),
            (">", Some(Comparison::More)),
            ("=", Some(Comparison::Equal)),
        ];
        let sign = signs.into_iter().find(|(sign, _)| length > 0 && rest[length..].starts_with(sign));
        let Some((sign, comparison)) = sign else { return Ok(None) };
        let name = begin..begin + length;
        let Some(field) = find(&self.text[name.clone()]) else {
            let word =
                rest.split(|c: char| c.is_whitespace() || "()\"".contains(c)).next().unwrap_or_default();
            // A hardware or IPv6 address that begins with a letter.
            if sign == ":" && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
                return Ok(None);
            }
            let possible = FIELDS.iter().map(|field| field.name.to_owned()).collect();
            return Err(self.wrong(ErrorKind::UnknownField, name, possible));
        };
        let example = || vec![field.example.to_owned()];
        self.at = begin + length + sign.len();
        let from = self.at;
        let (value, is_quoted) = self.value()?;
        let span = from..self.at;
        if value.is_empty() && !is_quoted {
            let mut possible: Vec<String> = values(field.shape).into_iter().map(str::to_owned).collect();
            if possible.is_empty() {
                possible = example();
            }
            return Err(self.wrong(ErrorKind::MissingValue, name.start..self.at, possible));
        }
        let compares = comparison.filter(|comparison| *comparison != Comparison::Equal);
        if compares.is_some()
            && !matches!(field.shape, Shape::Number(_) | Shape::Age(_) | Shape::Text(Text::Agent))
        {
            return Err(self.wrong(ErrorKind::NotComparable, name, example()));
        }
        let comparison = comparison.unwrap_or(Comparison::Equal);
        let wrong = |kind, possible| Err(self.wrong(kind, span.clone(), possible));
        let unknown =
            || wrong(ErrorKind::UnknownValue, values(field.shape).into_iter().map(str::to_owned).collect());
        let word = value.to_lowercase();
        let test = match field.shape {
            Shape::Stage | Shape::Health | Shape::Activity | Shape::Flag(_) => {
                match word_test(field.shape, &word) {
                    Some(test) => test,
                    None => return unknown(),
                }
            }
            Shape::Text(Text::Agent) if let Some(comparison) = compares => Test::Agent(comparison, value),
            Shape::Text(text) => match text_test(text, &value) {
                Some(test) => test,
                None => return wrong(ErrorKind::NoAddress, example()),
            },
            Shape::Package => match package(&value) {
                Some(test) => test,
                None => return wrong(ErrorKind::NoPackage, example()),
            },
            Shape::Number(number @ (Number::Memory | Number::Disk)) => match quantity::size(&value) {
                Some(bytes) => Test::Number(number, comparison, bytes),
                None => return wrong(ErrorKind::NoSize, example()),
            },
            Shape::Number(number @ (Number::Threads | Number::Updates)) => match value.parse::<u32>() {
                Ok(count) => Test::Number(number, comparison, u64::from(count)),
                Err(_) => return wrong(ErrorKind::NoNumber, example()),
            },
            Shape::Age(super::Age::Seen) if word == "never" && compares.is_none() => Test::NeverSeen,
            Shape::Age(age) => match quantity::age(&value) {
                // Nothing is ago so long to the microsecond: `seen:7d` means within seven days.
                Some(micros) => Test::Age(age, compares.unwrap_or(Comparison::Less), micros),
                None => return wrong(ErrorKind::NoAge, example()),
            },
        };
        Ok(Some(test))
    }
}

/// The test of a field that takes only certain words.
fn word_test(shape: Shape, word: &str) -> Option<Test> {
    match shape {
        Shape::Stage => word.parse().ok().map(Test::Stage),
        Shape::Health => HealthWord::ALL.into_iter().find(|known| known.as_str() == word).map(Test::Health),
        Shape::Activity => {
            ActivityWord::ALL.into_iter().find(|known| known.as_str() == word).map(Test::Activity)
        }
        Shape::Flag(flag) if word == "yes" => Some(Test::Flag(flag, true)),
        Shape::Flag(flag) if word == "no" => Some(Test::Flag(flag, false)),
        _ => None,
    }
}

fn text_test(text: Text, value: &str) -> Option<Test> {
    let made_of = |characters: &str, value: &str| {
        value.chars().all(|c| c.is_ascii_hexdigit() || characters.contains(c))
    };
    match text {
        Text::Mac => {
            let value = value.replace('-', ":");
            made_of(":*", &value).then_some(Test::Text(text, Pattern(value)))
        }
        Text::Ip => {
            if let Some((address, prefix)) = value.split_once('/') {
                let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
                let longest = if address.is_ipv4() { 32 } else { 128 };
                return (prefix <= longest).then_some(Test::Network(address, prefix));
            }
            made_of(".:*", value).then(|| Test::Text(text, Pattern(value.to_owned())))
        }
        Text::Name
        | Text::Group
        | Text::Os
        | Text::Distribution
        | Text::Model
        | Text::Serial
        | Text::Agent
        | Text::Selection => Some(Test::Text(text, Pattern(value.to_owned()))),
    }
}

fn package(value: &str) -> Option<Test> {
    let made_of = |more: &str, text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let end = value.find(['<', '>', '=']).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    if !made_of(".+-*", name) {
        return None;
    }
    let name = Pattern(name.to_owned());
    if rest.is_empty() {
        return Some(Test::Package(name, None));
    }
    let (comparison, version) = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|version| (comparison, version)))?;
    made_of(".+~:-", version).then(|| Test::Package(name, Some((comparison, version.to_owned()))))
}

#[cfg(test)]
mod tests;
