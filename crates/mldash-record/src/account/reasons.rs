//! Why messages are in no track, and what is remarked of those that are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a message (or an element, under `each`) is in no track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DropReason {
    /// The bytes are not a message of the topic's type.
    Undecodable,
    /// The queue between the ROS side and the recorder was full.
    QueueFull,
    /// The store could not take rows (disk full, unwritable) until the buffer was full too, or its
    /// files were removed while they were recorded into.
    StoreFull,
    /// Less disk space is free than the mapping's `min_free`.
    DiskLow,
    /// The local store has reached the mapping's `max_local`, and the server does not have its data
    /// yet.
    LocalFull,
    /// Images and clouds arrived faster than files could be written.
    BlobQueueFull,
    /// An image or a cloud whose bytes contradict its own fields.
    BlobMalformed,
    /// The mapping says `blobs: drop`, and the message contains little else (an image, a cloud).
    BlobsOff,
    /// A large byte array in a list of messages. It can't be a file, and the mapping does not say
    /// `blobs: inline`.
    BlobTooLarge,
    /// The message needs the receive time, and the ROS clock has not started (`use_sim_time`, no
    /// `/clock`).
    NoClock,
    /// The message needs the receive time, and the bag's log time is invalid: after the year 2262.
    NoTime,
    /// Another message of its topic has the same stamp, and the mapping says `same_stamp: drop`.
    SameStamp,
    /// The message is larger than the limit for one message of a bag.
    TooLarge,
    /// The topic can't be recorded; `refused` says why.
    Refused,
    /// The mapping's track pattern gives no valid name for this message.
    TrackName,
    /// The track shares its folder with another one, or its name with the track of other values,
    /// such as `/base_link` and `base_link`.
    TrackCollision,
    /// The values of the topic's messages lead to more tracks than one topic may have (10,000).
    TooManyTracks,
    /// The recorder was shutting down.
    Stopped,
    /// The recording was paused.
    Paused,
    /// A snapshot held the message for as long, or with as many others, as the mapping says, and was
    /// not saved in that time.
    OutOfWindow,
    /// A snapshot held the message when the recording ended without a save.
    NotSaved,
}

impl DropReason {
    /// Returns true if something is missing that was to be recorded; false if it was left out on
    /// purpose.
    pub fn is_loss(self) -> bool {
        !matches!(
            self,
            Self::Paused | Self::BlobsOff | Self::SameStamp | Self::OutOfWindow | Self::NotSaved
        )
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same spelling as in the JSON.
        self.serialize(f)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A remark on messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// There is no usable header stamp, so the row has the receive time.
    ReceiveTimeUsed,
    /// A string was not UTF-8; the invalid parts were replaced.
    TextRepaired,
    /// A byte array was left out of its row, as the mapping says.
    BlobLeftOut,
    /// The stamp is more than 10 s from the receive time, so it comes from another clock.
    FarFromClock,
    /// Stamps went back by more than 1 s: a clock was set back, or a simulator or a bag restarted.
    /// Counted once per jump.
    ClockJumpedBack,
    /// The message came before the ROS clock ran and waited for it.
    WaitedForClock,
    /// Another message of its topic has the same stamp. This one is at the next free time, some
    /// tenths of a microsecond later.
    StampMoved,
    /// Another message of its topic had the same stamp. This one's fields overwrote that one's, as
    /// the mapping says (`same_stamp: merge`).
    StampShared,
    /// Ten or more messages in a row have this stamp.
    StampStandsStill,
    /// A column has another type from this message on. Counted once per such column.
    ColumnTypeChanged,
}
