//! What SQLite reads: the file as it is, or a copy if necessary. Nothing is ever written to the bag
//! or beside it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mldash_track::free_bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::super::error::BagError;
use super::super::packed;

/// Characters that have no special meaning in the path of a URI.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The size of a copied piece.
const PIECE_BYTES: u64 = 1 << 20;

/// The space that a copy leaves free on its disk for others.
const RESERVE_BYTES: u64 = 64 << 20;

/// The bytes of a database's head that are read.
const HEAD_BYTES: u64 = 100;

/// A database that can be read.
pub(super) struct Source {
    path: PathBuf,
    /// The folder of the copy, deleted with it.
    copy: Option<TempDir>,
    journal: Journal,
    /// Size and time of the bag's own files when they were found.
    found: Vec<Option<(u64, SystemTime)>>,
    cut_at_bytes: Option<u64>,
    /// Where unpacking ended early, and why.
    damage: Option<(u64, io::Error)>,
}

/// Where the last messages of a database may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journal {
    None,
    /// A log of writes that are still to be applied.
    Ahead,
    /// The state before a change that was not finished.
    Back,
}

impl Source {
    /// The file at `path`, if it can be read as it is.
    pub(super) fn at_rest(path: &Path) -> Option<Self> {
        let source = Self::found_at(path);
        let len = fs::metadata(path).ok()?.len();
        let is_whole = Head::read(path).is_ok_and(|head| head.is_whole(len));
        (is_whole && source.journal == Journal::None).then_some(source)
    }

    fn found_at(path: &Path) -> Self {
        let has = |suffix| fs::metadata(beside(path, suffix)).is_ok_and(|file| file.len() > 0);
        let journal = match (has("-wal"), has("-journal")) {
            (true, _) => Journal::Ahead,
            (false, true) => Journal::Back,
            (false, false) => Journal::None,
        };
        Self {
            path: path.to_owned(),
            copy: None,
            journal,
            found: stamps(path),
            cut_at_bytes: None,
            damage: None,
        }
    }

    /// The file at `path`, prepared so that SQLite can read it:
    /// - A file that is compressed as a whole is unpacked.
    /// - SQLite would read a file that is cut off within a page as if zeros followed. In a copy, that
    ///   page is left out.
    /// - A journal left by a crash is played back, in a copy. A log of writes is read beside the file.
    pub(super) fn of(path: &Path, is_packed: bool) -> Result<Self, BagError> {
        let opened = |source| BagError::Open { path: path.to_owned(), source };
        let mut source = Self::found_at(path);
        let mut len = fs::metadata(path).map_err(opened)?.len();
        if is_packed {
            source.journal = Journal::None;
            let packed = File::open(path).and_then(packed::reader).map_err(opened)?;
            len = source.copy_from(path, packed)?;
        } else if source.journal == Journal::Back {
            source.copy_from(path, File::open(path).map_err(opened)?)?;
            let journal = File::open(beside(path, "-journal")).map_err(opened)?;
            source.copy_beside(path, "-journal", journal)?;
            return Ok(source);
        }
        let head = Head::read(&source.path).map_err(opened)?;
        if source.journal == Journal::Ahead || head.is_whole(len) {
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

    /// The position at which the file ends, if that is too early.
    pub(super) fn cut_at_bytes(&self) -> Option<u64> {
        self.cut_at_bytes
    }

    /// Where unpacking ended early, and why, unless the file simply ends there.
    pub(super) fn take_damage(&mut self) -> Option<(u64, io::Error)> {
        self.damage.take()
    }

    /// Returns true if another process has written to the bag since.
    pub(super) fn has_changed(&self) -> bool {
        self.copy.is_none() && stamps(&self.path) != self.found
    }

    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let path = percent_encode(self.path.as_os_str().as_bytes(), PLAIN);
        let how = match self.journal {
            Journal::None => "?immutable=1",
            // Without locks, and so without the shared-memory file beside it.
            Journal::Ahead => "?vfs=unix-none",
            Journal::Back => "",
        };
        let access = match self.journal {
            // To play it back, in the copy.
            Journal::Back => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Journal::None | Journal::Ahead => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(format!("file:{path}{how}"), flags)?;
        if self.journal == Journal::Ahead {
            // The log's index is then kept in memory, and the log left as it is.
            db.pragma_update(None, "locking_mode", "exclusive")?;
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        }
        db.pragma_update(None, "cell_size_check", true)?;
        if self.cut_at_bytes.is_some() {
            // SQLite refuses a file that is shorter than its head says, except for repairs.
            db.pragma_update(None, "writable_schema", true)?;
        }
        Ok(db)
    }

    /// Reads from a copy from now on. Returns its length.
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
            let folder = self.path.parent().unwrap_or(Path::new("."));
            if free_bytes(folder).is_ok_and(|free| free < RESERVE_BYTES + PIECE_BYTES) {
                return Err(copy_error(path, io::ErrorKind::StorageFull.into()));
            }
            copy.write_all(&piece).map_err(|source| copy_error(path, source))?;
            len += piece.len() as u64;
            match read {
                Ok(0) => return Ok(len),
                Ok(_) => {}
                // What came before the error is usable.
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

/// Size and time of a database and of the files beside it.
fn stamps(path: &Path) -> Vec<Option<(u64, SystemTime)>> {
    let of = |suffix| {
        let file = fs::metadata(beside(path, suffix)).ok()?;
        Some((file.len(), file.modified().ok()?))
    };
    ["", "-wal", "-journal"].map(of).into()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

/// What the head of a database says about its size (<https://sqlite.org/fileformat2.html>).
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
