//! What scripts do on fake machines: they say in their text how many lines they print, how fast, and how they end.

use std::{path::Path, sync::Arc, time::Duration};

use agent::{
    host::{
        Host as _,
        fake::{Answer, FakeHost, Program},
    },
    upgrade::{Phase, State},
};
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

/// A new agent of such a version does not prove itself.
pub const BROKEN: &str = "broken";
const UPGRADE: &str = "/var/lib/lotse-agent/upgrade/state.json";

/// The supervisor of an agent's upgrade, which is over at once.
fn supervise(host: &FakeHost) -> Answer {
    let Ok(mut state) = serde_json::from_str::<State>(&host.text(UPGRADE)) else { return Answer::default() };
    if state.to.contains(BROKEN) {
        state.phase = Phase::Reverted;
        state.reason = format!("the new agent ({}) did not take up its work", state.to);
    } else {
        state.phase = Phase::Done;
    }
    let written = serde_json::to_vec(&state).map(|text| host.write(Path::new(UPGRADE), &text, 0o600));
    if matches!(written, Ok(Ok(()))) {
        Answer::default()
    } else {
        Answer::fails(1, "the state cannot be written")
    }
}

/// Scripts do what they say, supervisors what the version says; all other programs succeed and say nothing.
pub fn program() -> Program {
    Arc::new(|host: &FakeHost, command| {
        if command.argv.last().is_some_and(|word| word == "supervise") {
            return supervise(host);
        }
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
