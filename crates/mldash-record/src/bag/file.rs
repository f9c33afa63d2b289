//! One file of a bag, of any format: recognized by its first bytes, opened when its turn comes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcap::MAGIC;

use super::error::BagError;
use super::mcap_file::{self, McapFile};
use super::packed;
use super::sqlite::{self, SqliteFile};
use super::topics::BagTopics;
use crate::TopicPlan;

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
const ROS1_MAGIC: &[u8] = b"#ROSBAG V";

/// Larger messages are counted and left out, so that an import's memory is bounded.
pub(super) const MAX_MESSAGE_BYTES: u64 = 96 << 20;

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
    /// It can't be opened, which is not reported yet.
    Unreadable(BagError),
    Ended,
}

#[derive(Clone, Copy)]
enum Format {
    Mcap,
    Sqlite,
}

/// A message that is recorded, or changes parts.
pub(super) struct BagMessage {
    /// The number of its topic, in the order in which [`BagTopics`] found them.
    pub(super) topic: usize,
    /// `None` if it only changes parts.
    pub(super) plan: Option<Arc<TopicPlan>>,
    /// Nanoseconds since the epoch; `None` if they don't fit in 64 bits.
    pub(super) log_time: Option<i64>,
    /// The publish time, likewise; also `None` if the bag does not have it.
    pub(super) send_time: Option<i64>,
    pub(super) cdr: Vec<u8>,
}

impl BagFile {
    /// Recognizes a file of a bag. The file is not kept open.
    pub(super) fn find(path: &Path) -> Result<Self, BagError> {
        let open = || {
            let file = File::open(path)?;
            Ok((file.metadata()?.len(), Start::read(&file)?))
        };
        let (size_bytes, start) =
            open().map_err(|source| BagError::Open { path: path.to_owned(), source })?;
        let path = path.to_owned();
        let is_packed = !matches!(start, Start::Plain(_));
        let state = match start {
            Start::Plain(bytes) | Start::Packed(bytes) => {
                if bytes.starts_with(MAGIC) {
                    State::Unread { format: Format::Mcap, is_packed }
                } else if bytes == SQLITE_MAGIC {
                    State::Unread { format: Format::Sqlite, is_packed }
                } else if bytes.starts_with(ROS1_MAGIC) {
                    return Err(BagError::Ros1 { path });
                } else if is_named_as_bag(&path) && is_cut(&bytes) {
                    let size_bytes = bytes.len() as u64;
                    State::Unreadable(BagError::Truncated {
                        path: path.clone(),
                        size_bytes,
                        last_message_at: None,
                    })
                } else {
                    return Err(BagError::NotABag { path });
                }
            }
            Start::Damaged(source) if is_named_as_bag(&path) => {
                State::Unreadable(BagError::Read { path: path.clone(), at_bytes: 0, source })
            }
            Start::Damaged(_) => return Err(BagError::NotABag { path }),
        };
        Ok(Self { path, size_bytes, state })
    }

    /// Like [`find`](Self::find), for one of several files. An error is reported when the file's
    /// turn comes, since the others can be read.
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

    /// The log time of its first message in nanoseconds, if it is known without reading the file.
    pub(super) fn starts_at(&self) -> Option<i64> {
        match self.state {
            State::Unread { format: Format::Mcap, is_packed: false } => {
                mcap_file::start(&self.path).and_then(|start| i64::try_from(start).ok())
            }
            State::Unread { format: Format::Sqlite, is_packed: false } => sqlite::start(&self.path),
            _ => None,
        }
    }

    /// Bytes on disk that were read or skipped.
    pub(super) fn read_bytes(&self) -> u64 {
        match &self.state {
            State::Unread { .. } | State::Unreadable(_) => 0,
            State::Mcap(file) => file.read_bytes(),
            State::Sqlite(file) => (file.part_read() * self.size_bytes as f64) as u64,
            State::Ended => self.size_bytes,
        }
    }

    /// The next message in the order of the file that `topics` records; `None` at the end. After an
    /// error it may continue. Unpacks up to `memory_bytes` at once in memory.
    pub(super) fn next(
        &mut self,
        topics: &mut BagTopics<'_>,
        memory_bytes: usize,
    ) -> Result<Option<BagMessage>, BagError> {
        let next = match &mut self.state {
            State::Mcap(file) => file.next(topics, memory_bytes),
            State::Sqlite(file) => file.next(topics),
            State::Ended => return Ok(None),
            State::Unread { format, is_packed } => {
                let (format, is_packed) = (*format, *is_packed);
                // If it can't be opened, this is its end.
                self.state = State::Ended;
                self.state = match format {
                    Format::Mcap => State::Mcap(McapFile::open(&self.path, is_packed)?.into()),
                    Format::Sqlite => {
                        State::Sqlite(SqliteFile::open(&self.path, is_packed, topics)?.into())
                    }
                };
                return self.next(topics, memory_bytes);
            }
            State::Unreadable(_) => match std::mem::replace(&mut self.state, State::Ended) {
                State::Unreadable(error) => return Err(error),
                _ => return Ok(None),
            },
        };
        if let Ok(None) = next {
            // Releases handles and copies: a bag can have thousands of files.
            self.state = State::Ended;
        }
        next
    }
}

/// Returns true if the file's name is one that rosbag2 gives.
pub(super) fn is_named_as_bag(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".zstd").unwrap_or(&name);
    name.ends_with(".mcap") || name.ends_with(".db3")
}

/// Returns true if these are the first bytes of a bag, and too few to tell which kind.
fn is_cut(bytes: &[u8]) -> bool {
    MAGIC.starts_with(bytes) || SQLITE_MAGIC.starts_with(bytes)
}

/// The first bytes of a file's content.
enum Start {
    Plain(Vec<u8>),
    /// Unpacked, since the file is compressed as a whole.
    Packed(Vec<u8>),
    /// They can't be unpacked.
    Damaged(io::Error),
}

impl Start {
    fn read(file: &File) -> io::Result<Self> {
        let mut input = BufReader::new(file);
        let mut bytes = Vec::new();
        input.by_ref().take(SQLITE_MAGIC.len() as u64).read_to_end(&mut bytes)?;
        if !packed::is_packed(&bytes) {
            return Ok(Self::Plain(bytes));
        }
        let packed = io::Cursor::new(bytes).chain(input);
        let mut bytes = Vec::new();
        let read = packed::reader(packed)?.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut bytes);
        Ok(match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Self::Damaged(error),
            // A file that is cut off within its first block has no content.
            _ => Self::Packed(bytes),
        })
    }
}
