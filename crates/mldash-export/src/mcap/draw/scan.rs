//! `foxglove.LaserScan`. What is not finite stays so.

use foxglove::messages::LaserScan;
use mldash_track::{Column, Fields, TrackError};

use super::declared::Declared;
use super::fields::{identity, number, numbers, text_in};
use super::{Canvas, Drawing, Drawn};

/// A scan a row.
pub(super) struct Scan {
    start: Column,
    step: Column,
    ranges: Column,
    intensities: Option<Column>,
    frame_id: Option<Column>,
    holds: Vec<Column>,
}

impl Scan {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let [start, step, ranges] = declared.columns(["angle_min", "angle_increment", "ranges"])?;
        let [intensities, frame_id] = ["intensities", "frame_id"].map(|c| declared.column(c));
        // The step and the last angle are not held: drivers' `angle_max` is not always that of the last range.
        let optional = intensities.iter().chain(&frame_id);
        let holds = [&start, &ranges].into_iter().chain(optional).cloned().collect();
        Some(Self { start, step, ranges, intensities, frame_id, holds })
    }
}

impl Drawing for Scan {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let [start, step] =
            [&self.start, &self.step].map(|column| row.get(column).and_then(number));
        let ranges = row.get(&self.ranges).and_then(numbers);
        let intensities = self.intensities.as_ref().and_then(|column| row.get(column));
        let intensities = intensities.map_or(Some(Vec::new()), numbers);
        let (Some(start), Some(step), Some(ranges), Some(intensities)) =
            (start, step, ranges, intensities)
        else {
            return Ok(Drawn::No);
        };
        to.put(&LaserScan {
            timestamp: Some(to.stamp),
            frame_id: text_in(row, self.frame_id.as_ref()),
            pose: Some(identity()),
            start_angle: start,
            end_angle: start + step * ranges.len().saturating_sub(1) as f64,
            ranges,
            intensities,
        })
    }
}
