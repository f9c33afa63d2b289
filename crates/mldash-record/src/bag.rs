//! Bags: recordings in MCAP and rosbag2's SQLite files, taken through the same mapping and recorder as
//! a live graph. The receive time of their messages is the log time. Knows nothing of ROS and of how
//! rows are stored.

mod batch;
mod error;
mod file;
mod folder;
mod mcap_file;
mod merge;
mod packed;
mod sqlite;
mod topics;

use std::ops::ControlFlow;
use std::path::Path;
use std::thread::available_parallelism;

pub use error::{BagError, ImportError};
pub use mcap_file::McapDamage;

use crate::mapping::Mapping;
use crate::{DiskLevel, DropReason, Receipt, Received, Recorder, WhenBehind};
use batch::{BatchReader, DecodedMessage, MessageBatch};
use file::BagFile;
use merge::Merge;
use mldash_message::Definitions;
use topics::{BagTopics, LeftOut, News};

/// More threads than this have nothing to do: reading and recording are one thread each.
const MAX_DECODERS: usize = 4;

/// Bags that are read side by side, in the order of their messages' log times.
///
/// A bag is a file or rosbag2's folder of several, which are read one after another. A file is read from
/// its start to its end, so that indexes are not needed, and in a bounded part of memory. Within a bag
/// messages come in the order of their log times as far as 32 MiB of messages reach; a message that was
/// written later than that comes when it is read.
pub struct Bags {
    bags: Vec<Vec<BagFile>>,
    decoders: usize,
}

impl Bags {
    /// Finds their files; nothing is read but what tells bags from other files.
    ///
    /// # Errors
    /// The first that can't be read or is not a bag.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, BagError> {
        let bags = paths.into_iter().map(|path| folder::files(path.as_ref()));
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            bags: bags.collect::<Result<_, _>>()?,
            // Recording and writing rows keep two busy.
            decoders: cores.saturating_sub(2).min(MAX_DECODERS),
        })
    }

    /// Decodes on so many threads beside the one that reads and the calling one, which records; with 0
    /// the calling one does it all. The rows are the same. As many as there are cores for, unless this
    /// is called.
    pub fn decoders(mut self, threads: usize) -> Self {
        self.decoders = threads;
        self
    }

    /// Bytes of all of them on disk.
    pub fn size_bytes(&self) -> u64 {
        self.bags.iter().flatten().map(BagFile::size_bytes).sum()
    }

    /// How many files they have.
    pub fn files(&self) -> usize {
        self.bags.iter().map(Vec::len).sum()
    }

    /// Records every message that `mapping` asks for, and notes in `recorder` what can't be
    /// recorded and what was not there. Types that a bag does not define are taken from `definitions`.
    /// `on_progress` is told the bytes that are read, every few hundred KiB, and may end the import.
    ///
    /// # Errors
    /// Bags that are cut off or damaged: what can be read of them is recorded, and so are the other
    /// bags. A disk that runs low, a store that takes no rows, an import that was ended.
    pub fn import(
        self,
        mapping: &Mapping,
        definitions: &Definitions,
        recorder: &mut Recorder,
        mut on_progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), ImportError> {
        recorder.set_when_behind(WhenBehind::Wait);
        let topics = BagTopics::new(mapping, definitions);
        let mut reader = BatchReader::new(Merge::new(self.bags), topics);
        let mut numbers = Vec::new();
        let mut ended = None;
        let record = |batch: MessageBatch<DecodedMessage>| {
            let read_bytes = batch.read_bytes;
            record_batch(batch, recorder, &mut numbers);
            ended = trouble(recorder);
            if ended.is_none() && on_progress(read_bytes).is_break() {
                ended = Some(ImportError::Stopped);
            }
            if ended.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.decoders {
            0 => batch::one_after_another(&mut reader, record),
            decoders => {
                batch::on_threads(&mut reader, decoders, record).map_err(ImportError::Thread)?;
            }
        }
        let (mut topics, errors) = reader.finish();
        record_news(topics.take_news(), recorder, &mut numbers);
        recorder.set_unmatched(topics.unmatched());
        account_for_left_out(&topics, recorder, &numbers);
        match ended {
            Some(error) => Err(error),
            None if errors.is_empty() => Ok(()),
            None => Err(ImportError::Incomplete(errors)),
        }
    }
}

/// `numbers` are the recorder's ones of the topics so far.
fn record_batch(
    batch: MessageBatch<DecodedMessage>,
    recorder: &mut Recorder,
    numbers: &mut Vec<usize>,
) {
    record_news(batch.news, recorder, numbers);
    for message in batch.messages {
        if let Some(topic) = numbers.get(message.topic) {
            let received = message.log_time.map_or(Received::Unknown, Received::At);
            let receipt = Receipt { received, sent_nanos: message.send_time };
            recorder.record(*topic, message.decoded, receipt);
        }
    }
}

fn record_news(news: Vec<News>, recorder: &mut Recorder, numbers: &mut Vec<usize>) {
    for news in news {
        match news {
            News::Topic(plan) => numbers.push(recorder.add_topic(plan)),
            News::Refused { topic, reason } => recorder.refuse(topic, reason),
        }
    }
}

/// Accounts for the messages that never came to the recorder.
fn account_for_left_out(topics: &BagTopics<'_>, recorder: &mut Recorder, numbers: &[usize]) {
    for left_out in topics.left_out() {
        let LeftOut { topic, type_name, messages, bytes, is_refused } = left_out;
        match is_refused {
            true => recorder.count_refused(topic, type_name, *messages, *bytes),
            false => recorder.pass_over(topic, *messages),
        }
    }
    for (topic, messages) in topics.too_large() {
        if let Some(number) = numbers.get(topic) {
            recorder.drop_messages(*number, DropReason::TooLarge, messages);
        }
    }
}

/// Why to go on would only drop messages, which a bag still has later.
fn trouble(recorder: &Recorder) -> Option<ImportError> {
    if let Some(disk) = recorder.disk().filter(|disk| disk.level != DiskLevel::Enough) {
        return Some(ImportError::DiskLow(disk.complaint(recorder.experiment().folder())));
    }
    recorder.has_dropped(DropReason::StoreFull).then_some(ImportError::StoreFails)
}
