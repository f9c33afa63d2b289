//! The Track API client: experiments, tracks, rows. Knows nothing of ROS.

pub mod json;
pub mod row;

pub use row::{Array, Column, Fields, Row, TIMESTAMP_COLUMN, Timestamp, TimestampError, Value};
