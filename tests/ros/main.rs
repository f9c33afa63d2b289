//! Whole-program tests on a real ROS graph: rclpy and r2r publishers, the bridge as a process, each
//! test in a domain of its own. Run with `scripts/with-ros cargo test`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic in a test is its report"
)]

mod blobs;
mod calls;
mod clocks;
mod definitions;
mod ends;
mod episodes;
mod fleet;
mod graph;
mod import;
mod keyboard;
mod observe;
mod operation;
mod rcl;
mod replay;
mod rows;
mod selection;
mod snapshot;
mod soak;
mod split;
mod stamps;
mod subscribing;
mod support;
mod trouble;
mod upload;

#[path = "../support/account.rs"]
mod account;
#[path = "../support/kills.rs"]
mod kills;
#[path = "../support/opened.rs"]
mod opened;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/small_disk.rs"]
mod small_disk;
