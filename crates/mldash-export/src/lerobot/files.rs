//! The files of a dataset that hold many episodes each: `chunk-000/file-000`, up to a size, a thousand files a chunk. An
//! episode is never in two files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::ExportError;
use crate::parquet_file::Concatenation;
use crate::video;

/// Files in a folder.
pub(super) const CHUNK_FILES: u64 = 1000;
/// LeRobot's limits, in MiB, which is what it calls MB.
pub(super) const DATA_FILE_MB: u64 = 100;
pub(super) const VIDEO_FILE_MB: u64 = 200;
const MB: u64 = 1 << 20;
/// ffmpeg sums up the lengths of concatenated videos in whole microseconds. Of so many, the error is below half a tick of
/// any video's clock, so that every frame is at its exact time.
const VIDEO_FILE_EPISODES: usize = 50;

/// Which file of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) chunk: u64,
    pub(super) file: u64,
}

impl Place {
    pub(super) fn next(self) -> Self {
        match self.file + 1 {
            CHUNK_FILES => Self { chunk: self.chunk + 1, file: 0 },
            file => Self { file, ..self },
        }
    }

    pub(super) fn path(self, folder: &Path, extension: &str) -> PathBuf {
        let Self { chunk, file } = self;
        folder.join(format!("chunk-{chunk:03}/file-{file:03}.{extension}"))
    }
}

/// The files with the frames.
pub(super) struct DataFiles {
    folder: PathBuf,
    next: Place,
    open: Option<(Place, Concatenation)>,
}

impl DataFiles {
    pub(super) fn new(folder: PathBuf, next: Place) -> Self {
        Self { folder, next, open: None }
    }

    /// Appends an episode's file, which is removed, and returns where it is now.
    pub(super) fn add(&mut self, part: &Path) -> Result<Place, ExportError> {
        let size = fs::metadata(part).map_err(ExportError::io("look at", part))?.len();
        let is_full = |file: &Concatenation| file.size_bytes() + size >= DATA_FILE_MB * MB;
        if self.open.as_ref().is_some_and(|(_, file)| is_full(file)) {
            self.close()?;
        }
        let (place, file) = match &mut self.open {
            Some((place, file)) => (*place, file),
            None => {
                let place = self.next;
                self.next = place.next();
                let path = new_path(place, &self.folder, "parquet")?;
                let (place, file) = self.open.insert((place, Concatenation::create(path, part)?));
                (*place, file)
            }
        };
        file.append(part)?;
        fs::remove_file(part).map_err(ExportError::io("remove", part))?;
        Ok(place)
    }

    pub(super) fn close(&mut self) -> Result<(), ExportError> {
        self.open.take().map_or(Ok(()), |(_, file)| file.finish())
    }
}

/// The videos of one feature.
pub(super) struct VideoFiles {
    folder: PathBuf,
    place: Place,
    /// Episodes that will be in the file at `place`.
    waiting: Vec<PathBuf>,
    waiting_bytes: u64,
    waiting_frames: u64,
    /// Any of those that are written.
    pub(super) written: Option<PathBuf>,
}

impl VideoFiles {
    pub(super) fn new(folder: PathBuf, place: Place) -> Self {
        Self {
            folder,
            place,
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_frames: 0,
            written: None,
        }
    }

    /// Takes an episode's video, and returns in which file it will be, and after how many frames.
    pub(super) fn add(&mut self, part: PathBuf, frames: u64) -> Result<(Place, u64), ExportError> {
        let size = fs::metadata(&part).map_err(ExportError::io("look at", &part))?.len();
        let is_full = self.waiting_bytes + size >= VIDEO_FILE_MB * MB;
        if (is_full && !self.waiting.is_empty()) || self.waiting.len() >= VIDEO_FILE_EPISODES {
            self.close()?;
        }
        let before = self.waiting_frames;
        self.waiting.push(part);
        self.waiting_bytes += size;
        self.waiting_frames += frames;
        Ok((self.place, before))
    }

    pub(super) fn close(&mut self) -> Result<(), ExportError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let path = new_path(self.place, &self.folder, "mp4")?;
        video::concatenate(&self.waiting, &path)?;
        let found = video::probe(&path)?.frames;
        if found != self.waiting_frames {
            let message = format!("it has {found} frames in place of {}", self.waiting_frames);
            return Err(ExportError::Ffmpeg { program: "ffmpeg", path, message });
        }
        let synced = fs::File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(ExportError::io("write", &path))?;
        self.written = Some(path);
        self.place = self.place.next();
        self.waiting.clear();
        (self.waiting_bytes, self.waiting_frames) = (0, 0);
        Ok(())
    }
}

fn new_path(place: Place, folder: &Path, extension: &str) -> Result<PathBuf, ExportError> {
    let path = place.path(folder, extension);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(ExportError::io("create", parent))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_thousand_files_comes_the_next_chunk() {
        let last = Place { chunk: 0, file: 999 };
        assert_eq!(last.next(), Place { chunk: 1, file: 0 });
        let path = last.next().path(Path::new("data"), "parquet");
        assert_eq!(path, Path::new("data/chunk-001/file-000.parquet"));
    }
}
