//! What others read of recordings.

pub mod recipe;
