//! Disks of a fake machine.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::lock;
use crate::host::DiskFile;

/// A disk of a [`super::FakeHost`]: like a device, it cannot grow.
#[derive(Debug)]
pub(super) struct FakeDisk {
    pub(super) bytes: Arc<Mutex<Vec<u8>>>,
    pub(super) position: u64,
}

impl FakeDisk {
    fn with<T>(&mut self, act: impl FnOnce(&mut io::Cursor<&mut [u8]>) -> io::Result<T>) -> io::Result<T> {
        let mut bytes = lock(&self.bytes);
        let mut cursor = io::Cursor::new(bytes.as_mut_slice());
        cursor.set_position(self.position);
        let result = act(&mut cursor);
        self.position = cursor.position();
        result
    }
}

impl io::Read for FakeDisk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|cursor| cursor.read(buffer))
    }
}

impl io::Write for FakeDisk {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.with(|cursor| cursor.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for FakeDisk {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.with(|cursor| cursor.seek(position))
    }
}

impl DiskFile for FakeDisk {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
