//! The targets for cargo-fuzz; `tests/whole/fuzzed.rs` runs the same over the corpus.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a panic is the report")]

#[path = "../tests/support/http.rs"]
mod http;
#[path = "../tests/whole/parquet_table.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod parquet_table;
pub mod targets;
