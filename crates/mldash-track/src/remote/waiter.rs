//! Those who wait until the server has what the store holds.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;

use super::error::RemoteError;
use super::names::FileId;
use crate::local::RunStatus;

/// What the upload is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Answer once the server has all that is in the store now.
    Wait(Waiter),
    /// Nothing more comes, and the run ended so: answer once the server has everything and knows.
    End(RunStatus, Waiter),
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    /// Where the answer goes.
    pub(super) answer: SyncSender<Result<(), RemoteError>>,
    /// After so many more failures in a row the answer is an error; `None`: never.
    pub(super) max_failures: Option<u32>,
    /// Whether the server must know how the run ended.
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
    /// The number of the look then.
    pub(super) look: u64,
    /// How often in a row calls had failed by then.
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
