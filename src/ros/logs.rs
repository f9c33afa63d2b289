//! Queues log records for `/rosout`: a tracing layer that keeps a bounded number of them until the
//! node's thread fetches them. Builds without ROS.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Maximum size of the queue. Records that don't fit are dropped and counted.
const MAX_BYTES: usize = 1 << 20;
/// Longer texts are truncated.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Time of logging.
    pub at: SystemTime,
    /// The severity.
    pub level: Level,
    /// The message with its fields.
    pub text: String,
    /// The module that logged it.
    pub module: String,
    /// The source file.
    pub file: String,
    /// The line in the source file.
    pub line: u32,
}

/// The queue of log records. As a layer, it takes every event that reaches it.
#[derive(Clone, Debug, Default)]
pub struct LogQueue(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    list: VecDeque<LogRecord>,
    bytes: usize,
    left_out: u64,
}

impl LogQueue {
    /// Returns the records since the last call, and the number of those that did not fit.
    pub fn fetch(&self) -> (Vec<LogRecord>, u64) {
        let mut records = self.0.lock();
        records.bytes = 0;
        (std::mem::take(&mut records.list).into(), std::mem::take(&mut records.left_out))
    }

    fn push(&self, record: LogRecord) {
        let bytes = size_of::<LogRecord>() + record.text.len();
        let mut records = self.0.lock();
        if records.bytes + bytes > MAX_BYTES {
            records.left_out += 1;
            return;
        }
        records.bytes += bytes;
        records.list.push_back(record);
    }
}

impl<S: Subscriber> Layer<S> for LogQueue {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        self.push(LogRecord {
            at: SystemTime::now(),
            level: *metadata.level(),
            text: text.finish(),
            module: metadata.module_path().unwrap_or_default().to_owned(),
            file: metadata.file().unwrap_or_default().to_owned(),
            line: metadata.line().unwrap_or_default(),
        });
    }
}

/// The message, then the other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(self) -> String {
        let mut text = self.message + &self.fields;
        if text.len() > MAX_TEXT_BYTES {
            let end = text.floor_char_boundary(MAX_TEXT_BYTES);
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let _ = write!(self.fields, " {}={value}", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    fn logged(log: impl FnOnce()) -> (Vec<LogRecord>, u64) {
        let queue = LogQueue::default();
        let subscriber = tracing_subscriber::registry().with(queue.clone());
        tracing::subscriber::with_default(subscriber, log);
        queue.fetch()
    }

    #[test]
    fn a_line_comes_with_its_level_place_and_fields() {
        let (records, left_out) = logged(|| tracing::warn!(topic = "/imu", "{} Hz", 20));
        assert_eq!((records.len(), left_out), (1, 0));
        assert_eq!(records[0].text, "20 Hz topic=\"/imu\"");
        assert_eq!(records[0].level, Level::WARN);
        assert!(records[0].file.ends_with("logs.rs") && records[0].line > 0);
    }

    #[test]
    fn what_waits_is_bounded_and_what_does_not_fit_is_counted() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let (records, left_out) = logged(|| {
            for _ in 0..100 {
                tracing::info!("{long}");
            }
        });
        assert!(records.len() < 100 && records.len() > 50, "{}", records.len());
        assert_eq!(records.len() as u64 + left_out, 100);
        assert!(records[0].text.len() <= MAX_TEXT_BYTES + '…'.len_utf8());
    }
}
