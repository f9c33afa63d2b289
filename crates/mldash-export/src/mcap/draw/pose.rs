//! `foxglove.PoseInFrame`, and `foxglove.PosesInFrame` for arrays and paths.

use foxglove::messages::{self, PoseInFrame, PosesInFrame};
use mldash_track::{Column, Fields, TrackError, Value};

use super::declared::Declared;
use super::fields::{entry, pose, quaternion, text_in, vector};
use super::{Canvas, Drawing, Drawn};

const POSITIONS: [&str; 3] = ["pose.pose.position", "pose.position", "position"];
const ORIENTATIONS: [&str; 3] = ["pose.pose.orientation", "pose.orientation", "orientation"];

/// A pose a row.
pub(super) struct Pose {
    position: Column,
    orientation: Column,
    frame_id: Option<Column>,
    holds: Vec<Column>,
}

/// A list of poses a row.
pub(super) struct Poses {
    poses: Column,
    frame_id: Option<Column>,
    holds: Vec<Column>,
}

impl Pose {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let position = declared.point(&POSITIONS)?;
        let orientation = declared.quaternion(&ORIENTATIONS)?;
        let frame_id = declared.column("frame_id");
        let holds = [&position, &orientation].into_iter().chain(&frame_id).cloned().collect();
        Some(Self { position, orientation, frame_id, holds })
    }
}

impl Poses {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let poses = declared.column("poses")?;
        let frame_id = declared.column("frame_id");
        // The poses of a path have stamps and frames of their own, which the schema lacks.
        let is_whole = declared.type_name() == "geometry_msgs/msg/PoseArray";
        let holds = is_whole.then_some(&poses).into_iter().chain(&frame_id).cloned().collect();
        Some(Self { poses, frame_id, holds })
    }
}

impl Drawing for Pose {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let position = row.get(&self.position).and_then(vector);
        let orientation = row.get(&self.orientation).and_then(quaternion);
        if position.is_none() || orientation.is_none() {
            return Ok(Drawn::No);
        }
        to.put(&PoseInFrame {
            timestamp: Some(to.stamp),
            frame_id: text_in(row, self.frame_id.as_ref()),
            pose: Some(messages::Pose { position, orientation }),
        })
    }
}

impl Drawing for Poses {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let poses = row.get(&self.poses).and_then(|list| match list {
            Value::List(items) => {
                // Of a path, each is a `PoseStamped`.
                let items = items.iter().map(|item| pose(entry(item, "pose").unwrap_or(item)));
                items.collect::<Option<Vec<_>>>()
            }
            // A list without items has no type.
            Value::Array(array) if array.is_empty() => Some(Vec::new()),
            _ => None,
        });
        let Some(poses) = poses else { return Ok(Drawn::No) };
        let frame_id = text_in(row, self.frame_id.as_ref());
        to.put(&PosesInFrame { timestamp: Some(to.stamp), frame_id, poses })
    }
}
