//! Progress bars and status lines on stderr, if it is a terminal. Logs are written above them.

use std::io::{self, Write, stderr};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rustix::termios::LocalModes;

use super::terminal::Stream;

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar over this many bytes. Nothing is drawn if stderr is not a terminal.
pub(super) fn bytes(total_bytes: u64) -> ProgressBar {
    bar(total_bytes, "")
}

/// A bar over an unknown number of bytes, with a message after it.
pub(super) fn upload() -> ProgressBar {
    bar(0, "  {msg}")
}

/// A bar over a number of things, which is not known yet.
pub(super) fn count(things: &str) -> ProgressBar {
    let template =
        format!("{{bar:20}} {{human_pos}}/{{human_len}} {things} {{per_sec}} ETA {{eta}}");
    add(ProgressBar::new(0), &template)
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
    Stream::Stderr.restore();
    BARS.clear()
}

/// Turns off the echo of `^C`. It would move the cursor to the line below the bars, and the first
/// of them would stay on the screen for good.
pub(super) fn hide_control_keys() {
    // Asked before the lock is taken: while the terminal takes no text, a line of the log holds up whoever
    // asks, and the program's end waits for this lock.
    if is_shown() {
        // With the echo, a line stays on the screen; that is all.
        Stream::Stderr.turn_off(LocalModes::ECHOCTL);
    }
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
