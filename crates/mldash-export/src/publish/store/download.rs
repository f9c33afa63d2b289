//! Objects as local files, however large.

use std::fs::File;
use std::io::Write;
use std::path::Path as LocalPath;

use bytes::Bytes;
use object_store::{Error as StoreError, GetOptions, GetRange, ObjectStore};

use super::{Store, absent_or};
use crate::publish::error::PublishError;

impl Store {
    /// Appends an object to `file`, which `path` is for messages. Returns false if there is no such object.
    pub(in crate::publish) fn download(
        &self,
        name: &str,
        file: &mut File,
        path: &LocalPath,
    ) -> Result<bool, PublishError> {
        let Some((begin, bytes)) = self.read_begin(name)? else { return Ok(false) };
        file.write_all(&begin).map_err(PublishError::io("write", path))?;
        let mut at = begin.len() as u64;
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

    /// The first part of an object, and the size of all of it: most have no second one, and cost one request.
    fn read_begin(&self, name: &str) -> Result<Option<(Bytes, u64)>, PublishError> {
        let place = self.layout.place(name);
        absent_or(self.retried("read", name, || async {
            let range = Some(GetRange::Bounded(0..self.part_bytes));
            let options = GetOptions { range, ..GetOptions::default() };
            let got = self.objects.get_opts(&place, options).await?;
            let bytes = got.meta.size;
            Ok((got.bytes().await?, bytes))
        }))
    }
}
