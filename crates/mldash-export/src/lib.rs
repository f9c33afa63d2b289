//! What others read of recordings.

mod error;
mod picture;
pub mod recipe;
mod stats;

pub use error::ExportError;
