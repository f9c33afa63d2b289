//! Keys on the terminal of a recording: space pauses and resumes, `s` splits, or saves a snapshot, `d` discards,
//! `q` stops. The recording does the same as for a call of the service, in order with the messages. A replay has
//! space and `q`.

use std::io::{self, IsTerminal, stdin};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mldash_bridge::ros::{Order, Orders, StopFlag};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::termios::{LocalModes, QueueSelector, tcflush};
use signal_hook::consts::{SIGQUIT, SIGTSTP, SIGTTIN};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::terminal::Stream;
use super::{progress, stop, terminal};

/// How often to look whether the recording is over, or this program has the terminal again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Takes keys until it is dropped; the terminal is then as it was.
pub(super) struct Keyboard(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On,
    /// This program is being stopped by Ctrl-Z, and the terminal belongs to the shell.
    Suspended,
    Ended,
}

/// What the keys do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// They end and begin parts.
    Parts,
    /// Messages are held until a save. There is no part to discard, which the log says if it is tried.
    Snapshot,
    /// There is nothing but messages that go out.
    Replay,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Order(Order),
    Stop,
}

impl Keys {
    /// What the status line says of them.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Parts => "space: pause, resume · s: split · d: discard · q: stop",
            Self::Snapshot => "space: pause, resume · s: save · q: stop",
            Self::Replay => "space: pause, resume · q: stop",
        }
    }

    /// What a pressed key asks for. Several bytes at once are a pasted text or a special key, such as an
    /// arrow.
    fn asked_by(self, typed: &[u8]) -> Option<Key> {
        let order = match (typed, self) {
            (b" ", _) => Order::PauseOrResume,
            (b"s" | b"S", Self::Parts) => Order::Split,
            (b"s" | b"S", Self::Snapshot) => Order::Save,
            (b"d" | b"D", Self::Parts | Self::Snapshot) => Order::Discard,
            (b"q" | b"Q", _) => return Some(Key::Stop),
            _ => return None,
        };
        Some(Key::Order(order))
    }

    /// Ends what they belong to.
    fn stop(self, stop: &StopFlag) {
        match self {
            Self::Parts | Self::Snapshot => stop::stop_recording(stop),
            Self::Replay => stop::stop_replay(stop),
        }
    }
}

impl Keyboard {
    /// Takes keys, if stdin is a terminal and the status line is shown. In the background it waits until
    /// the terminal is this program's.
    pub(super) fn start(keys: Keys, orders: &Orders, stop: &StopFlag) -> io::Result<Option<Self>> {
        if !stdin().is_terminal() || !progress::is_shown() {
            return Ok(None);
        }
        // A shell that takes the terminal away just before a read would stop this program by it.
        signal_hook::flag::register(SIGTTIN, Arc::default())?;
        let state = Arc::new(Mutex::new(State::On));
        restore_when_suspended(&state)?;
        let (seen, orders, stop) = (state.clone(), orders.clone(), stop.clone());
        let take = move || take_keys(&seen, keys, &orders, &stop);
        thread::Builder::new().name("keyboard".into()).spawn(take)?;
        Ok(Some(Self(state)))
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = State::Ended;
        Stream::Stdin.restore();
    }
}

/// Gives the terminal back to the shell before Ctrl-Z or Ctrl-\ act.
fn restore_when_suspended(state: &Arc<Mutex<State>>) -> io::Result<()> {
    let handled = [SIGTSTP, SIGQUIT].into_iter().filter(|signal| !stop::is_ignored_here(*signal));
    let mut signals = Signals::new(handled)?;
    let state = state.clone();
    let watch = move || {
        for signal in signals.forever() {
            let before = {
                let mut state = state.lock();
                terminal::restore();
                let suspended =
                    if *state == State::Ended { State::Ended } else { State::Suspended };
                std::mem::replace(&mut *state, suspended)
            };
            // Returns once the program is continued.
            if let Err(error) = emulate_default_handler(signal) {
                tracing::warn!("this program could not be suspended: {error}");
            }
            let mut state = state.lock();
            if *state == State::Suspended {
                *state = before;
            }
        }
    };
    thread::Builder::new().name("suspension".into()).spawn(watch).map(drop)
}

fn take_keys(state: &Mutex<State>, keys: Keys, orders: &Orders, stop: &StopFlag) {
    while let Some(is_ready) = make_ready(state) {
        if !is_ready || !has_input() || !Stream::Stdin.is_in_foreground() {
            if !is_ready {
                thread::sleep(LOOK_EVERY);
            }
            continue;
        }
        let mut typed = [0; 64];
        match read(stdin(), &mut typed) {
            // The terminal is gone; a signal says so too.
            Ok(0) => return,
            Ok(count) => match keys.asked_by(&typed[..count]) {
                Some(Key::Order(order)) => {
                    orders.give(order);
                }
                Some(Key::Stop) => keys.stop(stop),
                None => {}
            },
            Err(Errno::INTR) => {}
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// Has the terminal hand over keys as they are pressed. Returns whether it does, and `None` once the
/// recording is over.
fn make_ready(state: &Mutex<State>) -> Option<bool> {
    let state = state.lock();
    match *state {
        State::Ended => None,
        State::Suspended => Some(false),
        State::On => {
            if Stream::Stdin.turn_off(LocalModes::ICANON | LocalModes::ECHO) {
                // What was typed before was typed for something else.
                let _ = tcflush(stdin(), QueueSelector::IFlush);
            }
            progress::hide_control_keys();
            Some(Stream::Stdin.is_in_foreground())
        }
    }
}

/// Waits a little for a key.
fn has_input() -> bool {
    let stdin = stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec::try_from(LOOK_EVERY).ok();
    poll(&mut polled, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_an_order_and_a_pasted_text_or_an_arrow_is_none() {
        let parts = |typed: &[u8]| Keys::Parts.asked_by(typed);
        assert_eq!(parts(b" "), Some(Key::Order(Order::PauseOrResume)));
        assert_eq!(parts(b"s"), Some(Key::Order(Order::Split)));
        assert_eq!(parts(b"d"), Some(Key::Order(Order::Discard)));
        assert_eq!(parts(b"q"), Some(Key::Stop));
        for nothing in [&b"x"[..], b"", b"\x1b", b"\x1b[D", b"squid", b"\n"] {
            assert_eq!(parts(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_snapshot_is_saved_by_the_key_that_splits_a_recording() {
        assert_eq!(Keys::Snapshot.asked_by(b"s"), Some(Key::Order(Order::Save)));
        assert_eq!(Keys::Snapshot.asked_by(b"d"), Some(Key::Order(Order::Discard)));
        assert!(Keys::Snapshot.help().contains("s: save"));
    }

    #[test]
    fn a_replay_can_be_paused_and_stopped_and_nothing_else() {
        assert_eq!(Keys::Replay.asked_by(b" "), Some(Key::Order(Order::PauseOrResume)));
        assert_eq!(Keys::Replay.asked_by(b"q"), Some(Key::Stop));
        assert!([b"s", b"d"].iter().all(|key| Keys::Replay.asked_by(*key).is_none()));
    }
}
