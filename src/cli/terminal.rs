//! The terminal that this program runs on: what it turns off there and on again, its size, and whether
//! it takes colour.

use std::io::{IsTerminal, stderr, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use parking_lot::Mutex;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

/// What this program turned off, by stream.
static OFF: Mutex<Off> =
    Mutex::new(Off { stdin: LocalModes::empty(), stderr: LocalModes::empty() });

struct Off {
    stdin: LocalModes,
    stderr: LocalModes,
}

/// A stream that can be a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdin,
    Stderr,
}

impl Off {
    fn of(&mut self, stream: Stream) -> &mut LocalModes {
        match stream {
            Stream::Stdin => &mut self.stdin,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Stream {
    fn with<T>(self, call: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match self {
            Self::Stdin => call(stdin().as_fd()),
            Self::Stderr => call(stderr().as_fd()),
        }
    }

    /// A process in the background would be stopped if it read from the terminal or changed its
    /// settings.
    pub(super) fn is_in_foreground(self) -> bool {
        self.with(|stream| tcgetpgrp(stream)).is_ok_and(|group| group == getpgrp())
    }

    /// Turns modes off until [`restore`](Self::restore). What somebody else turned off is theirs to turn
    /// on. Returns true if this call turned one off.
    pub(super) fn turn_off(self, modes: LocalModes) -> bool {
        let mut all = OFF.lock();
        let off = all.of(self);
        if off.intersects(modes) || !self.is_in_foreground() {
            return false;
        }
        self.with(|stream| {
            let Ok(mut settings) = tcgetattr(stream) else { return false };
            let changed = settings.local_modes & modes;
            settings.local_modes.remove(changed);
            let is_off =
                !changed.is_empty() && tcsetattr(stream, OptionalActions::Now, &settings).is_ok();
            if is_off {
                off.insert(changed);
            }
            is_off
        })
    }

    /// Turns on again what this program turned off.
    pub(super) fn restore(self) {
        let off = std::mem::replace(OFF.lock().of(self), LocalModes::empty());
        if off.is_empty() || !self.is_in_foreground() {
            return;
        }
        self.with(|stream| {
            if let Ok(mut settings) = tcgetattr(stream) {
                settings.local_modes.insert(off);
                // There is nobody to tell but the terminal itself.
                let _ = tcsetattr(stream, OptionalActions::Now, &settings);
            }
        });
    }
}

/// Turns on again what this program turned off, on all streams.
pub(super) fn restore() {
    Stream::Stdin.restore();
    Stream::Stderr.restore();
}

/// Columns and rows of the terminal at stderr, now; those of a usual one if it does not say.
pub(super) fn size() -> (usize, usize) {
    const USUAL: (usize, usize) = (80, 24);
    match tcgetwinsize(stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => USUAL,
    }
}

/// Whether what is written to `stream` may have colour (<https://no-color.org>).
pub(super) fn takes_colour(stream: &impl IsTerminal) -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !is_refused && !is_dumb
}
