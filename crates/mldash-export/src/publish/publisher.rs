//! Publishes one experiment: plans, claims, puts, commits, cleans up. The protocol is in the module above.

mod round;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mldash_track::{SurveyedRows, TrackInfo};

use super::chunks::ChunkLimits;
use super::error::PublishError;
use super::experiment_row::ExperimentRow;
use super::files::PublishedFiles;
use super::layout::Layout;
use super::local_state::LocalState;
use super::manifest::{FORMAT, Manifest, PublishedFile};
use super::rows::{RowsFile, Written, lacks_files};
use super::schema::{Holds, Settled, TopicSchema};
use super::schemas::Schemas;
use super::store::{Created, Source, Store, Version};
use super::{Published, Transfer};
use crate::plan::Recording;
use crate::progress::Progress;
use round::Round;

/// How often a publisher begins anew because others changed the same experiment meanwhile.
const ROUNDS: u32 = 12;

/// How to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Pictures and clouds up to this many bytes go into the rows, and up to [`MAX_INLINE_BYTES`](super::MAX_INLINE_BYTES).
    pub inline_files: Option<u64>,
    /// When a file of rows is full.
    pub limits: ChunkLimits,
}

/// Publishes experiments to one store. Threads may share it.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    options: PublishOptions,
    schemas: Schemas,
}

impl Publisher {
    /// A publisher to `store`, which is looked at first.
    ///
    /// # Errors
    /// Fails if the store can't be published to.
    pub fn new(store: Store, options: PublishOptions) -> Result<Self, PublishError> {
        store.check()?;
        Ok(Self { store, options, schemas: Schemas::default() })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Publishes what the store lacks of a recording. What is there already is not put again.
    ///
    /// # Errors
    /// Fails if the recording can't be read, or the store does not take it. What counted before counts then, or the whole.
    pub fn publish(
        &self,
        recording: &Recording,
        progress: &Progress,
    ) -> Result<Published, PublishError> {
        // What changes from here on is not taken for published.
        let local = LocalState::now(&recording.experiment, &self.options);
        let local = local.map_err(PublishError::track(&recording.name))?;
        Work::new(self, recording, progress)?.run(&local)
    }
}

/// One call.
struct Work<'p> {
    publisher: &'p Publisher,
    store: &'p Store,
    recording: &'p Recording,
    progress: &'p Progress,
    transfer: Transfer,
    tracks: Vec<TrackInfo>,
    /// Those whose rows were removed here after an upload, as they were.
    removed: Vec<TrackInfo>,
    files: PublishedFiles,
    /// What is known of the rows, by track.
    surveys: Vec<Survey>,
    row: ExperimentRow,
    /// Names that this call has put, for the case that they are in no manifest in the end.
    put: HashSet<String>,
    done: Published,
}

/// A track that was looked through.
struct Survey {
    survey: SurveyedRows,
    file_columns: Vec<String>,
    settled: Option<(TopicSchema, Settled)>,
}

/// How a round ended.
enum Ended {
    Done,
    /// Somebody else changed the manifest, or a file that was found there is to be looked at.
    Again,
}

impl<'p> Work<'p> {
    fn new(
        publisher: &'p Publisher,
        recording: &'p Recording,
        progress: &'p Progress,
    ) -> Result<Self, PublishError> {
        let Recording { name, experiment } = recording;
        let store = &publisher.store;
        let tracks = experiment.list().map_err(PublishError::track(name))?;
        let files = PublishedFiles::new(name, experiment, publisher.options.inline_files)?;
        let removed = experiment.removed_tracks().map_err(PublishError::track(name))?;
        // The table tells of the experiment as it was recorded.
        let as_recorded = |track: &TrackInfo| {
            removed.iter().find(|removed| removed.topic == track.topic).unwrap_or(track).clone()
        };
        let recorded: Vec<TrackInfo> = tracks.iter().map(as_recorded).collect();
        let row = ExperimentRow::of(experiment, &recorded)?;
        let done = Published { experiment: name.clone(), ..Published::default() };
        Ok(Self {
            publisher,
            store,
            recording,
            progress,
            transfer: Transfer::default(),
            tracks,
            removed,
            files,
            surveys: Vec::new(),
            row,
            put: HashSet::new(),
            done,
        })
    }

    fn run(mut self, local: &LocalState) -> Result<Published, PublishError> {
        let mut rounds = 0;
        let revision = loop {
            self.store.check_stop()?;
            let (manifest, version) = self.read_manifest()?;
            self.remove_unnamed(&manifest)?;
            if rounds == 0 && manifest.pending.is_empty() && manifest.replaced.is_empty() {
                let before = LocalState::load(self.recording.experiment.folder());
                if before
                    .is_some_and(|before| before.is_published(local, self.store.url(), &manifest))
                {
                    self.done.is_up_to_date = true;
                    self.done.rows = manifest.files.iter().map(|file| file.rows).sum();
                    break manifest.revision;
                }
            }
            rounds += 1;
            if rounds > ROUNDS {
                let experiment = self.recording.name.clone();
                return Err(PublishError::Contended { experiment });
            }
            let mut round = self.plan(manifest, version)?;
            if let Ended::Done = self.carry_out(&mut round)? {
                break round.manifest.revision;
            }
        };
        (self.done.bytes, self.done.files) = self.transfer.so_far();
        self.done.missing = std::mem::take(&mut self.files.missing);
        // What is not whole is looked at again, and told again.
        if self.done.is_whole() {
            let options = &self.publisher.options;
            local.save(&self.recording.experiment, options, self.store.url(), revision);
        }
        Ok(self.done)
    }

    fn read_manifest(&self) -> Result<(Manifest, Option<Version>), PublishError> {
        let name = Layout::manifest(self.recording.experiment.name());
        let Some((bytes, version)) = self.store.read(&name)? else {
            return Ok((Manifest::new(&self.recording.name), None));
        };
        Ok((Manifest::parse(&bytes, self.store.url(), &name)?, Some(version)))
    }

    /// Removes what this call has put and nobody names any more: others claimed otherwise meanwhile.
    fn remove_unnamed(&mut self, manifest: &Manifest) -> Result<(), PublishError> {
        // What was merged meanwhile is named, but its rows lie elsewhere.
        let places: HashSet<&str> =
            manifest.files.iter().chain(&manifest.pending).map(PublishedFile::object).collect();
        let unnamed: Vec<String> =
            self.put.iter().filter(|name| !places.contains(name.as_str())).cloned().collect();
        for name in unnamed {
            self.store.delete(&name)?;
            self.put.remove(&name);
        }
        Ok(())
    }

    fn carry_out(&mut self, round: &mut Round) -> Result<Ended, PublishError> {
        // The order matters; the module above says why.
        if round.has_news && !self.write_manifest(round)? {
            return Ok(Ended::Again);
        }
        for name in &round.manifest.replaced {
            self.store.delete(name)?;
        }
        let had_rubbish = !std::mem::take(&mut round.manifest.replaced).is_empty();
        self.put_all(round)?;
        let has_row = match &round.manifest.row {
            // What a copy that lacks rows says of the whole is less true than what is there.
            Some(there) => *there == self.row.hash || !self.done.lacking.is_empty(),
            None => false,
        };
        if !has_row {
            let name = Layout::experiment(self.recording.experiment.name());
            self.store.put(&name, self.row.file.clone())?;
            self.transfer.add(self.row.file.len() as u64);
            round.manifest.row = Some(self.row.hash.clone());
        }
        if !round.puts.is_empty() || !has_row || had_rubbish {
            self.commit(round);
            if !self.write_manifest(round)? {
                return Ok(Ended::Again);
            }
        }
        self.tell_what_was_done(round);
        let ended = if round.found_lacking { Ended::Again } else { Ended::Done };
        if round.manifest.replaced.is_empty() {
            return Ok(ended);
        }
        for name in std::mem::take(&mut round.manifest.replaced) {
            self.store.delete(&name)?;
        }
        // If somebody else was faster, they are in that one's manifest, and removed once more.
        Ok(if self.write_manifest(round)? { ended } else { Ended::Again })
    }

    /// Puts the files, those that replace others last: until the commit, whoever lists sees their rows twice.
    fn put_all(&mut self, round: &mut Round) -> Result<(), PublishError> {
        if round.puts.is_empty() {
            return Ok(());
        }
        if round.is_later {
            self.files.list_there(self.store)?;
        }
        let mut puts = std::mem::take(&mut round.puts);
        puts.sort_by_key(|(_, file)| file.replaces.is_some());
        for (track, file) in &mut puts {
            self.store.check_stop()?;
            let is_resumed = round.resumed.contains(&file.name);
            let is_there = is_resumed && self.find_file(file)?;
            if is_there || self.put_file(*track, file)? == Created::Existed {
                round.found_lacking |= file.lacks_files;
            }
            self.progress.add(file.rows);
        }
        round.puts = puts;
        Ok(())
    }

    /// Notes what is known of a file that is on the store. Returns false if there is none.
    fn find_file(&self, file: &mut PublishedFile) -> Result<bool, PublishError> {
        // An object is there whole or not at all.
        let Some(bytes) = self.store.size_of(&file.name)? else { return Ok(false) };
        let lacks_files = file.named > 0 && lacks_files(self.store, &file.name, bytes)?;
        (file.bytes, file.lacks_files) = (bytes, lacks_files);
        Ok(true)
    }

    /// Puts a file, unless there is one of its name.
    fn put_file(
        &mut self,
        track: usize,
        file: &mut PublishedFile,
    ) -> Result<Created, PublishError> {
        let Recording { name, experiment } = self.recording;
        let Some(survey) = self.surveys.get_mut(track) else { return Ok(Created::New) };
        let files_as: &[Holds] = match self.publisher.options.inline_files {
            Some(_) => &[Holds::Url, Holds::Data],
            None => &[Holds::Url],
        };
        if survey.settled.is_none() {
            let is_file = |column: &str| survey.file_columns.iter().any(|known| known == column);
            let settle =
                |schema: &mut TopicSchema| schema.settle(&survey.survey, is_file, files_as);
            let settled = self.publisher.schemas.settle(self.store, &file.topic, settle)?;
            self.done.renamed.extend(settled.1.renamed.iter().cloned());
            survey.settled = Some(settled);
        }
        let Some((schema, settled)) = &survey.settled else { return Ok(Created::New) };
        let slice = experiment.tracks(&file.topic).slice(file.first..=file.last);
        let slice = slice.map_err(PublishError::track(name))?;
        let rows = RowsFile {
            name: &file.name,
            hash: &file.hash,
            experiment: name,
            slice: &slice,
            survey: &survey.survey,
            stored: &settled.stored,
            schema,
        };
        let scratch = scratch(experiment.folder());
        let written = rows.write(&scratch, &mut self.files, self.store, &self.transfer)?;
        let Written { file: source, bytes, rows, lacks_files } = written;
        if rows != file.rows {
            return Err(PublishError::Changed { experiment: name.clone() });
        }
        self.put.insert(file.name.clone());
        let mut source = Source { file: source, path: &scratch, bytes, sha256: None };
        let transfer = &self.transfer;
        let created =
            self.store.put_file(&file.name, &mut source, &mut |bytes| transfer.add(bytes))?;
        (file.bytes, file.lacks_files) = (bytes, lacks_files);
        if created == Created::Existed {
            // Of another version of this program, which compresses otherwise, or put where other pictures could be read.
            self.find_file(file)?;
        }
        Ok(created)
    }

    /// What was put counts from now on, and what it replaces does not.
    fn commit(&self, round: &mut Round) {
        let Round { manifest, puts, replaced, .. } = round;
        for (_, file) in puts.iter() {
            manifest.pending.retain(|pending| pending.name != file.name);
            manifest.files.push(PublishedFile { replaces: None, ..file.clone() });
        }
        let goes = |file: &PublishedFile| replaced.contains(&file.name);
        let merged = manifest.files.iter().filter(|file| goes(file) && file.compacted.is_some());
        round.replaced_in_merged = merged.count() as u64;
        manifest.files.retain(|file| !goes(file));
        manifest.replaced.append(replaced);
        manifest.sort();
    }

    /// Writes the manifest, unless somebody else did since it was read.
    fn write_manifest(&self, round: &mut Round) -> Result<bool, PublishError> {
        let name = Layout::manifest(self.recording.experiment.name());
        round.manifest.format = FORMAT;
        round.manifest.revision += 1;
        let bytes = Bytes::from(round.manifest.to_json());
        let written = self.store.update(&name, &bytes, round.version.as_ref())?;
        let is_written = written.is_some();
        round.version = written.or(round.version.take());
        Ok(is_written)
    }

    fn tell_what_was_done(&mut self, round: &Round) {
        let new = round.puts.iter().map(|(_, file)| file);
        self.done.rows_put += new.clone().map(|file| file.rows).sum::<u64>();
        self.done.files_of_rows += new.count() as u64;
        self.done.replaced += round.manifest.replaced.len() as u64;
        self.done.replaced_in_merged += round.replaced_in_merged;
        self.done.is_up_to_date = self.done.files_of_rows == 0;
    }
}

/// Where a file is written before it is put: beside the recording, where there is room for it; if that can't be written, where
/// the system has temporary files.
fn scratch(folder: &Path) -> PathBuf {
    match tempfile::tempfile_in(folder) {
        Ok(_) => folder.to_owned(),
        Err(_) => std::env::temp_dir(),
    }
}
