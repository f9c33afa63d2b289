//! `foxglove.Log`.

use foxglove::messages::log::Level;
use foxglove::messages::{self};
use mldash_track::{Column, Fields, TrackError};

use super::declared::Declared;
use super::fields::{text, text_in, whole};
use super::{Canvas, Drawing, Drawn};

/// A log line a row.
pub(super) struct Log {
    name: Option<Column>,
    file: Option<Column>,
    line: Option<Column>,
    holds: Vec<Column>,
}

impl Log {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let needed = declared.columns(["level", "msg"])?;
        let [name, file, line] = ["name", "file", "line"].map(|column| declared.column(column));
        let holds = needed.iter().chain(&name).chain(&file).chain(&line).cloned().collect();
        Some(Self { name, file, line, holds })
    }
}

impl Drawing for Log {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let level = row.get("level").and_then(whole).and_then(level);
        let message = row.get("msg").and_then(text);
        let line = self.line.as_ref().and_then(|column| row.get(column));
        let line = line.map_or(Some(0), whole);
        let (Some(level), Some(message), Some(line)) = (level, message, line) else {
            return Ok(Drawn::No);
        };
        to.put(&messages::Log {
            timestamp: Some(to.stamp),
            level: level.into(),
            message: message.to_owned(),
            name: text_in(row, self.name.as_ref()),
            file: text_in(row, self.file.as_ref()),
            line,
        })
    }
}

/// By the constants of `rcl_interfaces/msg/Log`.
fn level(number: u32) -> Option<Level> {
    match number {
        10 => Some(Level::Debug),
        20 => Some(Level::Info),
        30 => Some(Level::Warning),
        40 => Some(Level::Error),
        50 => Some(Level::Fatal),
        _ => None,
    }
}
