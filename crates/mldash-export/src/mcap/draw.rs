//! The schemas that Foxglove and Rerun draw, and how rows become messages of them. A track's kind is known from the type of
//! the messages that it was recorded from and from its columns, whatever the track is called and its columns are renamed to.
//!
//! A [`Drawing`] says which columns its messages hold. A row that lacks one of them is not drawn.

mod declared;
mod fields;
mod grid;
mod location;
mod log;
mod pcd;
mod picture;
mod pose;
mod scan;
mod transform;

use foxglove::Encode;
use foxglove::bytes::Bytes;
use foxglove::messages::Timestamp;
use mldash_track::{Column, Fields, McapTimes, Slice, TrackError, one_line};

use super::files::RunFiles;
use super::messages::{Messages, Topic};
pub(super) use declared::Declared;
use declared::FileColumns;

/// What rows of a track are drawn as.
pub(super) trait Drawing {
    /// The columns whose values its messages hold.
    fn holds(&self) -> &[Column];

    /// The column that names the file that it draws.
    fn file(&self) -> Option<&Column> {
        None
    }

    /// Returns true if a message holds until the next one, however old it is: that of a map, a transform, a calibration.
    fn stays(&self) -> bool {
        false
    }

    /// The topic below the track's own; empty for the track's own.
    fn below(&self) -> &str {
        ""
    }

    /// Draws a row.
    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError>;
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Drawn {
    /// There is a message.
    Yes,
    /// The row lacks something, or has something that the schema can't say.
    No,
    /// Its file can't be read.
    NoFile {
        path: String,
        /// Why.
        reason: String,
    },
}

/// Where a row is drawn.
pub(super) struct Canvas<'a, 'o> {
    pub(super) messages: &'a mut Messages<'o>,
    pub(super) files: &'a mut RunFiles,
    pub(super) topic: &'a Topic,
    pub(super) times: McapTimes,
    /// The time of the row, for the message itself.
    pub(super) stamp: Timestamp,
}

impl Canvas<'_, '_> {
    /// The file that a row names; else what became of the row.
    fn read(&mut self, path: &str) -> Result<Bytes, Drawn> {
        self.files.read(path).map(Bytes::from).map_err(|error| no_file(path, one_line(&error)))
    }

    /// Writes the message.
    fn put<T: Encode>(&mut self, message: &T) -> Result<Drawn, TrackError> {
        self.messages.draw(self.topic, self.times, message)?;
        Ok(Drawn::Yes)
    }
}

fn no_file(path: &str, reason: impl Into<String>) -> Drawn {
    Drawn::NoFile { path: path.to_owned(), reason: reason.into() }
}

/// Draws the file that each row names.
struct DrawnFile {
    columns: FileColumns,
    holds: Vec<Column>,
    draw: fn(&FileColumns, &Fields, &mut Canvas<'_, '_>) -> Result<Drawn, TrackError>,
}

impl DrawnFile {
    fn new(columns: FileColumns) -> Self {
        let holds = columns.frame_id.iter().cloned().collect();
        let draw = if columns.is_cloud { pcd::draw } else { picture::draw };
        Self { columns, holds, draw }
    }
}

impl Drawing for DrawnFile {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn file(&self) -> Option<&Column> {
        Some(&self.columns.path)
    }

    fn below(&self) -> &str {
        &self.columns.below
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        (self.draw)(&self.columns, row, to)
    }
}

/// How the rows of a track are drawn; empty if no schema is for them.
pub(super) fn drawings(slice: &Slice) -> (Vec<Box<dyn Drawing>>, Declared) {
    let declared = Declared::of(slice.sources());
    (of(&declared), declared)
}

fn of(declared: &Declared) -> Vec<Box<dyn Drawing>> {
    fn boxed<D: Drawing + 'static>(drawing: Option<D>) -> Option<Box<dyn Drawing>> {
        drawing.map(|drawing| Box::new(drawing) as Box<dyn Drawing>)
    }
    let whole = match declared.type_name() {
        "geometry_msgs/msg/Pose"
        | "geometry_msgs/msg/PoseStamped"
        | "geometry_msgs/msg/PoseWithCovariance"
        | "geometry_msgs/msg/PoseWithCovarianceStamped"
        | "nav_msgs/msg/Odometry" => boxed(pose::Pose::find(declared)),
        // Under `each`, every row is a pose.
        "geometry_msgs/msg/PoseArray" | "nav_msgs/msg/Path" => {
            boxed(pose::Poses::find(declared)).or_else(|| boxed(pose::Pose::find(declared)))
        }
        "geometry_msgs/msg/TransformStamped" | "tf2_msgs/msg/TFMessage" => {
            boxed(transform::Transform::find(declared))
                .or_else(|| boxed(transform::Transforms::find(declared)))
        }
        "sensor_msgs/msg/LaserScan" => boxed(scan::Scan::find(declared)),
        "sensor_msgs/msg/CameraInfo" => boxed(picture::Calibration::find(declared)),
        "sensor_msgs/msg/NavSatFix" => boxed(location::Location::find(declared)),
        "nav_msgs/msg/OccupancyGrid" => boxed(grid::Grid::find(declared)),
        "rcl_interfaces/msg/Log" => boxed(log::Log::find(declared)),
        _ => None,
    };
    let files = declared.files().into_iter();
    let files = files.map(|file| Box::new(DrawnFile::new(file)) as Box<dyn Drawing>);
    whole.into_iter().chain(files).collect()
}

#[cfg(test)]
mod tests;
