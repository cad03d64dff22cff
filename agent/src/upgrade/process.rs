//! Processes by what the kernel says of them (proc(5)): a number alone may be somebody else's by now.

use std::path::{Path, PathBuf};

use crate::host::Host;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// When it began, in ticks since the boot.
    pub began: u64,
}

/// From the text of `/proc/ID/stat`; `None` for one that has ended and was not collected yet.
fn parse(stat: &str) -> Option<Process> {
    let id = stat.split_ascii_whitespace().next()?.parse().ok()?;
    // The name in brackets may hold anything; behind it come field 3 and those that follow.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let began = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process { id, began })
}

/// The process that a file names, by its own `stat` of an earlier time, when it is still there.
pub fn alive(host: &dyn Host, file: &Path) -> Option<Process> {
    let text = |path: &Path| host.read(path).ok().map(|text| String::from_utf8_lossy(&text).into_owned());
    let noted = parse(&text(file)?)?;
    let now = parse(&text(&PathBuf::from(format!("/proc/{}/stat", noted.id)))?)?;
    (noted == now).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const STAT: &str = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";

    #[test]
    fn a_process_is_the_same_only_when_it_began_at_the_same_time() {
        let other = STAT.replace("987654", "987655");
        let ended = STAT.replace(" S ", " Z ");
        for (now, is_alive) in [(STAT, true), (other.as_str(), false), (ended.as_str(), false)] {
            let host = FakeHost::new(0).with_file("/x.pid", STAT).with_file("/proc/42/stat", now);
            assert_eq!(alive(&host, Path::new("/x.pid")).is_some(), is_alive, "{now}");
        }
        assert_eq!(alive(&FakeHost::new(0).with_file("/x.pid", STAT), Path::new("/x.pid")), None);
        assert_eq!(alive(&FakeHost::new(0).with_file("/x.pid", ""), Path::new("/x.pid")), None);
    }
}
