//! Writes the log to stderr on its own thread: a terminal that accepts no text (Ctrl-S, a stalled
//! ssh) must not hold up a recording. The queue is bounded; lines that do not fit are left out and
//! counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Maximum number of waiting lines.
const MAX_LINES: usize = 1_000;
/// Longer lines are cut.
const MAX_LINE_BYTES: usize = 16 << 10;
/// How long to wait for the last lines at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The writing end. It never waits.
#[derive(Clone, Debug)]
pub(super) struct LogThread {
    lines: SyncSender<Said>,
    left_out: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    /// Answered once everything before it is written and flushed.
    Flush(SyncSender<()>),
}

impl LogThread {
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, said) = sync_channel(MAX_LINES);
        let left_out = Arc::new(AtomicU64::new(0));
        let run = {
            let left_out = left_out.clone();
            move || write(out, &said, &left_out)
        };
        thread::Builder::new().name("log".into()).spawn(run)?;
        Ok(Self { lines, left_out })
    }

    /// Waits until everything logged so far is written and flushed, but not for long.
    pub(super) fn finish(&self) {
        let (done, is_done) = sync_channel(1);
        if self.lines.try_send(Said::Flush(done)).is_ok() {
            // If it does not come in time, the terminal accepts no text.
            let _ = is_done.recv_timeout(PATIENCE);
        }
    }
}

/// tracing writes one line per call.
impl Write for LogThread {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let cut = &line[..line.len().min(MAX_LINE_BYTES)];
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Said::Line(cut.to_vec())) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(mut out: impl Write, said: &Receiver<Said>, left_out: &AtomicU64) {
    for said in said {
        // If stderr is gone, there is nobody to tell.
        let _ = match said {
            Said::Line(line) => out.write_all(&line),
            Said::Flush(done) => {
                let flushed = out.flush();
                // Nobody may be waiting for it any more.
                let _ = done.send(());
                flushed
            }
        };
        let lines = left_out.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let _ = writeln!(out, "WARN {lines} lines of the log were left out here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// Accepts nothing until it is allowed to.
    #[derive(Clone, Default)]
    struct Terminal {
        held: Arc<Mutex<()>>,
        text: Arc<Mutex<String>>,
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _let_go = self.held.lock();
            self.text.lock().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_takes_nothing_holds_nobody_up_and_what_is_left_out_is_said() {
        let terminal = Terminal::default();
        let mut log = LogThread::start(terminal.clone()).unwrap();
        let held = terminal.held.lock();
        let lines = MAX_LINES + 500;
        for i in 0..lines {
            log.write_all(format!("line {i}\n").as_bytes()).unwrap();
        }
        drop(held);
        // Retry while the log is still too full to report the lines left out.
        while !terminal.text.lock().contains("left out here") {
            log.finish();
        }
        log.finish();
        let text = terminal.text.lock();
        let left_out: usize =
            text.split("WARN ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert_eq!(text.matches("line ").count() + left_out, lines);
    }
}
