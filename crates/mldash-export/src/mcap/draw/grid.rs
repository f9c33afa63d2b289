//! `foxglove.Grid` of an occupancy grid: one byte a cell, -1 where it is unknown.

use foxglove::messages::packed_element_field::NumericType;
use foxglove::messages::{self, PackedElementField, Vector2};
use mldash_track::{Array, Column, Fields, TrackError, Value};

use super::declared::Declared;
use super::fields::{number, quaternion, text_in, vector, whole};
use super::{Canvas, Drawing, Drawn};

const COLUMNS: [&str; 5] =
    ["data", "info.resolution", "info.width", "info.origin.position", "info.origin.orientation"];

/// A grid a row.
pub(super) struct Grid {
    frame_id: Option<Column>,
    holds: Vec<Column>,
}

impl Grid {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let needed = declared.columns(COLUMNS)?;
        let frame_id = declared.column("frame_id");
        let holds = needed.iter().chain(&frame_id).cloned().collect();
        Some(Self { frame_id, holds })
    }
}

impl Drawing for Grid {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn stays(&self) -> bool {
        true
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let [data, resolution, width, position, orientation] = COLUMNS.map(|name| row.get(name));
        let cells = data.and_then(cells);
        let (resolution, width) = (resolution.and_then(number), width.and_then(whole));
        let position = position.and_then(vector);
        let orientation = orientation.and_then(quaternion);
        let (Some(data), Some(resolution), Some(width)) = (cells, resolution, width) else {
            return Ok(Drawn::No);
        };
        let is_whole = width > 0 && data.len() % width as usize == 0;
        if !is_whole || position.is_none() || orientation.is_none() {
            return Ok(Drawn::No);
        }
        to.put(&messages::Grid {
            timestamp: Some(to.stamp),
            frame_id: text_in(row, self.frame_id.as_ref()),
            pose: Some(messages::Pose { position, orientation }),
            column_count: width,
            cell_size: Some(Vector2 { x: resolution, y: resolution }),
            row_stride: width,
            cell_stride: 1,
            fields: vec![PackedElementField {
                name: "occupancy".to_owned(),
                offset: 0,
                r#type: NumericType::Int8.into(),
            }],
            data: data.into(),
        })
    }
}

/// The cells as bytes, if they are from -128 to 127.
fn cells(value: &Value) -> Option<Vec<u8>> {
    let Value::Array(Array::I64(cells)) = value else { return None };
    cells.iter().map(|cell| i8::try_from(*cell).ok().map(i8::cast_unsigned)).collect()
}
