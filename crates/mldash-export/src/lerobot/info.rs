//! `meta/info.json`: what a dataset holds, as LeRobot's loader reads it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::files::{CHUNK_FILES, DATA_FILE_MB, VIDEO_FILE_MB};
use crate::dataset_schema::{Column, DatasetSchema, Kind, LEROBOT_COLUMNS};
use crate::recipe::Recipe;
use crate::video::VideoInfo;

pub(super) const VERSION: &str = "v3.0";

#[derive(Debug, Serialize)]
pub(super) struct Info {
    codebase_version: &'static str,
    robot_type: Option<String>,
    pub(super) total_episodes: u64,
    pub(super) total_frames: u64,
    pub(super) total_tasks: u64,
    chunks_size: u64,
    data_files_size_in_mb: u64,
    video_files_size_in_mb: u64,
    fps: u32,
    splits: Splits,
    data_path: &'static str,
    video_path: Option<&'static str>,
    features: InOrder<FeatureInfo>,
}

#[derive(Debug, Serialize)]
struct Splits {
    train: String,
}

/// A JSON object whose keys keep their order.
#[derive(Debug)]
pub(super) struct InOrder<T>(pub(super) Vec<(String, T)>);

#[derive(Debug, Serialize)]
pub(super) struct FeatureInfo {
    dtype: &'static str,
    shape: Vec<u64>,
    names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<VideoFacts>,
}

#[derive(Debug, Serialize)]
struct VideoFacts {
    #[serde(rename = "video.height")]
    height: u32,
    #[serde(rename = "video.width")]
    width: u32,
    #[serde(rename = "video.codec")]
    codec: String,
    #[serde(rename = "video.pix_fmt")]
    pix_fmt: String,
    #[serde(rename = "video.is_depth_map")]
    is_depth_map: bool,
    #[serde(rename = "video.fps")]
    fps: u32,
    #[serde(rename = "video.channels")]
    channels: u8,
    has_audio: bool,
}

/// How much a dataset holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) episodes: u64,
    pub(super) frames: u64,
    pub(super) tasks: u64,
}

impl Info {
    /// `videos` are what the videos of features turned out to be.
    pub(super) fn new(
        recipe: &Recipe,
        schema: &DatasetSchema,
        totals: Totals,
        videos: &[(String, VideoInfo)],
    ) -> Self {
        let own = schema.columns.iter().map(|column| {
            let video = videos.iter().find(|(name, _)| *name == column.name);
            let info = feature(column, recipe.fps, video.map(|(_, info)| info));
            (column.name.clone(), info)
        });
        let default = LEROBOT_COLUMNS.iter().map(|(name, dtype)| {
            let (dtype, shape) = (dtype.name(), vec![1]);
            ((*name).to_owned(), FeatureInfo { dtype, shape, names: None, units: None, info: None })
        });
        let video_path = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";
        Self {
            codebase_version: VERSION,
            robot_type: recipe.robot_type.clone(),
            total_episodes: totals.episodes,
            total_frames: totals.frames,
            total_tasks: totals.tasks,
            chunks_size: CHUNK_FILES,
            data_files_size_in_mb: DATA_FILE_MB,
            video_files_size_in_mb: VIDEO_FILE_MB,
            fps: recipe.fps,
            splits: Splits { train: format!("0:{}", totals.episodes) },
            data_path: "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            video_path: recipe.has_video().then_some(video_path),
            features: InOrder(own.chain(default).collect()),
        }
    }
}

fn feature(column: &Column, fps: u32, video: Option<&VideoInfo>) -> FeatureInfo {
    match &column.kind {
        Kind::Numbers(numbers) => FeatureInfo {
            dtype: numbers.dtype.name(),
            shape: vec![numbers.width as u64],
            names: numbers.names.clone(),
            units: numbers.units.clone(),
            info: None,
        },
        Kind::Picture(picture) => {
            let shape = picture.shape;
            let facts = |video: &VideoInfo| VideoFacts {
                height: shape.height,
                width: shape.width,
                codec: video.codec.clone(),
                pix_fmt: video.pix_fmt.clone(),
                is_depth_map: false,
                fps,
                channels: shape.channels,
                has_audio: false,
            };
            FeatureInfo {
                dtype: if column.is_video() { "video" } else { "image" },
                shape: vec![shape.height.into(), shape.width.into(), shape.channels.into()],
                names: Some(["height", "width", "channels"].map(str::to_owned).into()),
                units: None,
                info: video.map(facts),
            }
        }
    }
}

impl<T: Serialize> Serialize for InOrder<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
