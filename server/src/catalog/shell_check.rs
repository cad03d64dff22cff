//! Reads a shell template before it is ever rendered, and refuses what could put a value into the shell unquoted.
//!
//! Every value comes out in single quotes, so it is one harmless word wherever the shell expects a word. It is not harmless inside
//! other quotes, comments, here-documents, arithmetic, or behind `\` and `$`. Invariant: a template that passes has no value in such a
//! place, whatever its conditions choose. It does not judge what a command does with its words: `sh -c {{ value }}` passes.

use tera::Tera;

/// Refuses what would bypass the quoting, and what Tera cannot parse.
///
/// # Errors
/// What is wrong, with file and line.
pub(super) fn check_shell(name: &str, template: &str) -> Result<(), String> {
    let mut reader = Reader { rest: template, before: '\n', after_tag: false, frames: Vec::new() };
    reader.read().map_err(|message| {
        let read = template.len() - reader.rest.len();
        let line = template.as_bytes()[..read].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{name}:{line}: {message}")
    })?;
    let mut tera = Tera::default();
    tera.register_filter("words", |list: tera::Value, _: tera::Kwargs, _: &tera::State<'_>| list);
    tera.add_raw_template(name, template).map_err(|error| format!("{name}: {error}"))
}

/// Around what is read; nothing around it is the top of the script.
#[derive(Clone, Copy, PartialEq)]
enum Frame {
    /// `"..."`
    Quotes,
    /// `$(...)` inside quotes, with so many open parentheses of its own.
    Command(u32),
    /// `$((...))`, with so many open parentheses of its own.
    Arithmetic(u32),
}

struct Reader<'a> {
    /// What is not read yet.
    rest: &'a str,
    /// The last character of shell text.
    before: char,
    /// Something of Tera stands directly before.
    after_tag: bool,
    frames: Vec<Frame>,
}

const TAGS: [&str; 9] = ["if", "elif", "else", "endif", "for", "endfor", "set", "break", "continue"];
const FILTERS: [&str; 5] = ["safe", "escape", "escape_html", "escape_xml", "newlines_to_br"];

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), String> {
        while let Some(next) = self.rest.chars().next() {
            match self.frames.last().copied() {
                _ if is_tera(self.rest) => self.tera()?,
                Some(Frame::Quotes) => self.quoted(next)?,
                Some(Frame::Arithmetic(open)) => self.arithmetic(next, open)?,
                frame @ (None | Some(Frame::Command(_))) => self.plain(next, frame)?,
            }
        }
        if self.frames.is_empty() { Ok(()) } else { Err("a quote is not closed".to_owned()) }
    }

    /// Shell text outside quotes.
    fn plain(&mut self, next: char, frame: Option<Frame>) -> Result<(), String> {
        let word_start = self.before.is_whitespace() || ";&|()<>".contains(self.before);
        if !self.before.is_alphanumeric() && self.before != '_' && self.word() == "eval" {
            return Err("`eval` would read values a second time, unquoted".to_owned());
        }
        match next {
            '#' if self.after_tag || self.before == ')' => {
                Err("write a blank before `#`, so that it is clear whether it begins a comment".to_owned())
            }
            '#' if word_start => self.until('\n', 0, "a comment"),
            '\'' if self.before == '$' => Err("`$'` is not the same in every shell".to_owned()),
            '\'' => self.until('\'', 1, "single quotes"),
            '"' => self.open(Frame::Quotes, 1),
            '\\' if self.rest[1..].starts_with(char::is_alphabetic) => {
                Err("`\\` before a letter does nothing outside quotes".to_owned())
            }
            '\\' => self.escaped(),
            '`' => Err("write $(...) instead of back quotes".to_owned()),
            '<' if self.rest.starts_with("<<") => {
                Err("here-documents do not quote values: use `printf '%s\\n'`, or a write-file step"
                    .to_owned())
            }
            '$' if self.rest.starts_with("$((") => self.open(Frame::Arithmetic(0), 3),
            '$' if self.rest.starts_with("${") => self.expansion(),
            '(' | ')' => match frame {
                None => self.step(next),
                Some(_) => self.parenthesis(next, frame),
            },
            _ if word_start && frame.is_some() && self.word() == "case" => {
                Err("`case` inside \"$(...)\" is hard to read: assign its result to a variable first"
                    .to_owned())
            }
            _ => self.step(next),
        }
    }

    /// Inside double quotes.
    fn quoted(&mut self, next: char) -> Result<(), String> {
        match next {
            '"' => {
                self.frames.pop();
                self.step(next)
            }
            '\\' => self.escaped(),
            '`' => Err("write $(...) instead of back quotes".to_owned()),
            '$' if self.rest.starts_with("$((") => self.open(Frame::Arithmetic(0), 3),
            '$' if self.rest.starts_with("$(") => self.open(Frame::Command(0), 2),
            '$' if self.rest.starts_with("${") => self.expansion(),
            _ => self.step(next),
        }
    }

    /// `${...}`, in which neither quotes nor `#` mean what they mean elsewhere.
    fn expansion(&mut self) -> Result<(), String> {
        let end = self.rest.find('}').ok_or("`${` has no `}`")?;
        if self.rest[2..end].contains(['"', '\'', '`', '\\', '$', '{']) {
            return Err("quotes and values inside ${...}: assign them to a variable first".to_owned());
        }
        self.skip(end + 1)
    }

    /// Inside `$((...))`, which the shell reads like the inside of double quotes.
    fn arithmetic(&mut self, next: char, open: u32) -> Result<(), String> {
        match next {
            '"' | '\'' | '`' | '\\' => {
                Err("quotes inside $((...)): assign them to a variable first".to_owned())
            }
            ')' if open == 0 => {
                if !self.rest.starts_with("))") {
                    return Err("`$((` has no `))`; begin a subshell inside $(...) with a blank".to_owned());
                }
                self.frames.pop();
                self.skip(2)
            }
            '(' | ')' => self.parenthesis(next, Some(Frame::Arithmetic(open))),
            _ => self.step(next),
        }
    }

    /// Counts a parenthesis; the one too many ends the frame.
    fn parenthesis(&mut self, next: char, frame: Option<Frame>) -> Result<(), String> {
        let count = |open: u32| if next == '(' { Some(open + 1) } else { open.checked_sub(1) };
        let changed = match frame {
            Some(Frame::Command(open)) => count(open).map(Frame::Command),
            Some(Frame::Arithmetic(open)) => count(open).map(Frame::Arithmetic),
            Some(Frame::Quotes) | None => None,
        };
        self.frames.pop();
        self.frames.extend(changed);
        self.step(next)
    }

    /// A value, a tag, or a comment of the template.
    fn tera(&mut self) -> Result<(), String> {
        let (open, close) = match &self.rest[..2] {
            "{{" => ("{{", "}}"),
            "{%" => ("{%", "%}"),
            _ => ("{#", "#}"),
        };
        let end = self.rest.find(close).ok_or_else(|| format!("`{open}` has no `{close}`"))?;
        let inside = &self.rest[2..end];
        let shown = format!("`{open}{inside}{close}`");
        if inside.starts_with('-') || inside.ends_with('-') {
            return Err(format!("{shown}: do not trim in shell text, it may join a line to a comment"));
        }
        if self.frames.iter().any(|frame| matches!(frame, Frame::Arithmetic(_))) {
            return Err(format!("{shown} stands inside $((...)); assign the value to a variable first"));
        }
        if self.frames.last() == Some(&Frame::Quotes) || (open != "{{" && !self.frames.is_empty()) {
            return Err(format!(
                "{shown} stands inside quotes; values quote themselves, so write it without quotes around it"
            ));
        }
        let many = open != "{{" || inside.contains("words");
        if "\\$".contains(self.before) || (many && "(<".contains(self.before)) {
            return Err(format!("{shown} must not stand directly behind `{}`", self.before));
        }
        if open != "{#" {
            check_expression(inside, open == "{%").map_err(|message| format!("{shown}: {message}"))?;
        }
        self.rest = &self.rest[end + 2..];
        self.after_tag = true;
        // What stands before the next text is a value, or it is not known; `#` is refused there, and a word goes on.
        if open == "{{" {
            self.before = '\'';
        }
        Ok(())
    }

    /// A backslash and what it quotes.
    fn escaped(&mut self) -> Result<(), String> {
        let behind = &self.rest[1..];
        if is_tera(behind) {
            return Err("a value must not stand directly behind `\\`".to_owned());
        }
        match behind.chars().next() {
            // The shell takes both away before it looks for words.
            Some('\n') => {
                self.rest = &behind[1..];
                Ok(())
            }
            Some(next) => {
                self.skip(1 + next.len_utf8())?;
                self.before = 'x';
                Ok(())
            }
            None => self.step('\\'),
        }
    }

    /// Goes to `end`, where nothing of Tera may stand on the way.
    fn until(&mut self, end: char, from: usize, place: &str) -> Result<(), String> {
        let inside = &self.rest[from..];
        let length = inside.find(end).unwrap_or(inside.len());
        if let Some(at) = (0..length).find(|at| inside.is_char_boundary(*at) && is_tera(&inside[*at..])) {
            self.skip(from + at)?;
            return Err(format!(
                "a value or tag stands inside {place}; write it outside, values quote themselves"
            ));
        }
        self.skip(from + length + from)
    }

    fn open(&mut self, frame: Frame, length: usize) -> Result<(), String> {
        self.frames.push(frame);
        self.skip(length)
    }

    fn step(&mut self, next: char) -> Result<(), String> {
        self.skip(next.len_utf8())
    }

    fn skip(&mut self, length: usize) -> Result<(), String> {
        let (read, rest) = self.rest.split_at_checked(length).ok_or("a quote is not closed")?;
        self.before = read.chars().next_back().unwrap_or(self.before);
        self.rest = rest;
        self.after_tag = false;
        Ok(())
    }

    fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        &self.rest[..end]
    }
}

fn is_tera(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|open| text.starts_with(open))
}

/// What an expression may not say.
fn check_expression(inside: &str, tag: bool) -> Result<(), String> {
    let mut words = inside.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    if let Some(word) = words.clone().find(|word| FILTERS.contains(word)) {
        return Err(format!("`{word}` would put a value into the shell unquoted"));
    }
    if tag {
        let name = words.next().unwrap_or_default();
        if !TAGS.contains(&name) {
            return Err(format!("`{name}` has no place in a shell template; there are {}", TAGS.join(", ")));
        }
        if name == "set" && !inside.contains('=') {
            return Err("give `set` its value with `=`".to_owned());
        }
        if words.any(|word| word == "words") {
            return Err("`words` belongs into `{{ }}`, where the words are used".to_owned());
        }
    } else if words.any(|word| word == "words") && !inside.trim_end().ends_with("words") {
        return Err("`words` must be the last filter".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
