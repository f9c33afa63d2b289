//! `foxglove.LocationFix`.

use foxglove::messages::LocationFix;
use mldash_track::{Column, Fields, TrackError};

use super::declared::Declared;
use super::fields::{number, numbers, text_in, whole};
use super::{Canvas, Drawing, Drawn};

/// A position on Earth a row.
pub(super) struct Location {
    frame_id: Option<Column>,
    covariance: Option<[Column; 2]>,
    holds: Vec<Column>,
}

impl Location {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let position = declared.columns(["latitude", "longitude", "altitude"])?;
        let frame_id = declared.column("frame_id");
        let covariance = declared.columns(["position_covariance", "position_covariance_type"]);
        let optional = covariance.iter().flatten().chain(&frame_id);
        let holds = position.iter().chain(optional).cloned().collect();
        Some(Self { frame_id, covariance, holds })
    }
}

impl Drawing for Location {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let place =
            ["latitude", "longitude", "altitude"].map(|name| row.get(name).and_then(number));
        let [Some(latitude), Some(longitude), Some(altitude)] = place else {
            return Ok(Drawn::No);
        };
        let (mut position_covariance, mut position_covariance_type) = (Vec::new(), 0);
        if let Some([covariance, kind]) = &self.covariance {
            let covariance = row.get(covariance).and_then(numbers);
            // The numbers of `NavSatFix` are those of the schema.
            let kind = row.get(kind).and_then(whole).filter(|kind| *kind <= 3);
            let (Some(covariance), Some(kind)) = (covariance, kind) else { return Ok(Drawn::No) };
            (position_covariance, position_covariance_type) = (covariance, kind as i32);
        }
        to.put(&LocationFix {
            timestamp: Some(to.stamp),
            frame_id: text_in(row, self.frame_id.as_ref()),
            latitude,
            longitude,
            altitude,
            position_covariance,
            position_covariance_type,
            ..LocationFix::default()
        })
    }
}
