//! Callers that wait until the server has what the store holds.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;

use crate::local::RunStatus;
use crate::remote::error::RemoteError;
use crate::remote::plan::FileId;

/// A command to the upload.
#[derive(Debug)]
pub(crate) enum Command {
    /// Answer once the server has everything that is in the store now.
    Wait(Waiter),
    /// The run ended with this status and nothing more comes: answer once the server has everything
    /// and the status.
    End(RunStatus, Waiter),
}

/// A waiting caller.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Where the answer goes.
    pub(crate) answer: SyncSender<Result<(), RemoteError>>,
    /// Answer with an error after this many more failures in a row; `None` means never.
    pub(crate) max_failures: Option<u32>,
    /// Whether the server must have the final status.
    pub(crate) wants_status: bool,
    /// Set when the wait begins.
    pub(crate) targets: Option<Targets>,
}

/// What was in the store when a wait began.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// Bytes of each track's file.
    pub(crate) tracks: HashMap<String, u64>,
    /// The last file saved.
    pub(crate) newest_file: Option<FileId>,
    /// The number of the latest survey.
    pub(crate) survey: u64,
    /// How many times in a row calls had failed by then.
    pub(crate) failures: u32,
}

impl Waiter {
    pub(crate) fn new(
        answer: SyncSender<Result<(), RemoteError>>,
        max_failures: Option<u32>,
        wants_status: bool,
    ) -> Self {
        Self { answer, max_failures, wants_status, targets: None }
    }
}
