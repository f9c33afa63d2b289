//! Bags: recorded MCAP files, taken through the same mapping and recorder as a live graph. The receive
//! time of their messages is the log time. Knows nothing of ROS and of how rows are stored.

mod error;
mod file;
mod merge;
mod topics;

use std::ops::ControlFlow;
use std::path::Path;

pub use error::{BagError, ImportError};

use crate::mapping::Mapping;
use crate::record::{Recorder, WhenBehind};
use crate::track::one_line;
use file::BagFile;
use merge::Merge;
use topics::BagTopics;

/// Bags that are read side by side, in the order of their messages' log times.
///
/// A bag is read from its start to its end, so that indexes are not needed, and in a bounded part
/// of memory. Within a bag messages come in the order of their log times as far as 32 MiB of
/// messages reach; a message that was written later than that comes when it is read.
pub struct Bags {
    files: Vec<BagFile>,
}

impl Bags {
    /// Opens them all; nothing is read but what tells MCAP from other files.
    ///
    /// # Errors
    /// The first file that can't be read or is not MCAP.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, BagError> {
        let files = paths.into_iter().map(|path| BagFile::open(path.as_ref()));
        Ok(Self { files: files.collect::<Result<_, _>>()? })
    }

    /// Bytes of all of them on disk.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(BagFile::size_bytes).sum()
    }

    /// Records every message that `mapping` asks for, and notes in `recorder` what can't be
    /// recorded and what was not there. `on_progress` is told the bytes that are dealt with and
    /// may end the import; it is called for every message.
    ///
    /// # Errors
    /// Bags that are cut off or damaged: the whole chunks before that place are recorded, and so are
    /// the other bags. An import that was ended.
    pub fn import(
        self,
        mapping: &Mapping,
        recorder: &mut Recorder,
        mut on_progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), ImportError> {
        recorder.set_when_behind(WhenBehind::Wait);
        let mut topics = BagTopics::new(mapping, recorder);
        let mut messages = Merge::new(self.files);
        let mut stopped = false;
        while let Some(message) = messages.next(&mut topics) {
            topics.recorder().record(message.topic, message.cdr, receive_nanos(message.log_time));
            if on_progress(messages.read_bytes()).is_break() {
                stopped = true;
                break;
            }
        }
        topics.finish();
        let broken = messages.into_errors();
        match (stopped, broken.is_empty()) {
            (true, _) => Err(ImportError::Stopped),
            (false, false) => Err(ImportError::Incomplete(broken)),
            (false, true) => Ok(()),
        }
    }
}

fn receive_nanos(log_time_nanos: u64) -> i64 {
    i64::try_from(log_time_nanos).unwrap_or(i64::MAX)
}

/// What is known of a bag that ended too early, told when it is met.
fn warn(error: &BagError) {
    tracing::warn!("{}", one_line(error));
}
