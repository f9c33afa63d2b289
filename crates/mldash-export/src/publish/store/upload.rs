//! Large objects: put in parts, read from the disk as they go.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path as LocalPath;

use bytes::Bytes;
use object_store::{Error as StoreError, MultipartUpload, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};

use super::{Created, Store, Tries};
use crate::publish::error::PublishError;

/// S3 takes 10,000 parts, so those of large files grow.
const MAX_PARTS: u64 = 9_000;

/// A local file to put.
pub(in crate::publish) struct Source<'f> {
    pub(in crate::publish) file: File,
    /// For messages.
    pub(in crate::publish) path: &'f LocalPath,
    pub(in crate::publish) bytes: u64,
    /// What its content must be, in hexadecimal, if that is known.
    pub(in crate::publish) sha256: Option<&'f str>,
}

/// Why a part was not put.
enum Failure {
    Store(StoreError),
    Other(PublishError),
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::Other(error)
    }
}

impl Store {
    /// Puts a file if there is no such object. One in parts replaces an object that came meanwhile, which has the same name
    /// and so the same content. `sent` is told how many bytes are put.
    pub(in crate::publish) fn put_file(
        &self,
        name: &str,
        source: &mut Source<'_>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<Created, PublishError> {
        if source.bytes > self.part_bytes {
            return self.put_in_parts(name, source, sent).map(|()| Created::New);
        }
        source.file.rewind().map_err(PublishError::io("read", source.path))?;
        let bytes = source.whole()?;
        let created = self.create(name, bytes)?;
        sent(source.bytes);
        Ok(created)
    }

    /// Puts a small file over what is there.
    pub(in crate::publish) fn put_over(
        &self,
        name: &str,
        source: &mut Source<'_>,
    ) -> Result<(), PublishError> {
        source.file.rewind().map_err(PublishError::io("read", source.path))?;
        self.put(name, source.whole()?)
    }

    /// Copies an object into a temporary file, a piece at a time.
    pub(in crate::publish) fn fetch(&self, name: &str) -> Result<Option<File>, PublishError> {
        let folder = std::env::temp_dir();
        let mut file =
            tempfile::tempfile().map_err(PublishError::io("create a file in", &folder))?;
        let is_there = self.download(name, &mut file, &folder)?;
        Ok(is_there.then_some(file))
    }

    fn put_in_parts(
        &self,
        name: &str,
        source: &mut Source<'_>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), PublishError> {
        let mut tries = Tries::new(self);
        loop {
            source.file.rewind().map_err(PublishError::io("read", source.path))?;
            match self.try_parts(name, source, sent) {
                Ok(()) => return Ok(()),
                Err(Failure::Store(error)) => tries.wait("put", name, error)?,
                Err(Failure::Other(error)) => return Err(error),
            }
        }
    }

    fn try_parts(
        &self,
        name: &str,
        source: &mut Source<'_>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let place = self.layout.place(name);
        let mut upload = self.asked(self.objects.put_multipart(&place)).map_err(Failure::Store)?;
        let put = self.put_parts(name, upload.as_mut(), source, sent);
        let put =
            put.and_then(|()| self.asked(upload.complete()).map(drop).map_err(Failure::Store));
        if put.is_err() {
            // Parts that stay are removed by the store's own rule, if it has one.
            let _ = self.asked(upload.abort());
        }
        put
    }

    /// Puts the parts one after the other, each as often as it takes.
    fn put_parts(
        &self,
        name: &str,
        upload: &mut dyn MultipartUpload,
        source: &mut Source<'_>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let part_bytes = self.part_bytes.max(source.bytes.div_ceil(MAX_PARTS));
        let mut hash = Sha256::new();
        let mut left = source.bytes;
        while left > 0 {
            self.check_stop()?;
            let part = source.read(part_bytes.min(left))?;
            hash.update(&part);
            left -= part.len() as u64;
            if left == 0 {
                source.check(hash.clone())?;
            }
            // A part that failed can't be put again under its number here, so the whole begins anew.
            let bytes = part.len() as u64;
            let put = async {
                self.in_pace(part.len()).await;
                upload.put_part(PutPayload::from(part)).await
            };
            self.asked(put).map_err(Failure::Store)?;
            tracing::trace!("put {bytes} bytes of {name}");
            sent(bytes);
        }
        Ok(())
    }
}

impl Source<'_> {
    fn whole(&mut self) -> Result<Bytes, PublishError> {
        let bytes = self.read(self.bytes)?;
        let mut hash = Sha256::new();
        hash.update(&bytes);
        self.check(hash)?;
        Ok(bytes)
    }

    /// The next so many bytes.
    fn read(&mut self, bytes: u64) -> Result<Bytes, PublishError> {
        let mut part = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        let read = Read::by_ref(&mut self.file).take(bytes).read_to_end(&mut part);
        let read = read.and_then(|read| match read as u64 == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        read.map_err(PublishError::io("read", self.path))?;
        Ok(part.into())
    }

    fn check(&self, hash: Sha256) -> Result<(), PublishError> {
        let is_whole =
            self.sha256.is_none_or(|sha256| mldash_track::hex(&hash.finalize()) == sha256);
        if is_whole {
            return Ok(());
        }
        let damaged = io::Error::new(io::ErrorKind::InvalidData, "it is not what was saved");
        Err(PublishError::io("read", self.path)(damaged))
    }
}
