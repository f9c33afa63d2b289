//! Puts under a condition: that nothing is there, or that what is there is what was read.

use std::fs::{File, TryLockError};
use std::path::{Path as LocalPath, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, UpdateVersion,
};

use super::Store;
use super::tries::Tries;
use crate::publish::error::PublishError;

/// How soon a lock that another one holds is tried again.
const LOOK_FOR_LOCK: Duration = Duration::from_millis(5);

/// How an object is replaced only if it is still what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::publish) enum Updates {
    /// By a condition of the store's own.
    Conditional,
    /// Under a lock of this file.
    Locked(PathBuf),
    /// Without: the caller sees to it that nobody else publishes.
    Unconditional,
}

/// What was read, for a condition.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::publish) struct Version(pub(super) UpdateVersion);

/// What a put under the condition that nothing is there did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish) enum Created {
    /// It put the object.
    New,
    /// There is one.
    Existed,
}

impl Store {
    /// Puts an object if none is there.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub(in crate::publish) fn create(
        &self,
        name: &str,
        bytes: Bytes,
    ) -> Result<Created, PublishError> {
        let mode = match self.updates {
            Updates::Unconditional => PutMode::Overwrite,
            Updates::Conditional | Updates::Locked(_) => PutMode::Create,
        };
        match self.put_as(name, bytes, mode) {
            Ok(()) => Ok(Created::New),
            Err(PublishError::Store { source, .. })
                if matches!(*source, StoreError::AlreadyExists { .. }) =>
            {
                Ok(Created::Existed)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts an object if what is there is still `before`, or if nothing is there. `None` if that is not so, and nothing was
    /// changed.
    ///
    /// # Errors
    /// Fails if the store does not take it.
    pub(in crate::publish) fn update(
        &self,
        name: &str,
        bytes: &Bytes,
        before: Option<&Version>,
    ) -> Result<Option<Version>, PublishError> {
        let mut tries = Tries::new(self);
        loop {
            let error = match self.try_update(name, bytes, before) {
                Ok(updated) => return Ok(updated),
                Err(error) => error,
            };
            tries.wait("put", name, error)?;
            // It may have succeeded: then what is there is what was put.
            match self.read(name)? {
                Some((there, version)) if there == *bytes => return Ok(Some(version)),
                Some((_, version)) if before != Some(&version) => return Ok(None),
                None if before.is_some() => return Ok(None),
                _ => {}
            }
        }
    }

    fn try_update(
        &self,
        name: &str,
        bytes: &Bytes,
        before: Option<&Version>,
    ) -> Result<Option<Version>, StoreError> {
        // Before the lock is taken, which others may wait for.
        self.unless_stopped(self.in_pace(bytes.len()))?;
        let place = self.layout.place(name);
        let payload = || PutPayload::from(bytes.clone());
        let put = |mode: PutMode| {
            self.asked(self.objects.put_opts(&place, payload(), PutOptions::from(mode)))
        };
        let done = match &self.updates {
            Updates::Conditional => put(match before {
                Some(Version(version)) => PutMode::Update(version.clone()),
                None => PutMode::Create,
            }),
            Updates::Unconditional => put(PutMode::Overwrite),
            Updates::Locked(lock) => match self.put_locked(lock, &place, payload(), before)? {
                Some(put) => Ok(put),
                None => return Ok(None),
            },
        };
        match done {
            Ok(put) => Ok(Some(Version(UpdateVersion { e_tag: put.e_tag, version: put.version }))),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks and puts under a lock, for a folder.
    fn put_locked(
        &self,
        lock: &LocalPath,
        place: &Path,
        payload: PutPayload,
        before: Option<&Version>,
    ) -> Result<Option<PutResult>, StoreError> {
        let lock = self.lock(lock)?;
        let there = match self.asked(self.objects.head(place)) {
            Ok(meta) => Some(meta.e_tag),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if there != before.map(|Version(version)| version.e_tag.clone()) {
            return Ok(None);
        }
        self.count();
        // A stop does not end it: its thread would go on to write the file, after the lock is gone.
        let put =
            self.runtime.block_on(self.objects.put_opts(place, payload, PutOptions::default()));
        drop(lock);
        put.map(Some)
    }

    /// Takes the lock of a folder until it is dropped.
    fn lock(&self, path: &LocalPath) -> Result<File, StoreError> {
        let failed = |source| StoreError::Generic { store: "folder", source: Box::new(source) };
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if self.is_stopped() => return Err(super::stopped()),
                // Whoever holds it may stand still.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_FOR_LOCK),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}
