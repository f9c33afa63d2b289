//! Shows the status of a running recording: lines below the log on a terminal, otherwise a summary
//! in the log. It has its own thread, so that a terminal that accepts no text holds up nothing.

use std::io::{self, stderr};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mldash_bridge::record::{Status, StatusBoard};

use super::status_text::View;
use super::{progress, status_text, terminal};

/// How often to log the status without a terminal.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// How long to wait for its end; a terminal that accepts no text can delay it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows a recording until it is over.
pub(super) struct StatusLine(Receiver<()>);

impl StatusLine {
    /// `keys`: what keys do, if there are any.
    pub(super) fn start(board: StatusBoard, keys: Option<&'static str>) -> io::Result<Self> {
        let (gone, is_gone) = sync_channel(1);
        let run = move || {
            if progress::is_shown() {
                draw(&board, keys)
            } else {
                log(&board)
            }
            // Nobody may be waiting for it any more.
            let _ = gone.send(());
        };
        thread::Builder::new().name("status-line".into()).spawn(run)?;
        Ok(Self(is_gone))
    }

    /// Waits for its end, once the recording is over.
    pub(super) fn finish(self) {
        let _ = self.0.recv_timeout(PATIENCE);
    }
}

fn draw(board: &StatusBoard, keys: Option<&'static str>) {
    let is_coloured = terminal::takes_colour(&stderr());
    let mut bars: Vec<ProgressBar> = Vec::new();
    let mut seen = 0;
    while let Some((number, status)) = board.wait_newer(seen) {
        seen = number;
        // Anew each time: the terminal may have another size now.
        let (columns, rows) = terminal::size();
        let lines = status_text::lines(&status, View { columns, rows, is_coloured, keys });
        while bars.len() < lines.len() {
            bars.push(progress::line());
        }
        bars.drain(lines.len()..).for_each(|bar| progress::remove(&bar));
        for (bar, line) in bars.iter().zip(lines) {
            bar.set_message(line);
        }
    }
    bars.iter().for_each(progress::remove);
}

fn log(board: &StatusBoard) {
    let mut seen = 0;
    let mut next = Instant::now() + LOG_EVERY;
    while let Some((number, status)) = board.wait_newer(seen) {
        seen = number;
        if Instant::now() >= next {
            next = Instant::now() + LOG_EVERY;
            log_one(&status);
        }
    }
}

fn log_one(status: &Status) {
    tracing::info!("{}", status_text::summary(status));
}
