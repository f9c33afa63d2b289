//! A terminal for programs under test.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::pty::{self, OpenptFlags};

/// A pseudo-terminal; what programs write to it is read from its other side.
pub struct Terminal {
    other_side: OwnedFd,
    name: CString,
}

impl Terminal {
    pub fn new() -> Self {
        let other_side = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&other_side).unwrap();
        pty::unlockpt(&other_side).unwrap();
        let name = pty::ptsname(&other_side, Vec::new()).unwrap();
        Self { other_side, name }
    }

    /// The terminal, for a program's standard streams.
    pub fn open(&self) -> File {
        File::options().read(true).write(true).open(self.name.to_str().unwrap()).unwrap()
    }

    /// Where what programs write comes out; ends with an error once the last of them is gone.
    pub fn into_other_side(self) -> File {
        self.other_side.into()
    }
}
