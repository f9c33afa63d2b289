//! What can be wrong with bags.

use std::io;
use std::path::PathBuf;

use mcap::McapError;

use crate::track::{Timestamp, one_line};

/// A bag that can't be read, or not to its end.
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
    /// A folder, as rosbag2 makes them around the files of a bag.
    #[error("{} is a folder; name the .mcap files in it", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// rosbag2's other format.
    #[error(
        "{path} is a rosbag2 SQLite bag; convert it to MCAP first: `ros2 bag convert -i {path} -o \
         mcap.yaml`, where mcap.yaml says `output_bags: [{{uri: converted, storage_id: mcap, all: \
         true}}]`",
        path = path.display()
    )]
    Sqlite {
        /// The file, or the folder that has such a file.
        path: PathBuf,
    },
    /// A file that was compressed as a whole.
    #[error("{} is compressed as a whole; unpack it first with `zstd -d`", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
    },
    /// Something else altogether.
    #[error("{} is not an MCAP file", path.display())]
    NotMcap {
        /// The file.
        path: PathBuf,
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
        /// Its size.
        size_bytes: u64,
        /// The latest log time before the cut, if there was a message.
        last_message_at: Option<Timestamp>,
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
        source: McapError,
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
    /// Bags that could not be read to their end.
    #[error("{}", join(.0))]
    Incomplete(Vec<BagError>),
    /// It was told to end.
    #[error("the import was stopped before the end of the bags")]
    Stopped,
}

fn join(errors: &[BagError]) -> String {
    errors.iter().map(|error| one_line(error)).collect::<Vec<_>>().join("; ")
}
