//! Records live ROS 2 robots into ML-Dash tracks: timestamp-indexed rows on one clock.
//!
//! A track is a stream of rows; a row is a time, float seconds, and named values. Rows of one track
//! that share a time are one row. Every message's header stamp becomes its row's time, so that
//! topics recorded side by side line up.
//!
//! ```text
//! ROS graph, MCAP bag ── CDR bytes ──▶ message ── rows ──▶ track ──▶ .dash on disk
//!                                        ▲                   │
//!                             mapping ───┘                   └──▶ json, parquet, …, aligned tables
//! ```
//!
//! - [`track`]: the Track API. Append, merge, flush, read, slice, align, files; knows nothing of ROS.
//!   Start here to write or to read tracks from Rust.
//! - [`message`]: CDR bytes and a message definition in, rows out.
//! - [`mapping`]: the YAML that says which topics become which tracks, and how.
//! - [`record`]: messages and a mapping in, rows in tracks out, with an account of every message.
//! - [`bag`]: recorded bags (MCAP, rosbag2's SQLite) through the same mapping.
//! - [`export`]: what others read: LeRobot datasets and tables of Parquet on an exact grid, and report pages.
//! - [`server`]: ML-Dash's endpoints for tracks and files over a local root.
//!
//! ```
//! use mldash_bridge::fields;
//! use mldash_bridge::track::{Experiment, Options, Query};
//!
//! # let root = tempfile::tempdir()?;
//! # let root = root.path();
//! let exp = Experiment::open("alice/warehouse/run-1", Options::local(root))?; // ".dash"
//! exp.tracks("robot/pose").append(fields! { "q": [0.1, -0.22, 0.45] }, 0.033)?;
//! let rows = exp.tracks("robot/pose").read(&Query::range(0.0..=10.0))?;
//! assert_eq!(rows[0].ts.as_secs(), 0.033);
//! exp.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The program `mldash_bridge` is a thin shell over these; `examples/` shows them one by one.

pub mod ros;

pub use mldash_export as export;
pub use mldash_message as message;
pub use mldash_record as record;
pub use mldash_record::{bag, blob, mapping};
pub use mldash_server as server;
pub use mldash_track as track;
pub use mldash_track::{fields, with_array};
