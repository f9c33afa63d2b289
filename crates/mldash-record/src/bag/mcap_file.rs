//! Reads one MCAP file from its start to its end: with and without chunks, with any compression,
//! with and without an index, complete, cut off or damaged, and several files joined into one.

mod chunk;
mod contents;
mod damage;
mod input;
mod records;
mod summary;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use mcap::MAGIC;
use mcap::records::op;

pub use damage::McapDamage;
pub(super) use summary::start;

use super::error::BagError;
use super::file::BagMessage;
use super::topics::BagTopics;
use chunk::{Chunk, ChunkUnpacker, Opened};
use contents::{Contents, Step};
use input::{Input, InputFile};
use mldash_track::Timestamp;
use records::{Head, Next, Records};

/// A bag while it is read.
pub(super) struct McapFile {
    path: PathBuf,
    file: InputFile,
    records: Records<Input>,
    /// The chunk that messages are read from.
    chunk: Option<Chunk>,
    unpacker: ChunkUnpacker,
    contents: Contents,
    /// Errors to report.
    pending: VecDeque<BagError>,
    ended: bool,
    last_message_at: Option<Timestamp>,
}

impl McapFile {
    pub(super) fn open(path: &Path, is_packed: bool) -> Result<Self, BagError> {
        let (file, records) = InputFile::open(path, is_packed)
            .map_err(|source| BagError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            records,
            chunk: None,
            unpacker: ChunkUnpacker::default(),
            contents: Contents::new(path),
            pending: VecDeque::new(),
            ended: false,
            last_message_at: None,
        })
    }

    /// Bytes on disk that were read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.file.read_bytes()
    }

    /// The next message that `topics` records; `None` at the end. After an error it may continue. A
    /// chunk is held in memory if it takes at most `memory_bytes`.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
        memory_bytes: usize,
    ) -> Result<Option<BagMessage>, BagError> {
        loop {
            if let Some(error) = self.pending.pop_front() {
                return Err(error);
            }
            let message = match &mut self.chunk {
                Some(_) => self.step_in_chunk(topics)?,
                None if self.ended => return Ok(None),
                None => self.step(topics, memory_bytes as u64)?,
            };
            if let Some(message) = message {
                let log_time = message.log_time.map(Timestamp::from_nanos);
                self.last_message_at = self.last_message_at.max(log_time);
                return Ok(Some(message));
            }
        }
    }

    /// Takes the next record of the chunk.
    fn step_in_chunk(
        &mut self,
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, BagError> {
        let Some(chunk) = &mut self.chunk else { return Ok(None) };
        let from_bytes = chunk.from_bytes;
        match self.contents.step(&mut chunk.records, from_bytes, topics) {
            Ok(Step::Message(message)) => return Ok(Some(message)),
            Ok(Step::Other) => return Ok(None),
            // A record that does not belong in a chunk.
            Ok(Step::Own(head)) => match chunk.records.skip(head.len) {
                Ok(true) => return Ok(None),
                Ok(false) if chunk.is_cut => {}
                Ok(false) => self.contents.note_broken(from_bytes, McapDamage::Cut),
                Err(source) => self.contents.note_broken(from_bytes, McapDamage::Unpack(source)),
            },
            Ok(Step::End) => {}
            // The cut is reported already. Everything that could be unpacked is used.
            _ if chunk.is_cut => {}
            Ok(Step::Cut(_)) => self.contents.note_broken(from_bytes, McapDamage::Cut),
            Ok(Step::Damage(damage)) => self.contents.note_broken(from_bytes, damage),
            Err(source) => self.contents.note_broken(from_bytes, McapDamage::Unpack(source)),
        }
        if chunk.is_cut {
            self.cut(None, topics);
        }
        self.chunk = None;
        Ok(None)
    }

    /// Takes the next record of the file.
    fn step(
        &mut self,
        topics: &mut BagTopics<'_>,
        memory_bytes: u64,
    ) -> Result<Option<BagMessage>, BagError> {
        let at_bytes = self.records.at_bytes();
        let step = match self.contents.step(&mut self.records, at_bytes, topics) {
            Ok(step) => step,
            Err(source) => return Err(self.unreadable(source, topics)),
        };
        match step {
            Step::Message(message) => return Ok(Some(message)),
            Step::Other => {}
            Step::Own(head @ Head { op: op::CHUNK, .. }) => {
                let (file, unpacker) = (&self.file, &mut self.unpacker);
                match chunk::open(file, &mut self.records, head, memory_bytes, unpacker) {
                    Ok(Opened::Chunk(chunk)) => self.chunk = Some(chunk),
                    Ok(Opened::Cut) => self.cut(Some(head), topics),
                    Ok(Opened::Damaged(source)) => {
                        let (path, to_bytes) = (self.path.clone(), self.records.at_bytes());
                        let from_bytes = at_bytes;
                        return Err(BagError::ChunkDamaged { path, from_bytes, to_bytes, source });
                    }
                    Err(source) => return Err(self.unreadable(source, topics)),
                }
            }
            Step::Own(head) => match self.ends(head) {
                Ok(End::Another) => self.contents.restart(topics),
                Ok(End::File) => self.end(None, topics),
                Ok(End::Trailing { at_bytes }) => {
                    let path = self.path.clone();
                    self.end(Some(BagError::Trailing { path, at_bytes }), topics);
                }
                // What follows only repeats and indexes the data.
                Err(error) => {
                    tracing::debug!("the end of {} can't be read: {error}", self.path.display());
                    self.end(None, topics);
                }
            },
            Step::End => self.cut(None, topics),
            Step::Cut(head) => self.cut(head, topics),
            Step::Damage(source) => {
                let error = self.damaged(source);
                self.end(Some(error), topics);
            }
        }
        Ok(None)
    }

    /// Continues after the data of a file, at the record with this head. What follows only repeats
    /// and indexes the data, but another file may come after it (`cat a.mcap b.mcap`).
    fn ends(&mut self, head: Head) -> io::Result<End> {
        let records = &mut self.records;
        let mut next = Next::Record(head);
        let is_ended_well = loop {
            match next {
                Next::Record(Head { op, len }) if records.skip(len)? => {
                    if op == op::FOOTER {
                        break records.content(MAGIC.len() as u64)?.is_none_or(|end| end == MAGIC);
                    }
                }
                Next::Record(_) | Next::End | Next::Cut => return Ok(End::File),
                Next::Damage(_) => break false,
            }
            next = records.next()?;
        };
        if !is_ended_well && !records.seek_behind(MAGIC)? {
            return Ok(End::File);
        }
        let at_bytes = records.at_bytes();
        let mut start = Vec::new();
        records.read(MAGIC.len() as u64, &mut start)?;
        Ok(if start == MAGIC {
            End::Another
        } else if start.iter().all(|byte| *byte == 0) && records.rest_is_zero()? {
            End::File
        } else {
            End::Trailing { at_bytes }
        })
    }

    /// The file ends too early, within the record with this head if there is one.
    fn cut(&mut self, head: Option<Head>, topics: &mut BagTopics<'_>) {
        let error = if self.file.is_finished {
            let Head { op, len } = head.unwrap_or(Head { op: 0, len: 0 });
            self.damaged(McapDamage::Length { op, len })
        } else {
            BagError::Truncated {
                path: self.path.clone(),
                size_bytes: self.records.at_bytes(),
                last_message_at: self.last_message_at,
            }
        };
        self.end(Some(error), topics);
    }

    fn end(&mut self, why: Option<BagError>, topics: &mut BagTopics<'_>) {
        self.ended = true;
        self.pending.extend(why);
        self.pending.extend(self.contents.end(topics));
    }

    fn damaged(&self, source: McapDamage) -> BagError {
        BagError::Damaged {
            path: self.path.clone(),
            at_bytes: self.records.at_bytes(),
            last_message_at: self.last_message_at,
            source,
        }
    }

    fn unreadable(&mut self, source: io::Error, topics: &mut BagTopics<'_>) -> BagError {
        self.end(None, topics);
        BagError::Read { path: self.path.clone(), at_bytes: self.records.at_bytes(), source }
    }
}

/// What follows the data of a file.
enum End {
    File,
    /// Another MCAP file.
    Another,
    /// Bytes that are not MCAP.
    Trailing {
        at_bytes: u64,
    },
}
