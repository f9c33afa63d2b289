//! What SQLite is given to read: the file as it lies, or a copy where that would not do. Nothing is ever
//! written to the bag.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::super::error::BagError;
use super::super::packed;

/// What has no meaning of its own in the path of a URI.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// What is copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes of a database's head that are looked at.
const HEAD_BYTES: u64 = 100;

/// A database that can be read.
pub(super) struct Source {
    path: PathBuf,
    /// The folder of a copy, deleted with it.
    copy: Option<TempDir>,
    /// Nobody writes it, and there is no journal to be minded.
    is_at_rest: bool,
    cut_at_bytes: Option<u64>,
    /// Where unpacking ended early, and why.
    damage: Option<(u64, io::Error)>,
}

impl Source {
    /// The file at `path`, after what it takes for SQLite to read it:
    /// - one that is compressed as a whole is unpacked;
    /// - one that is cut off in the middle of a page would be read as if zeros followed: in a copy, that
    ///   page is left out;
    /// - a journal that a crash left is played back, in a copy.
    pub(super) fn of(path: &Path, is_packed: bool) -> Result<Self, BagError> {
        let opened = |source| BagError::Open { path: path.to_owned(), source };
        let has = |suffix| fs::metadata(beside(path, suffix)).is_ok_and(|file| file.len() > 0);
        let mut source = Self {
            path: path.to_owned(),
            copy: None,
            is_at_rest: !has("-wal"),
            cut_at_bytes: None,
            damage: None,
        };
        let mut len = fs::metadata(path).map_err(opened)?.len();
        if is_packed {
            let packed = File::open(path).and_then(packed::reader).map_err(opened)?;
            len = source.copy_from(path, packed)?;
        } else if has("-journal") {
            source.copy_from(path, File::open(path).map_err(opened)?)?;
            let journal = File::open(beside(path, "-journal")).map_err(opened)?;
            source.copy_beside(path, "-journal", journal)?;
            source.is_at_rest = false;
            return Ok(source);
        }
        let head = Head::read(&source.path).map_err(opened)?;
        if !source.is_at_rest || head.is_whole(len) {
            return Ok(source);
        }
        source.cut_at_bytes = Some(len);
        let whole_pages = len - len % head.page_bytes;
        if source.copy.is_some() {
            let cut = File::options().write(true).open(&source.path);
            cut.and_then(|file| file.set_len(whole_pages)).map_err(opened)?;
        } else if whole_pages < len {
            source.copy_from(path, File::open(path).map_err(opened)?.take(whole_pages))?;
        }
        Ok(source)
    }

    /// Where the file ends, when that is too early.
    pub(super) fn cut_at_bytes(&self) -> Option<u64> {
        self.cut_at_bytes
    }

    /// Where unpacking ended early, and why, if it is not that the file ends.
    pub(super) fn take_damage(&mut self) -> Option<(u64, io::Error)> {
        self.damage.take()
    }

    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let path = percent_encode(self.path.as_os_str().as_bytes(), PLAIN);
        let at_rest = if self.is_at_rest { "?immutable=1" } else { "" };
        let access = match self.copy.is_some() && !self.is_at_rest {
            // To play back its journal.
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(format!("file:{path}{at_rest}"), flags)?;
        db.pragma_update(None, "cell_size_check", true)?;
        if self.cut_at_bytes.is_some() {
            // SQLite refuses a file that is shorter than it says, except from those who mend.
            db.pragma_update(None, "writable_schema", true)?;
        }
        Ok(db)
    }

    /// Reads from a copy from now on; how long it is.
    fn copy_from(&mut self, path: &Path, content: impl Read) -> Result<u64, BagError> {
        let folder = TempDir::new().map_err(|source| copy_error(path, source))?;
        self.path = folder.path().join("bag.db3");
        self.copy = Some(folder);
        self.copy_beside(path, "", content)
    }

    fn copy_beside(
        &mut self,
        path: &Path,
        suffix: &str,
        mut content: impl Read,
    ) -> Result<u64, BagError> {
        let mut copy = File::create(beside(&self.path, suffix)).map_err(|e| copy_error(path, e))?;
        let mut piece = Vec::new();
        let mut len = 0;
        loop {
            piece.clear();
            let read = (&mut content).take(PIECE_BYTES).read_to_end(&mut piece);
            copy.write_all(&piece).map_err(|source| copy_error(path, source))?;
            len += piece.len() as u64;
            match read {
                Ok(0) => return Ok(len),
                Ok(_) => {}
                // What comes before is worth having.
                Err(error) => {
                    let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
                    self.damage = (!is_end).then_some((len, error));
                    return Ok(len);
                }
            }
        }
    }
}

fn copy_error(path: &Path, source: io::Error) -> BagError {
    BagError::Copy { path: path.to_owned(), folder: std::env::temp_dir(), source }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

/// What the head of a database says of its size (<https://sqlite.org/fileformat2.html>).
struct Head {
    page_bytes: u64,
    pages: u64,
}

impl Head {
    fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(HEAD_BYTES).read_to_end(&mut bytes)?;
        let number = |at: usize, len: usize| {
            let digits = bytes.get(at..at + len).unwrap_or_default();
            digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit))
        };
        let page_bytes = match number(16, 2) {
            1 => 1 << 16,
            bytes => bytes.max(512),
        };
        Ok(Self { page_bytes, pages: number(28, 4) })
    }

    fn is_whole(&self, len: u64) -> bool {
        len.is_multiple_of(self.page_bytes) && self.pages * self.page_bytes <= len
    }
}
