//! A file that is memory and has no name: there as long as somebody has it open.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

/// Empty at first. Processes of this user open it by [`path`](Self::path).
#[derive(Debug)]
pub struct MemoryFile(OwnedFd);

impl MemoryFile {
    /// A new one; `label` is what lists of a process's maps call it.
    ///
    /// # Errors
    /// If the system has none to give.
    pub fn create(label: &str) -> io::Result<Self> {
        Ok(Self(memfd_create(label, MemfdFlags::CLOEXEC)?))
    }

    /// Where other processes find it while this one has it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}
