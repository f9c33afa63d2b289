//! A terminal for programs under test.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A pseudo-terminal; what programs write to it is read from its other side.
pub struct Terminal {
    other_side: OwnedFd,
    name: CString,
}

/// Somebody in front of a terminal.
pub struct User(File);

impl User {
    pub fn type_in(&self, keys: &str) {
        (&self.0).write_all(keys.as_bytes()).unwrap();
        // A person is slower than a program that reads: keys that are meant one by one come one by one.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.0, size).unwrap();
    }

    /// Echo, line by line, and so on.
    pub fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.0).unwrap().local_modes
    }
}

impl Terminal {
    pub fn new() -> Self {
        let other_side = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&other_side).unwrap();
        pty::unlockpt(&other_side).unwrap();
        let name = pty::ptsname(&other_side, Vec::new()).unwrap();
        Self { other_side, name }
    }

    /// A terminal of this many columns.
    pub fn of_width(columns: u16) -> Self {
        let terminal = Self::new();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal.other_side, size).unwrap();
        terminal
    }

    /// The terminal, for a program's standard streams.
    pub fn open(&self) -> File {
        File::options().read(true).write(true).open(self.name.to_str().unwrap()).unwrap()
    }

    /// Fills it up: nobody reads it, and it takes nothing more.
    pub fn hold(&self) {
        let mut full = self.open();
        rustix::fs::fcntl_setfl(&full, OFlags::NONBLOCK).unwrap();
        while full.write(&[b'x'; 256]).is_ok() {}
    }

    /// Somebody in front of it.
    pub fn user(&self) -> User {
        User(File::from(self.other_side.try_clone().unwrap()))
    }

    /// Where what programs write comes out; ends with an error once the last of them is gone.
    pub fn into_other_side(self) -> File {
        self.other_side.into()
    }
}
