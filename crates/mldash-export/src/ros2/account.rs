//! What became of each track as messages.

/// What an MCAP file of messages holds of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ros2Account {
    /// The experiment.
    pub experiment: String,
    /// Whether it was still being recorded; then the file holds what was there.
    pub is_live: bool,
    /// The topics that have messages in the file, by name.
    pub topics: Vec<Ros2Topic>,
    /// The tracks that gave no messages.
    pub left_out: Vec<LeftOutTrack>,
    /// The tracks of which rows gave no messages.
    pub losses: Vec<TrackLosses>,
}

/// A topic in an MCAP file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ros2Topic {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// How many messages it has.
    pub messages: u64,
}

/// A track that gives no messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutTrack {
    /// The track.
    pub track: String,
    /// Where its rows came from: topics, as far as known.
    pub sources: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Rows of a track that gave no messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackLosses {
    /// The track.
    pub track: String,
    /// How many rows were read.
    pub rows: u64,
    /// How many of them gave no message.
    pub lost: u64,
    /// Why the first of them gave none, and its time.
    pub first: String,
}

impl Ros2Account {
    /// How many messages the file has.
    pub fn messages(&self) -> u64 {
        self.topics.iter().map(|topic| topic.messages).sum()
    }

    /// Returns true if a track or a row gave no message.
    pub fn is_incomplete(&self) -> bool {
        !self.left_out.is_empty() || !self.losses.is_empty()
    }
}
