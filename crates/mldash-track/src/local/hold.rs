//! A note in an experiment's folder: somebody else, such as a store that it is published to, is to have its rows and files too.
//! While it lies there, nothing is removed because a server has it.

use std::io;

use super::atomic::replace_file;
use super::disk;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;

const HOLD_FILE: &str = ".hold";
/// Longer ones are not ours.
const MAX_HOLD_BYTES: u64 = 4096;

impl ExperimentDir {
    /// Notes that `by` is to have what is here.
    pub(crate) fn hold(&self, by: &str) -> Result<(), StoreError> {
        replace_file(&self.path().join(HOLD_FILE), by.as_bytes())
    }

    /// Who is to have what is here.
    pub(crate) fn held_by(&self) -> Result<Option<String>, StoreError> {
        let note = self.read_beside(HOLD_FILE, MAX_HOLD_BYTES)?;
        Ok(note.map(|note| String::from_utf8_lossy(&note).into_owned()))
    }

    /// Removes the note, if it is about `by`.
    pub(crate) fn release(&self, by: &str) -> Result<(), StoreError> {
        if self.held_by()?.as_deref() != Some(by) {
            return Ok(());
        }
        let path = self.path().join(HOLD_FILE);
        match disk::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}
