//! What others read of recordings: datasets to train on, runs as MCAP ([`mcap`]), pages to look at ([`report`]), Parquet on
//! object stores (`publish`, a feature). It knows no graph and no terminal.
//!
//! A [`recipe`] says which features a dataset has and where their values come from; [`export()`] writes it from recordings, as
//! a dataset of LeRobot's (version 3.0) or as a plain table of Parquet. Recordings are put on an exact grid; what a
//! recording lacks is told in the [`Account`], and costs what the recipe says.
//!
//! ```
//! use mldash_export::recipe::Recipe;
//! use mldash_export::{Progress, Recording, Target, export};
//! use mldash_track::{Experiment, Options, fields};
//!
//! # let root = tempfile::tempdir()?;
//! # let exp = Experiment::open("alice/lab/run", Options::local(root.path()))?;
//! for i in 0..20 {
//!     exp.tracks("odom").append(fields! { "x": f64::from(i) }, f64::from(i) / 10.0)?;
//! }
//! exp.close()?;
//! let recipe = "{fps: 5, task: drive, features: {observation.state: {from: 'odom:x', method: linear}}}";
//! let recipe = Recipe::parse(recipe, "recipe.yaml")?;
//! let experiment = Experiment::open_read_only("alice/lab/run", root.path())?;
//! let recordings = [Recording { name: "alice/lab/run".to_owned(), experiment }];
//! let dataset = root.path().join("dataset");
//! let account = export(&recipe, &recordings, &dataset, Target::New, &Progress::default())?;
//! assert_eq!((account.episodes, account.frames), (1, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod account;
mod aside;
mod at_once;
mod dataset_schema;
mod draft;
mod error;
mod export;
mod files;
mod frames;
mod grid;
mod joins;
mod lerobot;
pub mod mcap;
mod parquet_file;
mod picture;
mod pictures;
mod plan;
mod progress;
#[cfg(feature = "publish")]
pub mod publish;
pub mod recipe;
pub mod report;
pub mod ros2;
mod rows;
mod stats;
mod table;
mod values;
mod video;

pub use account::Account;
pub use draft::draft;
pub use error::ExportError;
pub use export::{Target, export};
pub use picture::PictureError;
pub use plan::Recording;
pub use progress::Progress;
pub use values::numbers;
