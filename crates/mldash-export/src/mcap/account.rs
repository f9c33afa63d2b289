//! What became of each track in an MCAP file.

/// How many missing files are named.
const MAX_NAMED: usize = 5;

/// What an MCAP file holds of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McapAccount {
    /// The experiment.
    pub experiment: String,
    /// Whether it was still being recorded; then the file holds what was there.
    pub is_live: bool,
    /// The tracks, by name.
    pub tracks: Vec<McapTrack>,
    /// The channels of the file, in the order of their first messages.
    pub topics: Vec<McapTopic>,
    /// How many files are attached that no row names.
    pub attached: u64,
    /// Those of them that can't be read.
    pub missing: MissingFiles,
}

/// A channel of an MCAP file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McapTopic {
    /// Its topic.
    pub name: String,
    /// Its schema's name.
    pub schema: String,
    /// How many messages it has.
    pub messages: u64,
}

/// A track of an MCAP file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McapTrack {
    /// Its name.
    pub name: String,
    /// How many rows it gave.
    pub rows: u64,
    /// Files that became attachments, since no schema draws them.
    pub attached: u64,
    /// Numbers in JSON that are not finite, which JSON can't say: they are null.
    pub nulled: u64,
    /// Files that its rows name and that can't be read.
    pub missing: MissingFiles,
}

/// Files that can't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingFiles {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<MissingFile>,
}

/// A file that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl McapAccount {
    /// How many messages the file has.
    pub fn messages(&self) -> u64 {
        self.topics.iter().map(|topic| topic.messages).sum()
    }

    /// How many files can't be read.
    pub fn missing(&self) -> u64 {
        self.missing.count + self.tracks.iter().map(|track| track.missing.count).sum::<u64>()
    }
}

impl MissingFiles {
    pub(crate) fn add(&mut self, path: &str, reason: &str) {
        self.count += 1;
        if self.first.len() < MAX_NAMED {
            self.first.push(MissingFile { path: path.to_owned(), reason: reason.to_owned() });
        }
    }
}
