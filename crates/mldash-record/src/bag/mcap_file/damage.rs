//! What can be wrong with the bytes of an MCAP file.

use std::io;

/// Why a part of an MCAP file can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McapDamage {
    /// The checksum is wrong.
    #[error("its checksum is {calculated:08x} instead of {saved:08x}")]
    Checksum {
        /// The checksum in the file.
        saved: u32,
        /// The checksum of the bytes.
        calculated: u32,
    },
    /// It unpacks to another size than it claims.
    #[error("it unpacks to {found} bytes and claims {claimed}")]
    Size {
        /// The claimed size.
        claimed: u64,
        /// The real size, at least.
        found: u64,
    },
    /// It can't be unpacked.
    #[error("it can't be unpacked")]
    Unpack(#[source] io::Error),
    /// It is compressed in a way that MCAP does not have.
    #[error("it is compressed with `{0}`; only zstd and lz4 are supported")]
    Compression(String),
    /// No record has kind 0.
    #[error("a record's kind can't be 0")]
    Kind,
    /// A record claims more bytes than there are.
    #[error("a record of kind {op:#04x} claims {len} bytes, more than there are")]
    Length {
        /// Its kind.
        op: u8,
        /// The length that it claims.
        len: u64,
    },
    /// A record is over the size limit.
    #[error("a record of kind {op:#04x} claims {len} bytes, more than the limit for one")]
    TooLarge {
        /// Its kind.
        op: u8,
        /// The length that it claims.
        len: u64,
    },
    /// A record's fields don't fit its kind.
    #[error("the fields of a record of kind {op:#04x} don't fit into its {len} bytes")]
    Fields {
        /// Its kind.
        op: u8,
        /// Its length.
        len: u64,
    },
    /// It ends within a record.
    #[error("it ends in the middle of a record")]
    Cut,
}
