//! What others read of recordings.

pub mod account;
mod aside;
mod draft;
mod error;
mod export;
mod frames;
mod grid;
mod joins;
mod layout;
mod lerobot;
mod parquet_file;
mod picture;
mod pictures;
mod plan;
pub mod recipe;
mod stats;
mod table;
mod values;
mod video;

pub use account::Account;
pub use draft::draft;
pub use error::ExportError;
pub use export::{Target, export};
pub use frames::Progress;
pub use picture::PictureError;
pub use plan::Recording;
