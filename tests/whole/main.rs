//! Whole-program tests that need no ROS: the library's and the commands' behaviour on real files.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its report")]

mod align;
mod append;
mod blobs;
mod bounds;
mod calls;
mod check;
mod clocks;
mod command_line;
mod damage;
mod dataset;
mod decode;
mod depth;
mod disk;
mod episodes;
mod experiments;
mod export;
mod failing;
mod files;
mod flipped;
mod formats;
mod fuzzed;
mod handles;
mod import;
mod interop;
mod keys;
mod killed;
mod list;
mod made_bag;
mod manual;
mod mapping;
mod memory;
mod output;
mod packed;
mod pages;
mod parquet_table;
mod plot;
mod promises;
mod proxy;
mod publish;
mod publish_azure;
mod publish_s3;
mod recorder;
mod report;
mod ros2;
mod run;
mod schema;
mod secrets;
mod selection;
mod serve;
mod serve_bombs;
mod serve_refuses;
mod serve_survives;
mod slice;
mod snapshot;
mod split;
mod stamps;
mod store;
mod store_model;
mod sync;
mod tidy;

#[path = "../support/account.rs"]
mod account;
#[path = "../support/azure.rs"]
mod azure;
#[path = "../support/failing_calls.rs"]
mod failing_calls;
#[path = "../support/proxy.rs"]
mod fault_proxy;
#[path = "../support/free_port.rs"]
mod free_port;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/kills.rs"]
mod kills;
#[path = "../support/liar.rs"]
mod liar;
#[path = "../support/markdown.rs"]
mod markdown;
#[path = "../support/opened.rs"]
mod opened;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/request_proxy.rs"]
mod request_proxy;
#[path = "../support/s3.rs"]
mod s3;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/small_disk.rs"]
mod small_disk;
#[path = "../support/terminal.rs"]
mod terminal;
