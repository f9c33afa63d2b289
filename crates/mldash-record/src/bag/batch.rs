//! Messages on their way from bags to the recorder: read in batches, decoded on the calling thread
//! or on others, and passed on in the order of the bags either way.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::error::BagError;
use super::file::BagMessage;
use super::merge::Merge;
use super::topics::{BagTopics, News};
use crate::{Decoded, Payload};
use mldash_track::ByteBound;

/// The size of a batch.
const BATCH_BYTES: usize = 256 << 10;
/// The limit on what lies between reading and recording.
const IN_FLIGHT_BYTES: usize = 32 << 20;
const IN_FLIGHT_BATCHES: usize = 64;

/// Messages in the order of the bags, and what the recorder must know before them.
pub(super) struct MessageBatch<M> {
    pub(super) news: Vec<News>,
    pub(super) messages: Vec<M>,
    /// Bytes on disk that were read of all bags by then.
    pub(super) read_bytes: u64,
    held_bytes: usize,
}

/// A message ready to be recorded, or to change parts.
pub(super) struct DecodedMessage {
    pub(super) topic: usize,
    /// Nanoseconds since the epoch; `None` if they don't fit in 64 bits.
    pub(super) log_time: Option<i64>,
    pub(super) send_time: Option<i64>,
    pub(super) payload: Payload,
}

/// Reads bags side by side.
pub(super) struct BatchReader<'a> {
    messages: Merge,
    topics: BagTopics<'a>,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(messages: Merge, topics: BagTopics<'a>) -> Self {
        Self { messages, topics }
    }

    fn next(&mut self) -> Option<MessageBatch<BagMessage>> {
        let (mut messages, mut held_bytes) = (Vec::new(), 0);
        while held_bytes < BATCH_BYTES {
            let Some(message) = self.messages.next(&mut self.topics) else { break };
            held_bytes += message.held_bytes();
            messages.push(message);
        }
        let news = self.topics.take_news();
        let read_bytes = self.messages.read_bytes();
        let is_end = messages.is_empty() && news.is_empty();
        (!is_end).then_some(MessageBatch { news, messages, read_bytes, held_bytes })
    }

    /// The bags' topics, and what could not be read.
    pub(super) fn finish(self) -> (BagTopics<'a>, Vec<BagError>) {
        (self.topics, self.messages.into_errors())
    }
}

impl MessageBatch<BagMessage> {
    fn decode(self) -> MessageBatch<DecodedMessage> {
        let decode = |message: BagMessage| {
            let BagMessage { topic, plan, log_time, send_time, cdr } = message;
            let payload = match plan {
                Some(plan) => Decoded::new(&plan, cdr).into(),
                None => cdr.into(),
            };
            DecodedMessage { topic, log_time, send_time, payload }
        };
        let Self { news, messages, read_bytes, held_bytes } = self;
        let messages = messages.into_iter().map(decode).collect();
        MessageBatch { news, messages, read_bytes, held_bytes }
    }
}

/// Records everything on the calling thread, until `record` breaks off.
pub(super) fn one_after_another(
    reader: &mut BatchReader<'_>,
    mut record: impl FnMut(MessageBatch<DecodedMessage>) -> ControlFlow<()>,
) {
    while let Some(batch) = reader.next() {
        if record(batch.decode()).is_break() {
            return;
        }
    }
}

/// Like [`one_after_another`], with a thread that reads and this many that decode. Calls `record`
/// on the calling thread with the same batches in the same order.
///
/// # Errors
///
/// Fails if the threads can't be started.
pub(super) fn on_threads(
    reader: &mut BatchReader<'_>,
    decoders: usize,
    mut record: impl FnMut(MessageBatch<DecodedMessage>) -> ControlFlow<()>,
) -> io::Result<()> {
    let gate = Gate::new();
    let (jobs, to_decode) = sync_channel(IN_FLIGHT_BATCHES);
    let (in_order, ordered) = sync_channel(IN_FLIGHT_BATCHES);
    let to_decode = Mutex::new(to_decode);
    // Each thread ends when the other side of a channel is gone, in whatever order that happens.
    thread::scope(|scope| {
        for _ in 0..decoders.max(1) {
            let decode = || decode_jobs(&to_decode);
            thread::Builder::new().name("bag-decode".into()).spawn_scoped(scope, decode)?;
        }
        let read = || read_jobs(reader, &gate, jobs, in_order);
        thread::Builder::new().name("bag-read".into()).spawn_scoped(scope, read)?;
        // Also where `record` panics: a reader that waits at the gate would hold the scope for ever.
        let _closing = Closing(&gate);
        for decoded in ordered {
            // A decoder that panicked sends nothing. The scope reports the panic.
            let Ok(batch) = Receiver::recv(&decoded) else { break };
            let held_bytes = batch.held_bytes;
            if record(batch).is_break() {
                break;
            }
            gate.leave(held_bytes);
        }
        Ok(())
    })
}

/// A batch, and where it goes once it is decoded.
type Job = (MessageBatch<BagMessage>, SyncSender<MessageBatch<DecodedMessage>>);

fn read_jobs(
    reader: &mut BatchReader<'_>,
    gate: &Gate,
    jobs: SyncSender<Job>,
    in_order: SyncSender<Receiver<MessageBatch<DecodedMessage>>>,
) {
    while let Some(batch) = reader.next() {
        let (done, decoded) = sync_channel(1);
        let goes_on = gate.enter(batch.held_bytes)
            && in_order.send(decoded).is_ok()
            && jobs.send((batch, done)).is_ok();
        if !goes_on {
            return;
        }
    }
}

fn decode_jobs(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().recv();
        let Ok((batch, done)) = job else { return };
        // Nobody waits for it if the import has ended.
        let _ = done.send(batch.decode());
    }
}

/// Limits what is in flight, in bytes.
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

struct GateState {
    in_flight: ByteBound,
    is_closed: bool,
}

/// Closes the gate when dropped.
struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Gate {
    fn new() -> Self {
        let in_flight = ByteBound::new(IN_FLIGHT_BYTES);
        Self {
            state: Mutex::new(GateState { in_flight, is_closed: false }),
            changed: Condvar::new(),
        }
    }

    /// Waits for room. Returns false if the gate is closed.
    fn enter(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        while !state.is_closed && !state.in_flight.try_add(bytes) {
            self.changed.wait(&mut state);
        }
        !state.is_closed
    }

    fn leave(&self, bytes: usize) {
        self.state.lock().in_flight.release(bytes);
        self.changed.notify_one();
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use mcap::records::MessageHeader;
    use mldash_message::Definitions;

    use super::super::file::BagFile;
    use super::*;
    use crate::mapping::Mapping;

    /// A bag with this many messages of so many bytes.
    fn write_bag(path: &Path, messages: u32, bytes: usize) {
        let mut bag = mcap::Writer::new(File::create(path).unwrap()).unwrap();
        let schema = bag.add_schema("std_msgs/msg/String", "ros2msg", b"string data\n").unwrap();
        let channel = bag.add_channel(schema, "/talk", "cdr", &BTreeMap::new()).unwrap();
        for sequence in 0..messages {
            let log_time = u64::from(sequence);
            let header =
                MessageHeader { channel_id: channel, sequence, log_time, publish_time: log_time };
            bag.write_to_known_channel(&header, &vec![0; bytes]).unwrap();
        }
        bag.finish().unwrap();
    }

    /// Hangs if the reader stays at the gate.
    #[test]
    fn a_recorder_that_panics_leaves_no_reader_at_the_gate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bag.mcap");
        // The second finds no room, since the first is never recorded.
        write_bag(&path, 2, IN_FLIGHT_BYTES / 4 * 3);
        let mapping = Mapping::parse("topics: [{topic: /talk}]", "m.yaml").unwrap();
        let definitions = Definitions::default();
        let topics = BagTopics::new(&mapping, &definitions);
        let merge = Merge::new(vec![vec![BagFile::find(&path).unwrap()]]);
        let mut reader = BatchReader::new(merge, topics);
        let mut recorded = 0;
        let recording = catch_unwind(AssertUnwindSafe(|| {
            on_threads(&mut reader, 1, |batch| {
                recorded += batch.messages.len();
                panic!("a fault of the recorder");
            })
        }));
        assert!(recording.is_err());
        assert_eq!(recorded, 1);
    }
}
