//! What scripts do on fake machines: they say in their text how many lines they print, how fast, and how they end.

use std::{sync::Arc, time::Duration};

use agent::host::fake::{Answer, FakeHost, Program};
use wire::event::Stream;

const MARK: &str = "lotse-fleet ";
/// `EX_TEMPFAIL`: try again later.
pub const BUSY: i32 = 75;

/// What a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name, which makes its text and its lines differ from all others.
    pub name: String,
    /// Lines that it prints.
    pub lines: u64,
    /// Pause after each line.
    pub pace_ms: u64,
    /// How it ends.
    pub status: i32,
    /// So many times it begins before that, it ends with status 75.
    pub busy: u64,
}

impl Script {
    /// The script's text.
    pub fn text(&self) -> String {
        let Self { name, lines, pace_ms, status, busy } = self;
        format!("{MARK}name={name} lines={lines} pace_ms={pace_ms} status={status} busy={busy}\n")
    }

    /// The script that such a text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix(MARK))?;
        let word = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            name: word("name")?.to_owned(),
            lines: word("lines")?.parse().ok()?,
            pace_ms: word("pace_ms")?.parse().ok()?,
            status: word("status")?.parse().ok()?,
            busy: word("busy")?.parse().ok()?,
        })
    }

    fn answer(&self, begun_before: u64) -> Answer {
        let status = if begun_before < self.busy { BUSY } else { self.status };
        let print = |answer: Answer, line| {
            answer.and(Stream::Stdout, &format!("{} line {line} of {}", self.name, self.lines))
        };
        let answer = (1..=self.lines).fold(Answer::default(), print);
        let answer = answer.at_pace(Duration::from_millis(self.pace_ms)).with_status(status);
        if status == 0 { answer } else { answer.and(Stream::Stderr, &format!("{} gives up", self.name)) }
    }
}

/// Scripts do what they say; all other programs succeed and say nothing.
pub fn program() -> Program {
    Arc::new(|host: &FakeHost, command| {
        let text = command.argv.last().map(|path| host.text(path)).unwrap_or_default();
        let Some(script) = Script::parse(&text) else { return Answer::default() };
        let before = host.processes().iter().filter(|process| process.script == text).count();
        script.answer(before as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_from_its_own_text() {
        let script = Script { name: "a-1".into(), lines: 3, pace_ms: 20, status: 4, busy: 2 };
        assert_eq!(Script::parse(&format!("set -eu\n{}", script.text())), Some(script));
        assert_eq!(Script::parse("echo hello"), None);
    }
}
