//! The text of a track's rows, however it lies on the disk: plain in `data.jsonl`, packed in
//! `data.jsonl.zst`, or both. Whoever reads rows opens them here.
//!
//! If both are there, the text is that of the packed file and then that of the plain one. Rows of
//! one time merge, so each row counts once whatever made it so:
//! 1. Packing or unpacking puts the new file in its place before it removes the old one, and may end
//!    between (`kill -9`, power cut). The plain file then begins with the packed text, and is read
//!    alone.
//! 2. A program that knows nothing of packed files (the SDK) has begun a plain file beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::beneath::How;
use super::disk;
use super::error::StoreError;
use super::file_stamp::FileStamp;
use super::handles::{self, Identity, KeptFile};
use super::packed::{MAX_LINE_BYTES, PACKED_FILE, PackedText};

/// The plain file's name in a track's folder.
pub(super) const DATA_FILE: &str = "data.jsonl";

/// How often to look again if files change places meanwhile.
const LOOKS: usize = 4;
/// Bytes compared at a time.
const COMPARED_BYTES: usize = 256 << 10;

/// Text of rows that is read at any place, as from a plain file.
pub(super) trait RowText {
    /// Reads some of the text at `offset`; nothing at its end.
    fn read_text(&self, text: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Bytes of text.
    fn text_bytes(&self) -> io::Result<u64>;

    /// When it was last modified, in nanoseconds since 1970.
    fn modified_nanos(&self) -> io::Result<i64>;

    /// The most bytes that a line of it may have.
    fn max_line_bytes(&self) -> usize {
        usize::MAX
    }

    /// Fills `text` with the text at `offset`.
    fn read_whole_text(&self, mut text: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !text.is_empty() {
            match self.read_text(text, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    text = &mut text[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns true if it begins with all of `beginning`.
    fn begins_with(&self, beginning: &impl RowText) -> io::Result<bool> {
        let end = beginning.text_bytes()?;
        if self.text_bytes()? < end {
            return Ok(false);
        }
        let (mut ours, mut theirs) = (Vec::new(), vec![0; COMPARED_BYTES]);
        let mut at = 0;
        while at < end {
            let read = beginning.read_text(&mut theirs, at)?;
            ours.resize(read, 0);
            self.read_whole_text(&mut ours, at)?;
            if read == 0 || ours != theirs[..read] {
                return Ok(false);
            }
            at += read as u64;
        }
        Ok(true)
    }
}

impl RowText for File {
    fn read_text(&self, text: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(text, offset)
    }

    fn text_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn modified_nanos(&self) -> io::Result<i64> {
        let metadata = self.metadata()?;
        Ok(metadata.mtime().wrapping_mul(1_000_000_000) + metadata.mtime_nsec())
    }
}

/// The text of a track's rows, open.
#[derive(Clone, Debug)]
pub(super) struct RowFile {
    packed: Option<(Arc<File>, Arc<PackedText>)>,
    plain: Option<Arc<File>>,
    path: PathBuf,
}

impl RowFile {
    /// Opens the rows of the track in `folder`; `None` if there are none.
    ///
    /// # Errors
    /// Fails if a file can't be opened, or a packed one is none that can be read in bounded memory.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        let (plain_path, packed_path) = (folder.join(DATA_FILE), folder.join(PACKED_FILE));
        let mut looks = 0;
        let (plain, packed) = loop {
            looks += 1;
            let (plain, packed) = (open_if_there(&plain_path)?, open_if_there(&packed_path)?);
            // Meanwhile the one that is there may have taken the place of the other.
            let is_certain = match (&plain, &packed) {
                (Some(plain), _) => Identity::of(plain)
                    .and_then(|identity| identity.is_at(&plain_path))
                    .map_err(StoreError::io("look at", &plain_path))?,
                (None, None) => looks > 1,
                (None, Some(_)) => true,
            };
            if is_certain || looks == LOOKS {
                break (plain, packed);
            }
        };
        let Some(packed) = packed else {
            return Ok(plain.map(|plain| Self::plain(Arc::new(plain), &plain_path)));
        };
        let text = PackedText::of(&packed, &packed_path)?;
        let file = Self {
            packed: Some((Arc::new(packed), Arc::new(text))),
            plain: plain.map(Arc::new),
            path: packed_path,
        };
        Ok(Some(match file.is_unpacked()? {
            true => Self { packed: None, path: plain_path, ..file },
            false => file,
        }))
    }

    /// The rows in a plain file.
    pub(super) fn plain(file: Arc<File>, path: &Path) -> Self {
        Self { packed: None, plain: Some(file), path: path.to_owned() }
    }

    /// Waits until its plain text is on the disk. A packed one was, before it took its place.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.plain.as_ref().map_or(Ok(()), |plain| disk::sync(plain, &self.path))
    }

    /// The rows in a packed file.
    pub(super) fn packed(file: Arc<File>, text: PackedText, path: &Path) -> Self {
        Self { packed: Some((file, Arc::new(text))), plain: None, path: path.to_owned() }
    }

    /// The file that most of it is in.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The packed part, and the plain rows after it.
    pub(super) fn parts(&self) -> (Option<(&File, &PackedText)>, Option<&File>) {
        let packed = self.packed.as_ref().map(|(file, text)| (&**file, &**text));
        (packed, self.plain.as_deref())
    }

    /// Returns true unless what was packed is damaged, which reads the same each time. Reads it all.
    ///
    /// # Errors
    /// Fails if it can't be read.
    pub(super) fn is_whole(&self) -> Result<bool, StoreError> {
        let Some((file, text)) = &self.packed else { return Ok(true) };
        let mut crc = crc32fast::Hasher::new();
        let lost = text.for_each_piece(file, |piece| {
            crc.update(piece);
            Ok(())
        })?;
        Ok(lost == 0 && text.is_all(crc.finalize()))
    }

    /// Bytes on the disk.
    pub(super) fn stored_bytes(&self) -> io::Result<u64> {
        let packed = self.packed.as_ref().map(|(file, _)| file);
        let mut files = packed.into_iter().chain(&self.plain);
        files.try_fold(0, |sum, file| Ok(sum + file.metadata()?.len()))
    }

    /// States of the files, to tell whether they have changed.
    pub(super) fn stamps(&self) -> io::Result<[Option<FileStamp>; 2]> {
        let stamp = |file: &Arc<File>| Ok::<_, io::Error>(FileStamp::from(&file.metadata()?));
        let packed = self.packed.as_ref().map(|(file, _)| stamp(file)).transpose()?;
        Ok([packed, self.plain.as_ref().map(stamp).transpose()?])
    }

    fn packed_bytes(&self) -> u64 {
        self.packed.as_ref().map_or(0, |(_, text)| text.text_bytes())
    }

    /// Returns true if the plain file begins with the packed text.
    fn is_unpacked(&self) -> Result<bool, StoreError> {
        let Some(plain) = self.plain.as_ref().filter(|_| self.packed.is_some()) else {
            return Ok(false);
        };
        let packed = Self { plain: None, ..self.clone() };
        plain.begins_with(&packed).map_err(StoreError::io("read", &self.path))
    }
}

impl RowText for RowFile {
    fn read_text(&self, text: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some((file, packed)) = &self.packed
            && offset < packed.text_bytes()
        {
            return packed.read_at(file, text, offset);
        }
        match &self.plain {
            Some(plain) => plain.read_text(text, offset - self.packed_bytes()),
            None => Ok(0),
        }
    }

    fn text_bytes(&self) -> io::Result<u64> {
        let plain = self.plain.as_ref().map_or(Ok(0), |plain| plain.text_bytes())?;
        Ok(self.packed_bytes() + plain)
    }

    /// That of the part that others may write to.
    fn modified_nanos(&self) -> io::Result<i64> {
        let packed = self.packed.as_ref().map(|(file, _)| file);
        self.plain.as_ref().or(packed).map_or(Ok(0), |file| file.modified_nanos())
    }

    fn max_line_bytes(&self) -> usize {
        if self.packed.is_some() { MAX_LINE_BYTES } else { usize::MAX }
    }
}

/// The text of a track's rows, whose files are kept open while there is room for them.
#[derive(Debug)]
pub(super) struct KeptRows {
    packed: Option<(KeptFile, Arc<PackedText>)>,
    plain: Option<KeptFile>,
    path: PathBuf,
}

impl KeptRows {
    pub(super) fn of(file: RowFile) -> io::Result<Self> {
        let folder = file.path.parent().unwrap_or(&file.path).to_owned();
        let keep =
            |file: Arc<File>, name: &str| KeptFile::of_shared(file, &folder.join(name), How::Read);
        let packed = match file.packed {
            Some((packed, text)) => Some((keep(packed, PACKED_FILE)?, text)),
            None => None,
        };
        let plain = file.plain.map(|plain| keep(plain, DATA_FILE)).transpose()?;
        Ok(Self { packed, plain, path: file.path })
    }

    /// The text, open.
    ///
    /// # Errors
    /// Returns the operating system's error; `NotFound` if a file was closed here and then removed
    /// or replaced.
    pub(super) fn get(&self) -> io::Result<RowFile> {
        let packed = match &self.packed {
            Some((packed, text)) => Some((packed.get()?, text.clone())),
            None => None,
        };
        let plain = self.plain.as_ref().map(KeptFile::get).transpose()?;
        Ok(RowFile { packed, plain, path: self.path.clone() })
    }

    /// Returns true if these are the files in `folder`, and all of them.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(super) fn are_all_in_place(&self, folder: &Path) -> io::Result<bool> {
        let is = |kept: Option<&KeptFile>, name: &str| match kept {
            Some(kept) => kept.is_in_place(),
            None => Ok(fs::symlink_metadata(folder.join(name)).is_err()),
        };
        Ok(is(self.packed.as_ref().map(|(packed, _)| packed), PACKED_FILE)?
            && is(self.plain.as_ref(), DATA_FILE)?)
    }
}

/// Bytes that the rows of the track in `folder` take on the disk; `None` if there is no file.
pub(super) fn stored_bytes(folder: &Path) -> Result<Option<u64>, StoreError> {
    let mut sum = None;
    for name in [DATA_FILE, PACKED_FILE] {
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(file) => sum = Some(sum.unwrap_or(0) + file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        }
    }
    Ok(sum)
}

/// Removes the rows of the track in `folder`.
pub(super) fn remove(folder: &Path) -> Result<(), StoreError> {
    for name in [DATA_FILE, PACKED_FILE] {
        let path = folder.join(name);
        match disk::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns true if rows of the track in `folder` are packed.
pub(super) fn is_packed(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(PACKED_FILE)).is_ok()
}

fn open_if_there(path: &Path) -> Result<Option<File>, StoreError> {
    match handles::open(path, How::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("open", path)(error)),
    }
}
