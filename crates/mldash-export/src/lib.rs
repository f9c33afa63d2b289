//! What others read of recordings.

mod error;
mod grid;
mod joins;
mod picture;
pub mod recipe;
mod stats;
mod values;

pub use error::ExportError;
