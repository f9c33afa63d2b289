//! Planning: which call comes next, when to retry, and what a request holds. Pure; it knows
//! neither files nor the network.

mod backoff;
mod file_names;
mod next_call;
mod wire_rows;

pub(super) use backoff::{Backoff, Failures, retry_after};
pub(super) use file_names::{FileId, FileNames};
pub(super) use next_call::{Call, CallPlan};
pub(super) use wire_rows::WireRows;
