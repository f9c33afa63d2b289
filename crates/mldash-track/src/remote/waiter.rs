//! Callers that wait until the server has what the store holds.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;

use super::error::RemoteError;
use super::names::FileId;
use crate::local::RunStatus;

/// A command to the upload.
#[derive(Debug)]
pub(super) enum Command {
    /// Answer once the server has everything that is in the store now.
    Wait(Waiter),
    /// The run ended with this status and nothing more comes: answer once the server has everything
    /// and the status.
    End(RunStatus, Waiter),
}

/// A waiting caller.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Where the answer goes.
    pub(super) answer: SyncSender<Result<(), RemoteError>>,
    /// Answer with an error after this many more failures in a row; `None` means never.
    pub(super) max_failures: Option<u32>,
    /// Whether the server must have the final status.
    pub(super) wants_status: bool,
    /// Set when the wait begins.
    pub(super) targets: Option<Targets>,
}

/// What was in the store when a wait began.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Bytes of each track's file.
    pub(super) tracks: HashMap<String, u64>,
    /// The last file saved.
    pub(super) newest_file: Option<FileId>,
    /// The number of the look at that time.
    pub(super) look: u64,
    /// How many times in a row calls had failed by then.
    pub(super) failures: u32,
}

impl Waiter {
    pub(super) fn new(
        answer: SyncSender<Result<(), RemoteError>>,
        max_failures: Option<u32>,
        wants_status: bool,
    ) -> Self {
        Self { answer, max_failures, wants_status, targets: None }
    }
}
