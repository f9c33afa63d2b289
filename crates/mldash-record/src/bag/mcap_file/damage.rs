//! What can be wrong with the bytes of an MCAP file.

use std::io;

/// Why a part of an MCAP file can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McapDamage {
    /// Its checksum is another's.
    #[error("its checksum is {calculated:08x}, and {saved:08x} was written")]
    Checksum {
        /// What was written.
        saved: u32,
        /// What the bytes give.
        calculated: u32,
    },
    /// It unpacks to something else than it says.
    #[error("it unpacks to {found} bytes and says that it has {claimed}")]
    Size {
        /// What it says.
        claimed: u64,
        /// What it is; so many at least.
        found: u64,
    },
    /// It can't be unpacked.
    #[error("it can't be unpacked")]
    Unpack(#[source] io::Error),
    /// It is compressed in a way that is not MCAP's.
    #[error("it is compressed by `{0}`; chunks are by zstd, by lz4 or not at all")]
    Compression(String),
    /// No record is of kind 0.
    #[error("a record's kind can't be 0")]
    Kind,
    /// A record leads beyond the bytes that there are.
    #[error("a record of kind {op:#04x} claims {len} bytes, more than there are")]
    Length {
        /// Its kind.
        op: u8,
        /// What it claims.
        len: u64,
    },
    /// A record is larger than any that is read.
    #[error("a record of kind {op:#04x} claims {len} bytes, more than are read of one")]
    TooLarge {
        /// Its kind.
        op: u8,
        /// What it claims.
        len: u64,
    },
    /// A record's fields are not what its kind says.
    #[error("the fields of a record of kind {op:#04x} don't fit into its {len} bytes")]
    Fields {
        /// Its kind.
        op: u8,
        /// Its length.
        len: u64,
    },
    /// It ends in the middle of a record.
    #[error("it ends in the middle of a record")]
    Cut,
}
