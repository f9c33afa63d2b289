//! Objects as local files, however large.

use std::fs::File;
use std::io::Write;
use std::path::Path as LocalPath;

use object_store::Error as StoreError;

use super::Store;
use crate::publish::error::PublishError;

impl Store {
    /// Appends an object to `file`, which `path` is for messages. Returns false if there is no such object.
    pub(in crate::publish) fn download(
        &self,
        name: &str,
        file: &mut File,
        path: &LocalPath,
    ) -> Result<bool, PublishError> {
        let Some(bytes) = self.size_of(name)? else { return Ok(false) };
        let mut at = 0;
        while at < bytes {
            self.check_stop()?;
            let end = bytes.min(at + self.part_bytes);
            let part = match self.read_range(name, at..end) {
                Ok(part) => part,
                Err(PublishError::Store { source, .. })
                    if matches!(*source, StoreError::NotFound { .. }) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            file.write_all(&part).map_err(PublishError::io("write", path))?;
            at = end;
        }
        Ok(true)
    }
}
