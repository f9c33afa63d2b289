//! One file of a bag, whatever its format: told by its first bytes, opened when its turn comes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::MAGIC;

use super::error::BagError;
use super::mcap_file::McapFile;
use super::packed;
use super::sqlite::SqliteFile;
use super::topics::BagTopics;
use crate::record::TopicPlan;

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
const ROS1_MAGIC: &[u8] = b"#ROSBAG V";

/// A file before, while and after it is read.
pub(super) struct BagFile {
    path: PathBuf,
    size_bytes: u64,
    state: State,
}

enum State {
    Unread {
        format: Format,
        is_packed: bool,
    },
    Mcap(Box<McapFile>),
    Sqlite(Box<SqliteFile>),
    /// It can't be opened, which is not told yet.
    Unreadable(BagError),
    Ended,
}

#[derive(Clone, Copy)]
enum Format {
    Mcap,
    Sqlite,
}

/// A message that is recorded.
pub(super) struct BagMessage {
    /// The number of its topic, in the order in which [`BagTopics`] met them.
    pub(super) topic: usize,
    pub(super) plan: Arc<TopicPlan>,
    /// Nanoseconds since the epoch; `None` beyond what they can count.
    pub(super) log_time: Option<i64>,
    pub(super) cdr: Vec<u8>,
}

impl BagFile {
    /// A file that is there and a bag's; it is not held open.
    pub(super) fn find(path: &Path) -> Result<Self, BagError> {
        let path = path.to_owned();
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), start(&file)?)));
        let (size_bytes, (start, is_packed)) = match opened {
            Ok(opened) => opened,
            Err(source) => return Err(BagError::Open { path, source }),
        };
        let format = if start.starts_with(MAGIC) {
            Format::Mcap
        } else if start == SQLITE_MAGIC {
            Format::Sqlite
        } else if start.starts_with(ROS1_MAGIC) {
            return Err(BagError::Ros1 { path });
        } else {
            return Err(BagError::NotABag { path });
        };
        Ok(Self { path, size_bytes, state: State::Unread { format, is_packed } })
    }

    /// As [`find`](Self::find) for a file that is one of several: what is wrong with it is told when its
    /// turn comes, as the others can be read.
    pub(super) fn find_or_tell(path: &Path) -> Self {
        Self::find(path).unwrap_or_else(|error| Self {
            path: path.to_owned(),
            size_bytes: 0,
            state: State::Unreadable(error),
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes on disk that are dealt with.
    pub(super) fn read_bytes(&self) -> u64 {
        match &self.state {
            State::Unread { .. } | State::Unreadable(_) => 0,
            State::Mcap(file) => file.read_bytes(),
            State::Sqlite(file) => (file.part_read() * self.size_bytes as f64) as u64,
            State::Ended => self.size_bytes,
        }
    }

    /// The next message in the order of the file that `topics` wants; `None` at its end. After an error
    /// it may go on.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
    ) -> Result<Option<BagMessage>, BagError> {
        let next = match &mut self.state {
            State::Mcap(file) => file.next(topics),
            State::Sqlite(file) => file.next(),
            State::Ended => return Ok(None),
            State::Unread { format, is_packed } => {
                let (format, is_packed) = (*format, *is_packed);
                // Where it can't be opened, that is its end.
                self.state = State::Ended;
                self.state = match format {
                    Format::Mcap => State::Mcap(McapFile::open(&self.path, is_packed)?.into()),
                    Format::Sqlite => {
                        State::Sqlite(SqliteFile::open(&self.path, is_packed, topics)?.into())
                    }
                };
                return self.next(topics);
            }
            State::Unreadable(_) => match std::mem::replace(&mut self.state, State::Ended) {
                State::Unreadable(error) => return Err(error),
                _ => return Ok(None),
            },
        };
        if let Ok(None) = next {
            // Handles and copies are given back: a bag may have thousands of files.
            self.state = State::Ended;
        }
        next
    }
}

/// The first bytes of a file's content, and whether it is compressed as a whole.
fn start(file: &File) -> io::Result<(Vec<u8>, bool)> {
    let first = |input: &mut dyn Read| {
        let mut bytes = Vec::new();
        match input.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(bytes),
        }
    };
    let mut input = BufReader::new(file);
    let bytes = first(&mut input)?;
    if !packed::is_packed(&bytes) {
        return Ok((bytes, false));
    }
    let again = io::Cursor::new(bytes).chain(input);
    // What can't be unpacked is no bag; why not matters little.
    Ok((first(&mut packed::reader(again)?).unwrap_or_default(), true))
}
