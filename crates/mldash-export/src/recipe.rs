//! What a dataset is made of: a YAML file that names its features and where their values come
//! from. Read with all problems at once; knows no recording.

mod keys;
mod read;
mod source;

use std::path::Path;

use mldash_record::yaml::{self, Problems, Spot, YamlErrors};

use crate::error::ExportError;
pub use keys::RECIPE;
pub use source::{Elements, Source, SourceError};

/// What messages call the file.
const WHAT: &str = "recipe";

/// A dataset's recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The layout of the dataset.
    pub format: Format,
    /// Ticks a second.
    pub fps: u32,
    /// What robot it is.
    pub robot_type: Option<String>,
    /// What the robot does; `None`: the experiment's own task.
    pub task: Option<String>,
    /// Shorter episodes are left out, and told.
    pub min_frames: u64,
    /// For every feature, adds its true stamps and ages as features.
    pub stamps: bool,
    /// How videos are encoded.
    pub video: VideoSettings,
    /// The features, in order; at least one.
    pub features: Vec<Feature>,
}

/// The layout of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// LeRobot v3.0.
    #[default]
    LeRobot,
    /// One table of Parquet, in one folder for each episode.
    Parquet,
}

/// What a tick without a fresh value costs, between an episode's first tick and its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The export fails and names episode, feature and time.
    #[default]
    Error,
    /// The tick is left out, with all up to the next whole one, where a new episode starts.
    Drop,
    /// The last value stays, however old it is.
    Hold,
    /// The episode ends before it, and what follows is left out.
    EndEpisode,
}

/// Which rows a tick's value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The last row at or before the tick: what was known then.
    #[default]
    Floor,
    /// The nearest row.
    Nearest,
    /// Between the rows before and after it.
    Linear,
    /// Between two rotations, as quaternions `[x, y, z, w]`.
    Slerp,
    /// Over all rows since the tick before.
    Window(WindowValue),
}

/// What of the rows in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum WindowValue {
    Mean,
    Min,
    Max,
    Last,
    Count,
}

/// One feature of the dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name, such as `observation.state`.
    pub name: String,
    /// What it holds.
    pub content: Content,
    /// Which rows a value comes from.
    pub method: Method,
    /// How far away such a row may be, in seconds; infinite if there is no limit.
    pub tolerance_secs: f64,
    /// What a missing value costs.
    pub missing: Missing,
    /// Where the recipe has it.
    pub spot: Spot,
}

/// What a feature holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A fixed number of numbers.
    Numbers(Numbers),
    /// A picture.
    Picture(Picture),
}

/// Numbers, one after the other from each source.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// Where they come from; at least one.
    pub sources: Vec<Source>,
    /// How they are stored.
    pub dtype: Dtype,
    /// A name for each, if given.
    pub names: Option<Vec<String>>,
    /// A unit for each, if given.
    pub units: Option<Vec<String>>,
    /// The joints in this order, by the names beside the column.
    pub joints: Option<Vec<String>>,
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the primitive types of their names")]
pub enum Dtype {
    #[default]
    Float32,
    Float64,
    Int64,
    Bool,
}

/// Pictures from files that rows name.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The track, with the column that names the file if it is not the only one.
    pub source: Source,
    /// How it is stored.
    pub storage: PictureStorage,
    /// Height and width in pixels; `None`: as recorded.
    pub size: Option<(u32, u32)>,
}

/// How pictures are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureStorage {
    /// As files in the table.
    Image,
    /// As frames of a video.
    Video,
}

/// How videos are encoded: LeRobot's own settings unless the recipe says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// ffmpeg's encoder.
    pub codec: String,
    /// The quality; less is better.
    pub crf: u32,
    /// A whole frame every so many.
    pub gop: u32,
    /// How pixels are stored.
    pub pix_fmt: String,
    /// The encoder's preset, if it has any.
    pub preset: Option<String>,
}

impl Recipe {
    /// Reads the recipe in the file at `path`.
    ///
    /// # Errors
    /// Fails if the file can't be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, YamlErrors> {
        Self::parse(&yaml::read_file(WHAT, path)?, path)
    }

    /// Reads a recipe. `path` stands for it in messages.
    ///
    /// # Errors
    /// Fails with everything that is wrong in the text.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, YamlErrors> {
        let mut problems = Problems::default();
        let recipe = read::recipe(text, &mut problems);
        problems.none_or_all(WHAT, path.as_ref(), recipe)
    }

    /// The same in another format.
    ///
    /// # Errors
    /// Fails if a feature is a video, or named as a column of its own is, which a plain table can't hold.
    pub fn in_format(mut self, format: Format) -> Result<Self, ExportError> {
        let problem = read::no_table(&self).into_iter().next();
        if let (Format::Parquet, Some((feature, message, hint))) = (format, problem) {
            let reason = format!("{message}; {hint}");
            return Err(ExportError::Recipe { feature: feature.name.clone(), reason });
        }
        self.format = format;
        Ok(self)
    }

    /// The pictures among the features.
    pub fn pictures(&self) -> impl Iterator<Item = (&Feature, &Picture)> {
        self.features.iter().filter_map(|feature| match &feature.content {
            Content::Picture(picture) => Some((feature, picture)),
            Content::Numbers(_) => None,
        })
    }

    /// Returns true if a feature is made of this track.
    pub fn reads(&self, track: &str) -> bool {
        self.features.iter().any(|feature| match &feature.content {
            Content::Numbers(numbers) => numbers.sources.iter().any(|source| source.track == track),
            Content::Picture(picture) => picture.source.track == track,
        })
    }

    /// Returns true if ffmpeg is needed.
    pub fn has_video(&self) -> bool {
        self.pictures().any(|(_, picture)| picture.storage == PictureStorage::Video)
    }
}

impl Dtype {
    /// Its name, as numpy and LeRobot have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::Int64 => "int64",
            Self::Bool => "bool",
        }
    }
}

impl Method {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Nearest => "nearest",
            Self::Linear => "linear",
            Self::Slerp => "slerp",
            Self::Window(_) => "window",
        }
    }
}

impl Missing {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Drop => "drop",
            Self::Hold => "hold",
            Self::EndEpisode => "end_episode",
        }
    }
}

impl Default for VideoSettings {
    fn default() -> Self {
        Self {
            codec: "libsvtav1".to_owned(),
            crf: 30,
            gop: 2,
            pix_fmt: "yuv420p".to_owned(),
            preset: Some("12".to_owned()),
        }
    }
}
