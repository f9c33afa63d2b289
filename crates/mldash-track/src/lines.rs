//! Appends JSON lines to a track: keeps the good ones and reports the bad ones by number.

use std::io::{self, BufRead, Read};

use super::buffer::Appended;
use super::error::TrackError;
use super::json::RowParser;
use super::row::TIMESTAMP_KEY;
use super::track::Track;

/// A longer line can't be a row. Limits the memory for one line.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The outcome of appending lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendedLines {
    /// Lines that were appended.
    pub appended: u64,
    /// Of these, lines that were merged into a row that waited to be flushed.
    pub merged: u64,
    /// Lines that are not rows.
    pub bad: u64,
}

/// A line that is not a row.
#[derive(Debug)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: TrackError,
}

pub(super) fn append(
    track: &Track,
    mut lines: impl BufRead,
    mut on_bad: impl FnMut(BadLine),
) -> Result<AppendedLines, TrackError> {
    let mut parser = RowParser::new(TIMESTAMP_KEY);
    let mut line = Vec::new();
    let mut done = AppendedLines::default();
    for number in 1.. {
        let appended = match next_line(&mut lines, &mut line).map_err(TrackError::Input)? {
            NextLine::End => break,
            NextLine::Whole if line.trim_ascii().is_empty() => continue,
            NextLine::Whole => track.append_parsed(&mut parser, &line),
            NextLine::TooLong => {
                let topic = track.topic();
                Err(TrackError::LineTooLong { topic, max_bytes: MAX_LINE_BYTES })
            }
        };
        match appended {
            Ok(appended) => {
                done.appended += 1;
                done.merged += u64::from(appended == Appended::Merged);
            }
            Err(reason) if is_of_the_line(&reason) => {
                done.bad += 1;
                on_bad(BadLine { number, reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Returns true if the error concerns only this line.
fn is_of_the_line(error: &TrackError) -> bool {
    matches!(
        error,
        TrackError::Json { .. }
            | TrackError::ReservedColumn { .. }
            | TrackError::TooDeep { .. }
            | TrackError::RepeatedNames { .. }
            | TrackError::TooManyColumns { .. }
            | TrackError::LineTooLong { .. }
    )
}

enum NextLine {
    Whole,
    /// The line is skipped.
    TooLong,
    End,
}

fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<NextLine> {
    line.clear();
    let read = lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)? as u64;
    if read == 0 {
        return Ok(NextLine::End);
    }
    if read == MAX_LINE_BYTES && !line.ends_with(b"\n") && lines.skip_until(b'\n')? > 0 {
        return Ok(NextLine::TooLong);
    }
    Ok(NextLine::Whole)
}
