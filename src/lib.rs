//! Records live ROS 2 robots into ML-Dash tracks: timestamp-indexed rows on one clock.

pub mod mapping;
pub mod message;
pub mod track;
