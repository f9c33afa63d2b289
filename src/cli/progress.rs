//! Progress bars and status lines on stderr, if it is a terminal. Logs are written above them.

use std::io::{self, Write, stderr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mldash_bridge::export::Progress;
use mldash_bridge::ros::StopFlag;
use mldash_bridge::track::Repeating;
use parking_lot::Mutex;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How often the bar of an export moves.
const EXPORT_EVERY: Duration = Duration::from_millis(100);

/// Whether this program turned off the echo of Ctrl-C.
static IS_ECHO_OFF: Mutex<bool> = Mutex::new(false);

/// A bar over this many bytes. Nothing is drawn if stderr is not a terminal.
pub(super) fn bytes(total_bytes: u64) -> ProgressBar {
    bar(total_bytes, "")
}

/// A bar over an unknown number of bytes, with a message after it.
pub(super) fn upload() -> ProgressBar {
    bar(0, "  {msg}")
}

/// Shows how far an export is, until it is dropped.
pub(super) struct WatchedExport {
    watching: Option<Repeating>,
    bar: ProgressBar,
}

impl Drop for WatchedExport {
    fn drop(&mut self) {
        drop(self.watching.take());
        remove(&self.bar);
    }
}

/// Shows how many `things` an export has done, and stops it once `stop` is set.
pub(super) fn watch_export(
    things: &str,
    export: &Arc<Progress>,
    stop: &StopFlag,
) -> io::Result<WatchedExport> {
    let bar = count(things);
    let (shown, export, stop) = (bar.clone(), export.clone(), stop.clone());
    let watching = Repeating::start("progress", EXPORT_EVERY, move || {
        let (done, total) = export.done();
        shown.set_length(total);
        shown.set_position(done);
        if stop.is_set() {
            export.stop();
        }
    })?;
    Ok(WatchedExport { watching: Some(watching), bar })
}

/// A bar over a number of things, which is not known yet.
fn count(things: &str) -> ProgressBar {
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
    restore_echo();
    BARS.clear()
}

/// Turns the echo of `^C` on again if this program turned it off.
pub(super) fn restore_echo() {
    if std::mem::take(&mut *IS_ECHO_OFF.lock())
        && is_in_foreground()
        && let Ok(mut settings) = tcgetattr(stderr())
    {
        settings.local_modes.insert(LocalModes::ECHOCTL);
        // Without the echo, a terminal shows no `^C`; that is all.
        let _ = tcsetattr(stderr(), OptionalActions::Now, &settings);
    }
}

/// Turns off the echo of `^C`. It would move the cursor to the line below the bars, and the first
/// of them would stay on the screen for good.
fn hide_control_keys() {
    let mut is_off = IS_ECHO_OFF.lock();
    if *is_off || !is_shown() || !is_in_foreground() {
        return;
    }
    // If somebody else turned it off, it is theirs to turn on.
    if let Ok(mut settings) = tcgetattr(stderr())
        && settings.local_modes.contains(LocalModes::ECHOCTL)
    {
        settings.local_modes.remove(LocalModes::ECHOCTL);
        // With the echo, a line stays on the screen; that is all.
        *is_off = tcsetattr(stderr(), OptionalActions::Now, &settings).is_ok();
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
