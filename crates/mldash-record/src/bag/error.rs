//! What can be wrong with bags.

use std::io;
use std::path::PathBuf;

use super::mcap_file::McapDamage;
use crate::PartError;
use mldash_track::{Timestamp, one_line};

/// A bag that can't be read, or not completely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BagError {
    /// It does not exist, or there is no permission to read it.
    #[error("can't open the bag {}", path.display())]
    Open {
        /// The bag.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder that is not a bag of rosbag2.
    #[error("the folder {} contains no bag: it has neither .mcap nor .db3 files", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Not a bag.
    #[error("{} is not a bag of ROS 2: it is neither an MCAP nor a SQLite file", path.display())]
    NotABag {
        /// The file.
        path: PathBuf,
    },
    /// A bag of ROS 1.
    #[error(
        "{path} is a bag of ROS 1; convert it first: `pip install rosbags` and `rosbags-convert --src \
         {path} --dst converted`", path = path.display()
    )]
    Ros1 {
        /// The file.
        path: PathBuf,
    },
    /// A SQLite file without rosbag2's tables.
    #[error("{} is a SQLite file, but not a bag: {reason}", path.display())]
    NotRosbag2 {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A SQLite file must be unpacked or repaired before it can be read. There is no space for
    /// that.
    #[error(
        "can't make a copy of {} in {} to read it; free some space there, or set TMPDIR to another folder",
        path.display(), folder.display()
    )]
    Copy {
        /// The bag.
        path: PathBuf,
        /// The folder for the copy.
        folder: PathBuf,
        /// Why it can't be made.
        source: io::Error,
    },
    /// The file ends too early: the recorder was killed, or a copy was interrupted.
    #[error(
        "{} is cut off at byte {size_bytes}, {}; everything before that is imported",
        path.display(),
        last_message(*last_message_at)
    )]
    Truncated {
        /// The bag.
        path: PathBuf,
        /// Its size; for a bag that is compressed as a whole, its unpacked size.
        size_bytes: u64,
        /// The latest log time before the cut, if there was a message.
        last_message_at: Option<Timestamp>,
    },
    /// A chunk with wrong bytes. It is left out: rows made of wrong bytes would be worse than none.
    #[error(
        "the chunk at bytes {from_bytes} to {to_bytes} of {} is damaged and left out; everything after \
         it is imported", path.display()
    )]
    ChunkDamaged {
        /// The bag.
        path: PathBuf,
        /// Where the chunk starts.
        from_bytes: u64,
        /// Where it ends.
        to_bytes: u64,
        /// What is wrong.
        source: McapDamage,
    },
    /// Bytes in the middle of the file that are not MCAP.
    #[error(
        "{} is damaged before byte {at_bytes}, {}; nothing after that is imported (`mcap \
         recover` may save it)",
        path.display(),
        last_message(*last_message_at)
    )]
    Damaged {
        /// The bag.
        path: PathBuf,
        /// How far it had been read.
        at_bytes: u64,
        /// The latest log time before the damage, if there was a message.
        last_message_at: Option<Timestamp>,
        /// What is wrong.
        source: McapDamage,
    },
    /// Unreadable records between readable ones. Only they are lost.
    #[error(
        "{records} records of {} (the first at byte {at_bytes}) can't be read and are left out; everything \
         else is imported", path.display()
    )]
    RecordsDamaged {
        /// The bag.
        path: PathBuf,
        /// How many.
        records: u64,
        /// The position of the first one, or of the chunk that contains it.
        at_bytes: u64,
        /// What is wrong with the first one.
        source: McapDamage,
    },
    /// Something other than another MCAP file follows the end of an MCAP file.
    #[error("what follows the end of {} at byte {at_bytes} is not MCAP and is not read", path.display())]
    Trailing {
        /// The bag.
        path: PathBuf,
        /// The position of the end.
        at_bytes: u64,
    },
    /// Another process writes to it: messages may be missing or wrong.
    #[error(
        "{} was written to while it was read; import it again once its recording has ended",
        path.display()
    )]
    Changed {
        /// The bag.
        path: PathBuf,
    },
    /// Messages of topics that were defined in a damaged part.
    #[error("{messages} messages in {} belong to topics that the bag does not define; they are left out", path.display())]
    UnknownChannels {
        /// The bag.
        path: PathBuf,
        /// How many.
        messages: u64,
    },
    /// The disk can't read it.
    #[error("can't read the bag {} after byte {at_bytes}", path.display())]
    Read {
        /// The bag.
        path: PathBuf,
        /// How far it had been read.
        at_bytes: u64,
        /// The cause.
        source: io::Error,
    },
    /// SQLite can't read it.
    #[error(
        "can't read {} after message {after_message}{}", path.display(),
        resumed_after.map(|id| format!(" up to message {id}")).unwrap_or_default()
    )]
    Sqlite {
        /// The bag.
        path: PathBuf,
        /// The last message before; 0 before the first.
        after_message: i64,
        /// The message after which reading continued; `None` if it did not.
        resumed_after: Option<i64>,
        /// SQLite's error.
        source: rusqlite::Error,
    },
}

fn last_message(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "before any message".to_owned(),
        |at| format!("after a message at {:.3} s", at.as_secs()),
    )
}

/// Why an import is not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Bags, or parts of them, that could not be read.
    #[error("{}", join(.0))]
    Incomplete(Vec<BagError>),
    /// The disk that is imported to has run low.
    #[error("the import was stopped: {0}; import the bag again then, which gives the same rows")]
    DiskLow(String),
    /// The store took no rows.
    #[error(
        "the import was stopped: the store can't write rows (the account says why); import the bag \
         again once it can, which gives the same rows"
    )]
    StoreFails,
    /// The part could not change where `split_on` says.
    #[error(
        "the import was stopped, because a part of the recording could not end or begin; import the bag \
         again once it can, which gives the same parts"
    )]
    Part(#[source] PartError),
    /// Threads can't be started.
    #[error("can't start the threads that read and decode")]
    Thread(#[source] io::Error),
    /// The import was stopped.
    #[error("the import was stopped before the end of the bags")]
    Stopped,
}

fn join(errors: &[BagError]) -> String {
    errors.iter().map(BagError::line).collect::<Vec<_>>().join("; ")
}

impl BagError {
    /// The whole error in one line, as in logs and accounts, without control characters.
    pub(super) fn line(&self) -> String {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        one_line(self).chars().map(plain).collect()
    }
}
