//! Progress bars on stderr, if it is a terminal. Logs are written above them.

use std::io::{self, Write, stderr};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar over this many bytes. Nothing is drawn if stderr is not a terminal.
pub(super) fn bytes(total_bytes: u64) -> ProgressBar {
    bar(total_bytes, "")
}

/// A bar over an unknown number of bytes, with a message after it.
pub(super) fn upload() -> ProgressBar {
    bar(0, "  {msg}")
}

fn bar(total_bytes: u64, more: &str) -> ProgressBar {
    let template = "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}";
    let style = ProgressStyle::with_template(&format!("{template}{more}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    BARS.add(ProgressBar::new(total_bytes).with_style(style))
}

/// Returns true if anything is drawn.
pub(super) fn is_shown() -> bool {
    !BARS.is_hidden()
}

/// A line of text below the others, cut to the terminal's width.
pub(super) fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    BARS.add(ProgressBar::new(0).with_style(style))
}

/// Removes a bar or a line from the terminal.
pub(super) fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    BARS.remove(bar);
}

/// stderr for logs; bars are moved out of the way.
pub(super) struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        BARS.suspend(|| stderr().write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}
