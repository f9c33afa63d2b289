//! The messages of a run, made again from its rows: for `ros2 bag play` as an MCAP file, and for whoever publishes them.
//! A track gives messages if it was recorded with every field of them; the others are named with the reason.
//!
//! [`RosRun`] knows which topics there are and where their messages come from, [`RosMessages`] is one pass over them in
//! the order in which they were received. It holds one row of each track at a time.

mod account;
mod export;
mod messages;
mod tracks;

use std::ops::RangeInclusive;

use mldash_record::OfferedQos;
use mldash_track::{Slice, TrackError};

pub use account::{LeftOutTrack, Ros2Account, Ros2Topic, TrackLosses};
pub use export::export_ros2;
pub use messages::{RosMessage, RosMessages};

use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::mcap::McapOptions;
use crate::plan::Recording;
use tracks::RestoredTrack;

/// The topics of a run whose messages can be made again.
pub struct RosRun {
    name: String,
    is_live: bool,
    topics: Vec<RosTopic>,
    tracks: Vec<RestoredTrack>,
    left_out: Vec<LeftOutTrack>,
    files: RecordedFiles,
}

/// A topic with one type and definition. A run can have several of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosTopic {
    /// The name on the graph.
    pub name: String,
    /// `package/msg/Type`.
    pub type_name: String,
    /// The definition: `ros2msg`, with those that it needs.
    pub definition: String,
    /// What its publishers offered; none if that is not known.
    pub offered_qos: Vec<OfferedQos>,
}

impl RosRun {
    /// Looks at the tracks of `recording` that `options` take.
    ///
    /// # Errors
    /// Fails if the recording can't be read.
    pub fn open(recording: &Recording, options: &McapOptions) -> Result<Self, ExportError> {
        let Recording { name, experiment } = recording;
        let failed = || ExportError::track(name);
        // Before the rows: what is written later is not in them.
        let is_live = experiment.is_being_written().map_err(failed())?;
        let (mut tracks, mut left_out) = (Vec::new(), Vec::new());
        for track in experiment.list().map_err(failed())? {
            if !options.takes(&track) || track.total_entries == 0 {
                continue;
            }
            let slice = experiment.tracks(&track.topic).slice(options.range.clone());
            let slice = slice.map_err(failed())?;
            let slice_sources =
                slice.sources().iter().map(|source| source.source().to_owned()).collect();
            match tracks::restorer(experiment, &slice).map_err(failed())? {
                Ok(restorer) => tracks.push(RestoredTrack::new(slice, restorer)),
                Err(reason) => {
                    let sources = slice_sources;
                    left_out.push(LeftOutTrack { track: track.topic, sources, reason });
                }
            }
        }
        // After the rows: a file is there before the row that names it.
        let files = RecordedFiles::new(name, experiment)?;
        let topics = tracks::topics(&mut tracks);
        Ok(Self { name: name.clone(), is_live, topics, tracks, left_out, files })
    }

    /// The topics, by name.
    pub fn topics(&self) -> &[RosTopic] {
        &self.topics
    }

    /// Leaves only the topics of these names, and of the tracks without messages those that come from them.
    pub fn retain_topics(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.tracks.retain(|track| is_wanted(track.restorer.topic()));
        self.left_out.retain(|left_out| left_out.sources.iter().any(|source| is_wanted(source)));
        self.topics = tracks::topics(&mut self.tracks);
    }

    /// The tracks that give no messages.
    pub fn left_out(&self) -> &[LeftOutTrack] {
        &self.left_out
    }

    /// Whether the run was still being recorded; then its messages are those that were there.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// When the first message was received, in nanoseconds. Latched topics don't count, unless there are no others: their
    /// stamps may be from long before. `None` without messages.
    ///
    /// # Errors
    /// Fails if the recording can't be read.
    pub fn first_nanos(&self) -> Result<Option<i64>, ExportError> {
        let (mut first, mut first_latched) = (None::<i64>, None::<i64>);
        for track in &self.tracks {
            let Some(nanos) = track.first_nanos().map_err(ExportError::track(&self.name))? else {
                continue;
            };
            let is_latched =
                self.topics.get(track.topic).is_some_and(|topic| topic.qos().is_latched());
            let first = if is_latched { &mut first_latched } else { &mut first };
            *first = Some(first.map_or(nanos, |known| known.min(nanos)));
        }
        Ok(first.or(first_latched))
    }

    /// One pass over all messages, in the order in which they were received.
    pub fn messages(&self) -> RosMessages<'_> {
        RosMessages::new(self)
    }

    fn span(&self, range: &RangeInclusive<f64>) -> Option<(f64, f64)> {
        crate::rows::span(self.slices(), range)
    }

    fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.tracks.iter().map(|track| &track.slice)
    }

    fn failed(&self) -> impl FnOnce(TrackError) -> ExportError {
        ExportError::track(&self.name)
    }
}

impl RosTopic {
    /// What one publisher must offer so that every subscriber gets what it got: the most that any recorded one offered.
    pub fn qos(&self) -> OfferedQos {
        OfferedQos::joined(&self.offered_qos)
    }
}
