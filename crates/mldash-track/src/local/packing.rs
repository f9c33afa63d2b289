//! Makes the packed file of a track from the plain one, and back. The new file is whole, synced and
//! compared with the old one before it takes its place, and only then the old one goes. Wherever
//! that ends early, `row_file` reads each row once.
//!
//! Whoever calls this holds the writer's lock. Memory is bounded, whatever the file's size.

mod comparing;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use self::comparing::{copy, crc_of, is_same};
use super::atomic::{Durable, Replacement, put_aside};
use super::beneath::How;
use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::handles;
use super::index::Index;
use super::index_file;
use super::metadata::known_topic;
use super::packed::{MAX_LINE_BYTES, PACKED_FILE, PackedText, Packer, pieces};
use super::row_file::{self, DATA_FILE, RowFile, RowText};
use super::scratch_room::free_bytes;
use super::snapshot::extend_index;
use super::{disk, recovery};
use crate::error::one_line;
use crate::name::TrackName;

/// Bytes written at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Free space that is needed to pack: this part of the rows. Packed rows take less.
const NEEDED_PART: u64 = 2;

/// What packing or unpacking an experiment's rows did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repacked {
    /// Tracks whose rows are now in the other form.
    pub tracks: u64,
    /// Their size on the disk before.
    pub bytes_before: u64,
    /// Their size on the disk now.
    pub bytes_after: u64,
    /// Tracks whose packed file was damaged, so that rows may be missing in the unpacked one. It is kept
    /// beside that.
    pub damaged: Vec<String>,
    /// Why tracks were left as they were, a sentence each.
    pub problems: Vec<String>,
    /// Whether it was told to stop before it was done.
    pub is_stopped: bool,
}

/// What became of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It was in that form, or has no rows.
    AsItWas,
    Changed {
        before: u64,
        after: u64,
        damaged: u64,
    },
    Stopped,
}

impl Repacked {
    fn add(&mut self, topic: &str, done: Result<Outcome, StoreError>) {
        match done {
            Ok(Outcome::AsItWas) => {}
            Ok(Outcome::Stopped) => self.is_stopped = true,
            Ok(Outcome::Changed { before, after, damaged }) => {
                self.tracks += 1;
                self.bytes_before += before;
                self.bytes_after += after;
                if damaged > 0 {
                    self.damaged.push(topic.to_owned());
                }
            }
            Err(error) => self.problems.push(format!("track `{topic}`: {}", one_line(&error))),
        }
    }
}

impl ExperimentDir {
    /// Packs the rows of all tracks, one after the other. `goes_on` is asked now and then; once it
    /// says no, what is left stays plain.
    pub(crate) fn pack(&self, goes_on: &dyn Fn() -> bool) -> Result<Repacked, StoreError> {
        let _lock = self.lock()?;
        self.remove_leftovers()?;
        let mut done = Repacked::default();
        for track in self.found_tracks()? {
            if !goes_on() {
                done.is_stopped = true;
                break;
            }
            let track = track?;
            let topic = &track.metadata.topic;
            done.add(topic, self.pack_track(topic, &track.folder, goes_on));
        }
        Ok(done)
    }

    /// Unpacks the rows of all tracks.
    pub(crate) fn unpack(&self) -> Result<Repacked, StoreError> {
        let _lock = self.lock()?;
        self.remove_leftovers()?;
        let mut done = Repacked::default();
        for track in self.found_tracks()? {
            let track = track?;
            done.add(&track.metadata.topic, unpack(&track.folder));
        }
        Ok(done)
    }

    fn pack_track(
        &self,
        topic: &str,
        folder: &Path,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Outcome, StoreError> {
        // Packed, or removed since the server has them. What is repaired would get an empty file.
        if !folder.join(DATA_FILE).exists() {
            return Ok(Outcome::AsItWas);
        }
        let mut lost = 0;
        if row_file::is_packed(folder)
            && let Outcome::Changed { damaged, .. } = unpack(folder)?
        {
            lost = damaged;
        }
        // What a crash left unsorted would stay so. A topic that is only guessed is left alone.
        if let Ok(name) = topic.parse::<TrackName>()
            && self.track_folder(&name) == folder
            && known_topic(folder).is_some()
        {
            recovery::repair(self, &name, &mut u64::MAX.clone())?;
        }
        Ok(match pack(folder, goes_on)? {
            Outcome::Changed { before, after, .. } => {
                Outcome::Changed { before, after, damaged: lost }
            }
            other => other,
        })
    }
}

/// Packs the rows of the track in `folder`.
fn pack(folder: &Path, goes_on: &dyn Fn() -> bool) -> Result<Outcome, StoreError> {
    let (plain_path, packed_path) = (folder.join(DATA_FILE), folder.join(PACKED_FILE));
    let plain = match handles::open(&plain_path, How::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::AsItWas),
        Err(error) => return Err(StoreError::io("open", &plain_path)(error)),
    };
    let read = || StoreError::io("read", &plain_path);
    // From nothing, so that the index of the packed file alone has the same blocks.
    let mut index = Index::default();
    let rest = extend_index(&plain, &mut index).map_err(read())?;
    if !rest.is_empty() {
        let reason = "its last line has no end; the next recording mends it";
        return Err(StoreError::Malformed { path: plain_path, reason: reason.to_owned() });
    }
    if index.end() == 0 {
        return Ok(Outcome::AsItWas);
    }
    if index.blocks().iter().any(|block| block.len > MAX_LINE_BYTES as u64) {
        let reason = "it has a line that is too long to be read back in bounded memory".to_owned();
        return Err(StoreError::Malformed { path: plain_path, reason });
    }
    refuse_without_space("pack rows in", folder, index.end() / NEEDED_PART)?;
    let Some((file, text)) = write_packed(&plain, &index, &packed_path, goes_on)? else {
        return Ok(Outcome::Stopped);
    };
    let packed = RowFile::packed(Arc::new(file.reader().map_err(read())?), text, &packed_path);
    let is_same = is_same(&packed, &plain, &index, goes_on);
    match is_same.map_err(StoreError::io("compare", &packed_path))? {
        Some(true) => {}
        Some(false) => {
            let reason = "it differs from what was packed, so the plain rows stay".to_owned();
            return Err(StoreError::Malformed { path: packed_path, reason });
        }
        None => return Ok(Outcome::Stopped),
    }
    // The SDK ignores our lock.
    let refuse_if_grown = || match plain.text_bytes().map_err(read())? == index.end() {
        true => Ok(()),
        false => {
            let reason = "another program writes to it".to_owned();
            Err(StoreError::Malformed { path: plain_path.clone(), reason })
        }
    };
    refuse_if_grown()?;
    file.keep(Durable::Now).map_err(StoreError::io("replace", &packed_path))?;
    // That waited for the disk. A plain file that begins with what is packed is read alone.
    if let Err(grown) = refuse_if_grown() {
        remove(&packed_path)?;
        return Err(grown);
    }
    remove(&plain_path)?;
    save_index(folder, &packed, &index);
    let after = packed.stored_bytes().map_err(StoreError::io("read", &packed_path))?;
    Ok(Outcome::Changed { before: index.end(), after, damaged: 0 })
}

/// Leaves the disk to those who record, if it is nearly full. Some file systems always say that nothing is
/// free; what is written tells whether they are full.
fn refuse_without_space(
    action: &'static str,
    folder: &Path,
    needed_bytes: u64,
) -> Result<(), StoreError> {
    let free = free_bytes(folder).map_err(StoreError::io("look at", folder))?;
    match (1..needed_bytes).contains(&free) {
        true => Err(StoreError::io(action, folder)(Errno::NOSPC.into())),
        false => Ok(()),
    }
}

/// Writes the packed file, under a temporary name, and syncs it. `None` if it was told to stop.
fn write_packed(
    plain: &File,
    index: &Index,
    path: &Path,
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<(Replacement, PackedText)>, StoreError> {
    let write = || StoreError::io("write", path);
    let file = Replacement::of(path).map_err(write())?;
    let mut packer = Packer::new(BufWriter::with_capacity(WRITE_BYTES, file)).map_err(write())?;
    let mut text = Vec::new();
    for block in index.blocks() {
        if !goes_on() {
            return Ok(None);
        }
        for piece in pieces(block.offset..block.offset + block.len) {
            text.resize((piece.end - piece.start) as usize, 0);
            plain
                .read_whole_text(&mut text, piece.start)
                .and_then(|()| packer.push(&text))
                .map_err(write())?;
        }
    }
    let out = packer.finish().map_err(write())?;
    let file = out.into_inner().map_err(|error| error.into_error());
    let file = file.and_then(|file| file.sync().map(|()| file)).map_err(write())?;
    let text = PackedText::of(&file.reader().map_err(write())?, path)?;
    Ok(Some((file, text)))
}

/// Unpacks the rows of the track in `folder`, if they are packed, so that they can be appended to.
pub(super) fn unpack_to_append(topic: &str, folder: &Path) -> Result<(), StoreError> {
    if row_file::is_packed(folder)
        && let Outcome::Changed { after, .. } = unpack(folder)?
    {
        tracing::info!(
            "track `{topic}` was unpacked to append to it ({after} bytes); `mldash_bridge pack` packs it again"
        );
    }
    Ok(())
}

fn unpack(folder: &Path) -> Result<Outcome, StoreError> {
    let (plain_path, packed_path) = (folder.join(DATA_FILE), folder.join(PACKED_FILE));
    if !row_file::is_packed(folder) {
        return Ok(Outcome::AsItWas);
    }
    let Some(rows) = RowFile::open(folder)? else { return Ok(Outcome::AsItWas) };
    let (Some((file, text)), more) = rows.parts() else {
        // An earlier unpacking, or packing, ended before it removed the other file.
        remove(&packed_path)?;
        return Ok(Outcome::AsItWas);
    };
    let known = index_file::load(folder, &rows).map_err(StoreError::io("read", &packed_path))?;
    let before = rows.stored_bytes().map_err(StoreError::io("read", &packed_path))?;
    let needed = rows.text_bytes().map_err(StoreError::io("read", &packed_path))?;
    refuse_without_space("unpack rows in", folder, needed)?;
    let write = || StoreError::io("write", &plain_path);
    let replacement = Replacement::of(&plain_path).map_err(write())?;
    let mut out = BufWriter::with_capacity(WRITE_BYTES, replacement);
    let mut crc = crc32fast::Hasher::new();
    let lost = text.for_each_piece(file, |piece| {
        crc.update(piece);
        out.write_all(piece).map_err(write())
    })?;
    let is_as_packed = text.is_all(crc.clone().finalize());
    let more_bytes = match more {
        Some(more) => copy(more, &mut out, &mut crc).map_err(write())?,
        None => 0,
    };
    let replacement = out.into_inner().map_err(|error| write()(error.into_error()))?;
    replacement.sync().map_err(write())?;
    let unpacked = replacement.reader().map_err(write())?;
    if crc_of(&unpacked).map_err(StoreError::io("read", &plain_path))? != crc.finalize() {
        let reason = "it reads back other than it was written, so the packed rows stay".to_owned();
        return Err(StoreError::Malformed { path: plain_path, reason });
    }
    // The SDK ignores our lock. It may have begun a plain file, too.
    let is_as_found = match more {
        Some(more) => {
            let bytes = more.text_bytes().map_err(StoreError::io("read", &plain_path))?;
            bytes == more_bytes
        }
        None => !plain_path.exists(),
    };
    if !is_as_found {
        let reason = "another program writes to it".to_owned();
        return Err(StoreError::Malformed { path: plain_path, reason });
    }
    let after = unpacked.text_bytes().map_err(StoreError::io("read", &plain_path))?;
    replacement.keep(Durable::Now).map_err(write())?;
    let damaged = lost.max(u64::from(!is_as_packed));
    if damaged > 0 {
        let reason = match lost {
            0 => text.fault().unwrap_or("its checksum is not that of its rows").to_owned(),
            lost => format!("{lost} of its frames are damaged"),
        };
        put_aside(&packed_path, &reason).map_err(StoreError::io("rename", &packed_path))?;
        disk::sync_folder(folder).map_err(StoreError::io("sync", folder))?;
    } else {
        remove(&packed_path)?;
        if let Some(index) = known.filter(|index| index.end() == after) {
            save_index(folder, &unpacked, &index);
        }
    }
    Ok(Outcome::Changed { before, after, damaged })
}

/// Removes what remains of an interrupted change, if both files hold the same rows and comparing
/// them reads no more than `room` bytes, from which they are taken. Returns false if it would.
pub(super) fn settle(folder: &Path, room: &mut u64) -> Result<bool, StoreError> {
    let plain = folder.join(DATA_FILE);
    let len = match handles::open(&plain, How::Read) {
        Ok(file) => file.text_bytes().map_err(StoreError::io("read", &plain))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(StoreError::io("open", &plain)(error)),
    };
    let Some(left) = room.checked_sub(len) else { return Ok(false) };
    *room = left;
    let is_unpacked = RowFile::open(folder)?.is_some_and(|rows| rows.parts().0.is_none());
    if is_unpacked {
        remove(&folder.join(PACKED_FILE))?;
    }
    Ok(true)
}

/// The index is only a cache.
fn save_index(folder: &Path, rows: &impl RowText, index: &Index) {
    if let Err(error) = index_file::save(folder, known_topic(folder), rows, index) {
        tracing::debug!("{}", one_line(&error));
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    disk::remove_file(path)
        .and_then(|()| disk::sync_folder(path.parent().unwrap_or(path)))
        .map_err(StoreError::io("remove", path))
}
