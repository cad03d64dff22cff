//! The serial line of a machine: a file that QEMU fills, read like a conversation.
//!
//! Each search goes on after the text that was found last, so that the same words can be waited for after every reboot.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;

/// A serial line.
#[derive(Debug)]
pub(super) struct Serial {
    path: PathBuf,
    read: AtomicUsize,
}

impl Serial {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: AtomicUsize::new(0) }
    }

    /// Whether the text came since the last hit; a hit moves on behind it.
    pub(super) fn find(&self, text: &str) -> Result<bool> {
        let content = self.content()?;
        let from = self.read.load(Ordering::Relaxed).min(content.len());
        let hit = content[from..].windows(text.len()).position(|window| window == text.as_bytes());
        if let Some(at) = hit {
            self.read.store(from + at + text.len(), Ordering::Relaxed);
        }
        Ok(hit.is_some())
    }

    /// Everything that was said, unprintable bytes removed.
    pub(super) fn text(&self) -> Result<String> {
        let content = self.content()?;
        Ok(String::from_utf8_lossy(&content).replace(|sign: char| sign.is_control() && sign != '\n', ""))
    }

    /// The last lines.
    pub(super) fn tail(&self, lines: usize) -> String {
        let text = self.text().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn content(&self) -> Result<Vec<u8>> {
        // QEMU makes the file a moment after its start.
        if self.path.exists() { Ok(fs_err::read(&self.path)?) } else { Ok(Vec::new()) }
    }
}
