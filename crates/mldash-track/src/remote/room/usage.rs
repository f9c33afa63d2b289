//! How large the local store is: counted seldom, since a store may hold hundreds of thousands of
//! files, and known in between from what the recording adds and what is removed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::name::ExperimentName;
use crate::remote::state::FOLDER;

/// How often the size is looked at, and the least time between two counts.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a count that took a second, so many seconds pass before the next: counting takes one in
/// a hundred of a core. What other programs write is not seen before.
const PAUSE: u32 = 100;
/// The same while the store is full: somebody may be making room by hand.
const PAUSE_WHEN_FULL: u32 = 20;

/// The size as it is known.
#[derive(Debug)]
pub(super) struct Measured {
    usage: Usage,
    /// What the recording had added when the count began.
    grown: i64,
    /// Removed since the count, besides what the recording removed.
    removed: u64,
    at: Instant,
    took: Duration,
}

impl Measured {
    /// Of a count that began at `at`, when the recording had added `grown` bytes.
    pub(super) fn new(usage: Usage, grown: i64, at: Instant) -> Self {
        Self { usage, grown, removed: 0, at, took: at.elapsed() }
    }

    /// The size in bytes, now that the recording has added `grown` bytes.
    pub(super) fn bytes(&self, grown: i64) -> u64 {
        let since = grown.saturating_sub(self.grown);
        self.usage.bytes.saturating_add_signed(since).saturating_sub(self.removed)
    }

    pub(super) fn uploaded(&self) -> &[Uploaded] {
        &self.usage.uploaded
    }

    pub(super) fn note_removed(&mut self, bytes: u64) {
        self.removed += bytes;
    }

    /// Takes the place of what was `known`, unless this count may lack what that one had: what is there must not count as room
    /// because the system could not read it just now.
    pub(super) fn after(self, known: Option<Self>, grown: i64) -> Option<Self> {
        if !self.usage.unread.may_be_read_later {
            return Some(self);
        }
        // It lacks something, so what is there is no less.
        let known_bytes =
            known.as_ref().map_or(grown.try_into().unwrap_or(0), |known| known.bytes(grown));
        if self.bytes(grown) > known_bytes {
            return Some(self);
        }
        let (at, took) = (self.at, self.took);
        known.map(|known| Self { at, took, ..known })
    }

    /// Returns true if it is time to count again.
    pub(super) fn is_old(&self, now: Instant, is_full: bool) -> bool {
        let pause = if is_full { PAUSE_WHEN_FULL } else { PAUSE };
        now.saturating_duration_since(self.at) >= LOOK_EVERY.max(self.took * pause)
    }
}

/// An experiment that was uploaded, at least in part.
#[derive(Debug)]
pub(crate) struct Uploaded {
    pub(crate) name: ExperimentName,
    /// When the server last accepted part of it.
    pub(crate) at: SystemTime,
}

/// The size of a folder tree, and the uploaded experiments in it.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    pub(crate) uploaded: Vec<Uploaded>,
    pub(crate) unread: Unread,
}

/// Folders that can't be read, such as a disk's `lost+found`. What is in them does not count.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    folders: u64,
    first: Option<(PathBuf, io::Error)>,
    /// One of them may be readable in a while, and may have counted before: too many files are open, or a network file system
    /// is away.
    may_be_read_later: bool,
}

impl Unread {
    fn note(&mut self, folder: &Path, root: &Path, error: io::Error) {
        let stays =
            matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidFilename);
        self.may_be_read_later |= !stays || folder == root;
        self.folders += 1;
        self.first.get_or_insert_with(|| (folder.to_owned(), error));
    }

    /// What to say of them; `None` if there are none.
    pub(super) fn reason(&self) -> Option<String> {
        let (folder, error) = self.first.as_ref()?;
        let others = match self.folders {
            1 => String::new(),
            folders => format!(", and {} other folders", folders - 1),
        };
        Some(format!("{}: {error}{others}", folder.display()))
    }
}

impl Usage {
    /// Counts what is under `root`. `None` if `goes_on` says to stop; it is asked at every folder.
    pub(crate) fn of(root: &Path, goes_on: &dyn Fn() -> bool) -> Option<Self> {
        let mut usage = Self::default();
        if !usage.add(root, root, goes_on) {
            return None;
        }
        usage.uploaded.sort_by_key(|uploaded| uploaded.at);
        Some(usage)
    }

    fn add(&mut self, folder: &Path, root: &Path, goes_on: &dyn Fn() -> bool) -> bool {
        if !goes_on() {
            return false;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                // What is removed meanwhile takes no space. The root is not: it is recorded into.
                if error.kind() != ErrorKind::NotFound || folder == root {
                    self.unread.note(folder, root, error);
                }
                return true;
            }
        };
        let mut failed = None;
        for entry in entries {
            let looked = entry.and_then(|entry| {
                let metadata = entry.metadata()?;
                Ok((entry, metadata))
            });
            let (entry, metadata) = match looked {
                Ok(looked) => looked,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            if metadata.is_file() {
                self.bytes += metadata.len();
            } else if metadata.is_dir() {
                if entry.file_name() == FOLDER {
                    let at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    self.note_uploaded(folder, root, at);
                }
                if !self.add(&entry.path(), root, goes_on) {
                    return false;
                }
            }
        }
        if let Some(error) = failed {
            self.unread.note(folder, root, error);
        }
        true
    }

    fn note_uploaded(&mut self, experiment: &Path, root: &Path, at: SystemTime) {
        let name = experiment.strip_prefix(root).ok().and_then(Path::to_str);
        let name = name.and_then(|name| name.parse().ok());
        self.uploaded.extend(name.map(|name| Uploaded { name, at }));
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::{Experiment, Options, fields};

    const RUN: &str = "alice/warehouse/run-1";

    #[test]
    fn what_is_recorded_and_removed_is_known_without_a_count() {
        let root = tempfile::tempdir().unwrap();
        let count = || Usage::of(root.path(), &|| true).unwrap();
        let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
        let grown = || exp.shared.grown_bytes();
        let measured = Measured::new(count(), grown(), Instant::now());
        let frames = exp.files("frames");
        for i in 0..20 {
            exp.tracks("arm").append(fields! { "text": "x".repeat(5000) }, f64::from(i)).unwrap();
            // Half of them replace one that was saved before.
            frames.save_bytes(vec![7; 10_000], &format!("{}.bin", i % 10)).unwrap();
        }
        exp.flush().unwrap();
        let is_known = || {
            let (known, counted) = (measured.bytes(grown()), count().bytes);
            assert!(known.abs_diff(counted) < 2_000, "{known} and not {counted}");
        };
        is_known();
        exp.shared.files.fold().unwrap();
        is_known();
        exp.shared.files.remove(|file| *file.filename < *"5").unwrap();
        is_known();
        assert!(count().bytes > 150_000);
    }

    #[test]
    fn a_count_stops_when_it_is_told_to() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        assert!(Usage::of(root.path(), &|| false).is_none());
    }

    #[test]
    fn a_folder_that_can_not_be_read_is_named_and_the_rest_is_counted() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["a", "z"] {
            fs::create_dir(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("data"), [7; 100]).unwrap();
        }
        let mut usage = Usage::default();
        // Root may read everything, but not what the system finds too long.
        assert!(usage.add(&root.path().join("x/".repeat(3000)), root.path(), &|| true));
        assert!(usage.add(root.path(), root.path(), &|| true));
        assert_eq!(usage.bytes, 200);
        assert!(usage.unread.reason().unwrap().contains("too long"));
        assert!(!usage.unread.may_be_read_later, "it will be so for ever");
    }

    #[test]
    fn a_count_that_failed_in_part_takes_nothing_from_the_one_before() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("data"), [7; 1000]).unwrap();
        let gone = root.path().join("gone");
        let measured =
            |root: &Path| Measured::new(Usage::of(root, &|| true).unwrap(), 50, Instant::now());
        // Right from the start, what the recording added is known.
        assert!(measured(&gone).after(None, 50).is_none());
        let whole = measured(root.path()).after(None, 50).unwrap();
        assert_eq!(whole.bytes(60), 1010);
        let failed = measured(&gone);
        assert!(failed.usage.unread.reason().unwrap().contains("gone"));
        let at = failed.at;
        let kept = failed.after(Some(whole), 60).unwrap();
        assert_eq!((kept.bytes(60), kept.at), (1010, at), "it is not counted again at once");
        // A whole one counts, also if it is less; one in part, if it is more.
        fs::write(root.path().join("data"), [7; 10]).unwrap();
        let less = measured(root.path()).after(Some(kept), 50).unwrap();
        assert_eq!(less.bytes(50), 10);
        fs::write(root.path().join("data"), [7; 2000]).unwrap();
        let mut more = measured(root.path());
        more.usage.unread.note(&gone, root.path(), Errno::MFILE.into());
        assert_eq!(more.after(Some(less), 50).unwrap().bytes(50), 2000);
    }

    #[test]
    fn what_may_not_be_read_is_left_out_and_all_else_may_come_back() {
        let (root, folder) = (Path::new("/dash"), Path::new("/dash/lost+found"));
        let may_come_back = |folder: &Path, errno: Errno| {
            let mut unread = Unread::default();
            unread.note(folder, root, errno.into());
            unread.may_be_read_later
        };
        assert!(!may_come_back(folder, Errno::ACCESS) && !may_come_back(folder, Errno::PERM));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::IO, Errno::STALE, Errno::NOMEM] {
            assert!(may_come_back(folder, errno), "{errno}");
        }
        assert!(may_come_back(root, Errno::ACCESS), "the store itself");
    }

    #[test]
    fn a_store_that_takes_long_to_count_is_counted_seldom() {
        let (at, took) = (Instant::now(), Duration::from_secs(4));
        let measured = Measured { usage: Usage::default(), grown: 0, removed: 0, at, took };
        let after = |secs| at + Duration::from_secs(secs);
        assert!(!measured.is_old(after(399), false) && measured.is_old(after(400), false));
        assert!(!measured.is_old(after(79), true) && measured.is_old(after(80), true));
        let quick = Measured { took: Duration::ZERO, ..measured };
        assert!(!quick.is_old(after(4), false) && quick.is_old(after(5), false));
    }
}
