//! Progress bars and status lines on stderr, if it is a terminal. Logs are written above them.

use std::io::{self, Write, stderr};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// The terminal's settings from before, while Ctrl-C is not echoed.
static SETTINGS: Mutex<Option<Termios>> = Mutex::new(None);

/// A bar over this many bytes. Nothing is drawn if stderr is not a terminal.
pub(super) fn bytes(total_bytes: u64) -> ProgressBar {
    bar(total_bytes, "")
}

/// A bar over an unknown number of bytes, with a message after it.
pub(super) fn upload() -> ProgressBar {
    bar(0, "  {msg}")
}

fn bar(total_bytes: u64, more: &str) -> ProgressBar {
    let template = "{bar:20} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}";
    add(ProgressBar::new(total_bytes), &format!("{template}{more}"))
}

/// Returns true if anything is drawn.
pub(super) fn is_shown() -> bool {
    !BARS.is_hidden()
}

/// A line of text below the others, cut to the terminal's width.
pub(super) fn line() -> ProgressBar {
    add(ProgressBar::new(0), "{wide_msg}")
}

fn add(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    hide_control_keys();
    BARS.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
}

/// Removes a bar or a line from the terminal.
pub(super) fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    BARS.remove(bar);
}

/// Removes everything from the terminal, whatever way the command ended.
fn clear() -> io::Result<()> {
    BARS.clear()?;
    if let Some(settings) = SETTINGS.lock().take()
        && is_in_foreground()
    {
        tcsetattr(stderr(), OptionalActions::Now, &settings)?;
    }
    Ok(())
}

/// Turns off the echo of `^C`. It would move the cursor to the line below the bars, and the first
/// of them would stay on the screen for good.
fn hide_control_keys() {
    let mut settings = SETTINGS.lock();
    if settings.is_some() || !is_shown() || !is_in_foreground() {
        return;
    }
    if let Ok(before) = tcgetattr(stderr()) {
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHOCTL);
        // With the echo, a line stays on the screen; that is all.
        *settings = tcsetattr(stderr(), OptionalActions::Now, &quiet).is_ok().then_some(before);
    }
}

/// A process in the background would be stopped if it changed the terminal's settings.
fn is_in_foreground() -> bool {
    tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
}

/// stderr for logs; bars are moved out of the way. A flush removes them.
pub(super) struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| stderr().write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        clear()?;
        stderr().flush()
    }
}
