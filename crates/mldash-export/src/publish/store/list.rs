//! Lists of objects, which go on where they broke off.

use std::time::SystemTime;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore};

use super::Store;
use super::tries::Tries;
use crate::publish::error::PublishError;

/// An object that is there.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::publish) struct Listed {
    /// Its name below the prefix.
    pub(in crate::publish) name: String,
    /// Its size.
    pub(in crate::publish) bytes: u64,
    /// When it was put.
    pub(in crate::publish) modified: SystemTime,
}

impl Store {
    /// Calls `take` with every object below a folder.
    ///
    /// # Errors
    /// Fails if the store does not answer, or `take` does.
    pub(in crate::publish) fn list(
        &self,
        folder: &str,
        mut take: impl FnMut(Listed) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let place = self.layout.place(folder);
        let mut last: Option<Path> = None;
        let mut tries = Tries::new(self);
        // A list that breaks off goes on after the last object. A folder's has no order, so that it can't go on.
        let is_sorted = !self.is_folder();
        'again: loop {
            self.count();
            let mut objects = match &last {
                Some(last) => self.objects.list_with_offset(Some(&place), last),
                None => self.objects.list(Some(&place)),
            };
            loop {
                self.check_stop()?;
                let object = match self.unless_stopped(objects.next()) {
                    Ok(Some(object)) => object,
                    Ok(None) => return Ok(()),
                    Err(_stopped) => return Err(PublishError::Stopped),
                };
                match object {
                    Ok(object) => {
                        let name = self.layout.name_of(&object.location);
                        last = Some(object.location);
                        if let Some(name) = name {
                            let (bytes, modified) = (object.size, object.last_modified.into());
                            take(Listed { name, bytes, modified })?;
                        }
                    }
                    Err(StoreError::NotFound { .. }) if last.is_none() => return Ok(()),
                    Err(error) if last.is_none() || is_sorted => {
                        tries.wait("list", folder, error)?;
                        continue 'again;
                    }
                    Err(error) => return Err(tries.give_up("list", folder, error)),
                }
            }
        }
    }
}
