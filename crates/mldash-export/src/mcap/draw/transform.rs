//! `foxglove.FrameTransform`, and `foxglove.FrameTransforms` for a TF message in one row.

use foxglove::messages::{FrameTransform, FrameTransforms, Timestamp};
use mldash_track::{Column, Fields, TrackError, Value};

use super::declared::Declared;
use super::fields::{entry, quaternion, text, text_in, vector, whole};
use super::{Canvas, Drawing, Drawn};

/// A transform a row.
pub(super) struct Transform {
    translation: Column,
    rotation: Column,
    parent: Column,
    child: Column,
    holds: Vec<Column>,
}

/// A list of transforms a row.
pub(super) struct Transforms {
    holds: [Column; 1],
}

impl Transform {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let translation = declared.point(&["transform.translation"])?;
        let rotation = declared.quaternion(&["transform.rotation"])?;
        let [parent, child] = declared.columns(["frame_id", "child_frame_id"])?;
        let holds = [&translation, &rotation, &parent, &child].map(Column::clone).to_vec();
        Some(Self { translation, rotation, parent, child, holds })
    }
}

impl Transforms {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        Some(Self { holds: declared.columns(["transforms"])? })
    }
}

impl Drawing for Transform {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn stays(&self) -> bool {
        true
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let translation = row.get(&self.translation).and_then(vector);
        let rotation = row.get(&self.rotation).and_then(quaternion);
        if translation.is_none() || rotation.is_none() {
            return Ok(Drawn::No);
        }
        to.put(&FrameTransform {
            timestamp: Some(to.stamp),
            parent_frame_id: text_in(row, Some(&self.parent)),
            child_frame_id: text_in(row, Some(&self.child)),
            translation,
            rotation,
        })
    }
}

impl Drawing for Transforms {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn stays(&self) -> bool {
        true
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let [transforms] = &self.holds;
        let Some(Value::List(items)) = row.get(transforms) else { return Ok(Drawn::No) };
        let transforms = items.iter().map(transform).collect::<Option<Vec<_>>>();
        match transforms {
            Some(transforms) => to.put(&FrameTransforms { transforms }),
            None => Ok(Drawn::No),
        }
    }
}

/// A `geometry_msgs/msg/TransformStamped` in a list.
fn transform(item: &Value) -> Option<FrameTransform> {
    let header = entry(item, "header")?;
    let stamp = entry(header, "stamp")?;
    let (sec, nanosec) = (whole(entry(stamp, "sec")?)?, whole(entry(stamp, "nanosec")?)?);
    let transform = entry(item, "transform")?;
    Some(FrameTransform {
        timestamp: Some(Timestamp::new_checked(sec, nanosec)?),
        parent_frame_id: text(entry(header, "frame_id")?)?.to_owned(),
        child_frame_id: text(entry(item, "child_frame_id")?)?.to_owned(),
        translation: Some(vector(entry(transform, "translation")?)?),
        rotation: Some(quaternion(entry(transform, "rotation")?)?),
    })
}
