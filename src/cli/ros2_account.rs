//! Says which tracks and rows gave no messages, for `export --ros2` and `replay`.

use mldash_bridge::export::ros2::{LeftOutTrack, TrackLosses};

pub(super) fn tell(left_out: &[LeftOutTrack], losses: &[TrackLosses]) {
    for LeftOutTrack { track, reason, .. } in left_out {
        tracing::warn!("track {track} is left out: {reason}");
    }
    for TrackLosses { track, rows, lost, first } in losses {
        tracing::warn!("track {track}: {lost} of {rows} rows are left out; the first {first}");
    }
}
