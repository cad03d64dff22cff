//! What machines print on their serial line: libvirt writes it to a file for each, and the server gets it piece by piece.
//!
//! The server alone remembers how far it is; so nothing is lost or repeated when an agent or a server starts anew. libvirt's log daemon
//! gives a file that has become long another name (`.0`) and begins a new one: what is left in the old one goes first.

use std::path::{Path, PathBuf};

use wire::console::{SerialPiece, SerialPlace};

use super::DIRECTORY;
use crate::host::{self, Extent, Host};

/// What a file's name ends with.
const ENDING: &str = "-serial.log";
/// Most bytes of one piece.
const LARGEST: usize = 64 << 10;
/// What is further behind is left out: the server keeps no more.
const FURTHEST: u64 = 1 << 20;
/// Tells a file that has become shorter from what it was before.
const ANEW: u64 = 1 << 63;

/// Where libvirt writes what a machine prints.
pub(crate) fn log(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}{ENDING}"))
}

/// Removes what a machine has printed.
///
/// # Errors
/// The disk refuses.
pub(crate) fn forget(host: &dyn Host, name: &str) -> Result<(), host::Error> {
    let log = log(name);
    host.remove(&before(&log))?;
    host.remove(&log)
}

/// The machines that have printed something, by name.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn machines(host: &dyn Host) -> Result<Vec<String>, host::Error> {
    let names = host.list(Path::new(DIRECTORY))?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(ENDING)).map(str::to_owned).collect())
}

/// The question where the server is.
pub(crate) fn question(machine: &str) -> SerialPiece {
    SerialPiece {
        machine: machine.to_owned(),
        from: SerialPlace::default(),
        length_bytes: 0,
        text: String::new(),
    }
}

/// What comes next behind what the server has; none when that is all.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn next(
    host: &dyn Host,
    machine: &str,
    known: Option<SerialPlace>,
) -> Result<Option<SerialPiece>, host::Error> {
    let log = log(machine);
    let before = before(&log);
    let is = |extent: &Extent, known: &SerialPlace| extent.number & !ANEW == known.file & !ANEW;
    let rest = known.and_then(|known| {
        let old = host.extent(&before).filter(|old| is(old, &known))?;
        (old.length_bytes > known.offset_bytes).then_some((before, old, known))
    });
    let (path, extent, mut from) = if let Some(rest) = rest {
        rest
    } else {
        let Some(extent) = host.extent(&log) else { return Ok(None) };
        let from = match known.filter(|known| is(&extent, known)) {
            Some(known) if extent.length_bytes >= known.offset_bytes => known,
            Some(known) => SerialPlace { file: known.file ^ ANEW, offset_bytes: 0 },
            None => SerialPlace { file: extent.number & !ANEW, offset_bytes: 0 },
        };
        (log, extent, from)
    };
    from.offset_bytes = from.offset_bytes.max(extent.length_bytes.saturating_sub(FURTHEST));
    let mut bytes = host.read_at(&path, from.offset_bytes, LARGEST)?;
    bytes.truncate(whole(&bytes));
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(SerialPiece {
        machine: machine.to_owned(),
        from,
        length_bytes: bytes.len() as u64,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }))
}

fn before(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".0");
    name.into()
}

/// Bytes up to a letter whose end has not come yet.
fn whole(bytes: &[u8]) -> usize {
    // It is one of the last three bytes, if any.
    let tail = bytes.len().saturating_sub(3);
    let begun = (tail..bytes.len()).find(|at| {
        let needed = match bytes[*at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return false,
        };
        at + needed > bytes.len() && bytes[at + 1..].iter().all(|byte| (0x80..=0xbf).contains(byte))
    });
    begun.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const LOG: &str = "/var/lib/lotse-vms/desk-serial.log";

    fn end(piece: &SerialPiece) -> SerialPlace {
        SerialPlace { offset_bytes: piece.from.offset_bytes + piece.length_bytes, ..piece.from }
    }

    fn piece(host: &FakeHost, known: Option<SerialPlace>) -> SerialPiece {
        next(host, "desk", known).unwrap().unwrap()
    }

    #[test]
    fn it_goes_on_where_the_server_is() {
        let host = FakeHost::new(0).with_file(LOG, "one\ntwo\n");
        assert_eq!(machines(&host).unwrap(), ["desk"]);
        let first = piece(&host, None);
        assert_eq!((first.text.as_str(), first.length_bytes), ("one\ntwo\n", 8));
        assert_eq!(next(&host, "desk", Some(end(&first))).unwrap(), None);
        host.append(Path::new(LOG), b"three").unwrap();
        assert_eq!(piece(&host, Some(end(&first))).text, "three");
        let middle = SerialPlace { offset_bytes: 4, ..first.from };
        assert_eq!(piece(&host, Some(middle)).text, "two\nthree");
    }

    #[test]
    fn the_rest_of_a_file_that_was_put_aside_goes_before_the_new_one() {
        let host = FakeHost::new(0).with_file(LOG, "old 1\nold 2\n");
        let first = piece(&host, None);
        let middle = SerialPlace { offset_bytes: 6, ..first.from };
        host.rename(LOG, &format!("{LOG}.0"));
        assert_eq!(piece(&host, Some(middle)).text, "old 2\n");
        let host = host.with_file(LOG, "new\n");
        let rest = piece(&host, Some(middle));
        assert_eq!(rest.text, "old 2\n");
        let new = piece(&host, Some(end(&rest)));
        assert_eq!((new.text.as_str(), new.from.offset_bytes), ("new\n", 0));
        assert_ne!(new.from.file, first.from.file);
        assert_eq!(machines(&host).unwrap(), ["desk"]);
    }

    #[test]
    fn a_file_that_became_shorter_is_another_one() {
        let host = FakeHost::new(0).with_file(LOG, "short\n");
        let number = host.extent(Path::new(LOG)).unwrap().number;
        let known = SerialPlace { file: number, offset_bytes: 100 };
        let anew = piece(&host, Some(known));
        assert_eq!((anew.text.as_str(), anew.from.offset_bytes), ("short\n", 0));
        assert_ne!(anew.from.file, number);
        assert_eq!(next(&host, "desk", Some(end(&anew))).unwrap(), None);
    }

    #[test]
    fn what_is_too_much_comes_in_pieces_and_what_is_too_old_not_at_all() {
        let host = FakeHost::new(0).with_file(LOG, vec![b'x'; 3 << 20]);
        let first = piece(&host, None);
        assert_eq!((first.from.offset_bytes, first.length_bytes), (2 << 20, LARGEST as u64));
        assert_eq!(piece(&host, Some(end(&first))).from, end(&first));
    }

    #[test]
    fn letters_are_not_torn() {
        for (text, kept) in [("grün", 5), ("a€", 4), ("𝄞", 4), ("plain", 5)] {
            assert_eq!(whole(text.as_bytes()), kept, "{text}");
        }
        for (bytes, kept) in
            [(&b"gr\xc3"[..], 2), (b"a\xe2\x82", 1), (b"\xf0\x9d\x84", 0), (b"a\xff", 2), (b"\xe2a", 2)]
        {
            assert_eq!(whole(bytes), kept, "{bytes:?}");
        }
    }
}
