//! Which tracks give messages, and of which topic.

use mldash_record::{OfferedQos, Restorer};
use mldash_track::{Experiment, RowSchema, Slice, TrackError};

use super::RosTopic;

/// A track whose rows give messages.
pub(super) struct RestoredTrack {
    pub(super) slice: Slice,
    pub(super) restorer: Restorer,
    /// The number of its topic.
    pub(super) topic: usize,
}

impl RestoredTrack {
    pub(super) fn new(slice: Slice, restorer: Restorer) -> Self {
        Self { slice, restorer, topic: 0 }
    }

    /// When the message of its first row was received.
    pub(super) fn first_nanos(&self) -> Result<Option<i64>, TrackError> {
        let first = self.slice.rows().next().transpose()?;
        Ok(first.and_then(|row| self.restorer.log_nanos(&row).ok()))
    }
}

/// What makes messages of a track's rows, or why nothing does.
pub(super) fn restorer(
    experiment: &Experiment,
    slice: &Slice,
) -> Result<Result<Restorer, String>, TrackError> {
    let mut found: Option<Restorer> = None;
    let sources = slice.sources();
    for source in sources {
        let definition = match source.noted_origin() {
            Some(origin) => experiment.definition(origin)?,
            None => None,
        };
        let restorer = match Restorer::new(source, definition) {
            Ok(restorer) => restorer,
            Err(reason) => return Ok(Err(reason.to_string())),
        };
        if found.as_ref().is_some_and(|known| !known.is_like(&restorer)) {
            return Ok(Err(several(sources)));
        }
        // Publishers come and go. Of two that know as many of them, the later one knows better.
        let offers = restorer.offered_qos().len();
        if found.as_ref().is_none_or(|known| offers >= known.offered_qos().len()) {
            found = Some(restorer);
        }
    }
    Ok(found.ok_or_else(|| {
        "no recording of ROS messages wrote it, or one before mldash_bridge kept their definitions"
            .to_owned()
    }))
}

fn several(sources: &[RowSchema]) -> String {
    let mut names: Vec<String> = sources
        .iter()
        .map(|source| format!("{} ({})", source.source(), source.of_type().unwrap_or("no type")))
        .collect();
    names.dedup();
    match names.as_slice() {
        [one] => format!(
            "{one} was recorded in several ways, or with several definitions, and its rows don't tell which"
        ),
        names => {
            format!("it has rows of several topics, which don't tell which: {}", names.join(", "))
        }
    }
}

/// The topics of the tracks, each once and by name, and for each track the number of its own.
pub(super) fn topics(tracks: &mut [RestoredTrack]) -> Vec<RosTopic> {
    let topic = |track: &RestoredTrack| RosTopic {
        name: track.restorer.topic().to_owned(),
        type_name: track.restorer.type_name().to_string(),
        definition: track.restorer.definition().to_owned(),
        offered_qos: Vec::new(),
    };
    let key =
        |topic: &RosTopic| (topic.name.clone(), topic.type_name.clone(), topic.definition.clone());
    let mut topics: Vec<RosTopic> = tracks.iter().map(topic).collect();
    topics.sort_by_key(key);
    topics.dedup_by_key(|topic| key(topic));
    let mut sizes = vec![0_u32; topics.len()];
    for track in tracks.iter_mut() {
        let own = key(&topic(track));
        track.topic = topics.partition_point(|topic| key(topic) < own);
        if let (Some(topic), Some(size)) = (topics.get_mut(track.topic), sizes.get_mut(track.topic))
        {
            *size += 1;
            let offered = track.restorer.offered_qos();
            // A track that was written later may know of more publishers.
            if offered.len() > topic.offered_qos.len() {
                topic.offered_qos = offered.to_vec();
            }
        }
    }
    for (topic, tracks) in topics.iter_mut().zip(sizes) {
        topic.offered_qos.iter_mut().for_each(|offer| keep_all_of(offer, tracks));
    }
    topics
}

/// A latched message of which each element became a row of its own track is as many messages now, which are all to be
/// kept.
fn keep_all_of(offer: &mut OfferedQos, tracks: u32) {
    if let Some(depth) = offer.depth.as_mut().filter(|_| tracks > 1) {
        *depth = (*depth).max(1).saturating_mul(tracks);
    }
}
