//! What can be wrong with bags.

use std::io;
use std::path::PathBuf;

use super::mcap_file::McapDamage;
use mldash_track::{Timestamp, one_line};

/// A bag that can't be read, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BagError {
    /// It is not there, or must not be read.
    #[error("can't open the bag {}", path.display())]
    Open {
        /// The bag.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder that is not one of rosbag2's.
    #[error("no bag is in the folder {}: neither .mcap nor .db3 files", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Something else altogether.
    #[error("{} is neither an MCAP nor a SQLite file, as bags of ROS 2 are", path.display())]
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
        /// What is not there.
        reason: String,
    },
    /// A SQLite file has to be unpacked or mended before it can be read, which takes space.
    #[error(
        "can't make a copy of {} in {} to read it; free some space there, or set TMPDIR to another folder",
        path.display(), folder.display()
    )]
    Copy {
        /// The bag.
        path: PathBuf,
        /// Where the copy was to be.
        folder: PathBuf,
        /// Why it can't be.
        source: io::Error,
    },
    /// It ends before its data do: a recorder that was killed, a copy that broke off.
    #[error(
        "{} is cut off at byte {size_bytes}, {}; what comes before that is imported",
        path.display(),
        last_message(*last_message_at)
    )]
    Truncated {
        /// The bag.
        path: PathBuf,
        /// Its size; of a bag that is compressed as a whole, once it is unpacked.
        size_bytes: u64,
        /// The latest log time before the cut, if there was a message.
        last_message_at: Option<Timestamp>,
    },
    /// A chunk whose bytes are not what was written. What is in it is left out: rows made of wrong bytes
    /// would be worse than none.
    #[error(
        "the chunk at bytes {from_bytes} to {to_bytes} of {} is damaged and left out; what comes after \
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
    /// Bytes that are not MCAP's in the middle of it.
    #[error(
        "{} is damaged before byte {at_bytes}, {}; what comes after that is not imported (`mcap \
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
    /// Records that are no such records, between others that are: they cost nothing but themselves.
    #[error(
        "{records} records of {} (the first at byte {at_bytes}) can't be read and are left out; what comes \
         after is imported", path.display()
    )]
    RecordsDamaged {
        /// The bag.
        path: PathBuf,
        /// How many.
        records: u64,
        /// Where the first of them is, or the chunk that it is in.
        at_bytes: u64,
        /// What is wrong with the first.
        source: McapDamage,
    },
    /// More than an MCAP file: what follows its end is not another one.
    #[error("what comes behind the end of {} at byte {at_bytes} is no MCAP and is not read", path.display())]
    Trailing {
        /// The bag.
        path: PathBuf,
        /// Where its end is.
        at_bytes: u64,
    },
    /// Somebody writes it: messages may be missing, or not be what was written.
    #[error(
        "{} was written to while it was read; import it again once it is not recorded into any more",
        path.display()
    )]
    Changed {
        /// The bag.
        path: PathBuf,
    },
    /// Messages whose topic was defined in a part that is damaged.
    #[error("{messages} messages in {} are of topics that no part of it defines; they are left out", path.display())]
    UnknownChannels {
        /// The bag.
        path: PathBuf,
        /// How many.
        messages: u64,
    },
    /// The disk does not give it.
    #[error("can't read the bag {} after byte {at_bytes}", path.display())]
    Read {
        /// The bag.
        path: PathBuf,
        /// How far it had been read.
        at_bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// SQLite does not give it.
    #[error(
        "can't read {} after its message {after_message}{}", path.display(),
        resumed_after.map(|id| format!(" up to message {id}")).unwrap_or_default()
    )]
    Sqlite {
        /// The bag.
        path: PathBuf,
        /// The last message before; 0 before the first.
        after_message: i64,
        /// Where reading went on; `None` when it did not.
        resumed_after: Option<i64>,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

fn last_message(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || "before any message".to_owned(),
        |at| format!("after a message of {:.3} s", at.as_secs()),
    )
}

/// Why not everything that was asked for is imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Bags, or parts of them, that could not be read.
    #[error("{}", join(.0))]
    Incomplete(Vec<BagError>),
    /// The disk that is imported to has run low.
    #[error("the import was ended: {0}; import again then, rows that are stored already merge")]
    DiskLow(String),
    /// The store took no rows.
    #[error(
        "the import was ended: the store takes no rows (the account says why); import again when it \
         does, rows that are stored already merge"
    )]
    StoreFails,
    /// There are no threads to be had.
    #[error("can't start the threads that read and decode")]
    Thread(#[source] io::Error),
    /// It was told to end.
    #[error("the import was stopped before the end of the bags")]
    Stopped,
}

fn join(errors: &[BagError]) -> String {
    errors.iter().map(BagError::line).collect::<Vec<_>>().join("; ")
}

impl BagError {
    /// All of it in one line, as it stands in logs and accounts, whatever names and causes have in them.
    pub(super) fn line(&self) -> String {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        one_line(self).chars().map(plain).collect()
    }
}
