//! Writes `.files_metadata.json` anew from what it holds, one file after the other, so that memory
//! does not depend on their number.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, Serialize};

use super::FileInfo;
use crate::local::atomic::{Durable, Replacement};
use crate::local::beneath::How;
use crate::local::error::StoreError;
use crate::local::handles;
use crate::local::metadata::{Extra, malformed};

const FILES_KEY: &str = "files";

/// The new version of the list, up to the last file of the old one.
pub(super) struct NewList {
    path: PathBuf,
    out: Out,
    /// What else the old version holds.
    extra: Extra,
}

struct Out {
    file: BufWriter<Replacement>,
    count: u64,
    bytes: u64,
}

impl NewList {
    /// Starts a new version of the list at `path`, in which `each` says what takes the place of a
    /// file. There may be no list yet.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] if the list is damaged.
    pub(super) fn from(
        path: &Path,
        each: impl FnMut(FileInfo) -> Option<FileInfo>,
    ) -> Result<Self, StoreError> {
        let write = || StoreError::io("replace", path);
        let file = BufWriter::new(Replacement::of(path).map_err(write())?);
        let mut out = Out { file, count: 0, bytes: 0 };
        out.write(br#"{"files":["#).map_err(write())?;
        let extra = match handles::open(path, How::Read) {
            Ok(old) => copy(old, path, &mut out, each)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Extra::new(),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        Ok(Self { path: path.to_owned(), out, extra })
    }

    /// Adds `rest` and puts the new version in place of the old one. Returns its size in bytes.
    pub(super) fn finish(mut self, rest: Vec<FileInfo>) -> Result<u64, StoreError> {
        let write_all = |list: &mut Self| {
            rest.iter().try_for_each(|file| list.out.file(file))?;
            list.out.write(b"]")?;
            for (key, value) in &list.extra {
                list.out.write(b",")?;
                list.out.json(key)?;
                list.out.write(b":")?;
                list.out.json(value)?;
            }
            list.out.write(b"}")
        };
        let written = write_all(&mut self);
        let kept = written.and_then(|()| {
            let file = self.out.file.into_inner().map_err(|error| error.into_error())?;
            file.keep(Durable::Now)
        });
        kept.map_err(StoreError::io("replace", &self.path))?;
        Ok(self.out.bytes)
    }
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(value)?;
        self.write(&text)
    }

    fn file(&mut self, file: &FileInfo) -> io::Result<()> {
        if self.count > 0 {
            self.write(b",")?;
        }
        self.count += 1;
        self.json(file)
    }
}

/// Copies the files of `old` as `each` says. Returns what else `old` holds.
fn copy(
    old: File,
    path: &Path,
    out: &mut Out,
    mut each: impl FnMut(FileInfo) -> Option<FileInfo>,
) -> Result<Extra, StoreError> {
    let mut failed = None;
    let take = |file: FileInfo| match each(file).map_or(Ok(()), |file| out.file(&file)) {
        Ok(()) => true,
        Err(error) => {
            failed = Some(error);
            false
        }
    };
    let extra = read(old, path, take);
    match failed {
        Some(error) => Err(StoreError::io("replace", path)(error)),
        None => extra,
    }
}

/// Passes the files of the list at `path` to `take`, one after the other. There may be no list.
///
/// # Errors
/// [`StoreError::Malformed`] if the list is damaged.
pub(super) fn for_each_listed(
    path: &Path,
    mut take: impl FnMut(FileInfo),
) -> Result<(), StoreError> {
    let list = match handles::open(path, How::Read) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let take = |file| {
        take(file);
        true
    };
    read(list, path, take).map(drop)
}

/// Passes the files of `list` to `take` until it returns false. Returns what else it holds.
fn read(list: File, path: &Path, take: impl FnMut(FileInfo) -> bool) -> Result<Extra, StoreError> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, list));
    let extra = json.deserialize_map(ListVisitor { take });
    match extra.and_then(|extra| json.end().map(|()| extra)) {
        Err(error) if error.is_io() => Err(StoreError::io("read", path)(error.into())),
        extra => extra.map_err(|error| malformed(path, &error)),
    }
}

/// Hands on the files one by one until `take` returns false.
struct ListVisitor<F> {
    take: F,
}

impl<'de, F: FnMut(FileInfo) -> bool> Visitor<'de> for ListVisitor<F> {
    type Value = Extra;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Extra, M::Error> {
        let mut extra = Extra::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == FILES_KEY {
                map.next_value_seed(Files { take: &mut self.take })?;
            } else {
                extra.insert(key, map.next_value()?);
            }
        }
        Ok(extra)
    }
}

struct Files<'a, F> {
    take: &'a mut F,
}

impl<'de, F: FnMut(FileInfo) -> bool> DeserializeSeed<'de> for Files<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<(), D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(FileInfo) -> bool> Visitor<'de> for Files<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut files: S) -> Result<(), S::Error> {
        while let Some(file) = files.next_element()? {
            if !(self.take)(file) {
                return Err(S::Error::custom("the new list can't be written"));
            }
        }
        Ok(())
    }
}
