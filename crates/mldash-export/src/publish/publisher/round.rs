//! What is to be done of an experiment, given its manifest: which files stay, which are taken over, which are claimed.

use std::collections::HashSet;

use mldash_track::{Row, SurveyedRows, TrackError, TrackInfo};

use super::{Survey, Work};
use crate::mcap::MissingFiles;
use crate::plan::Recording;
use crate::publish::chunks::{Chunk, TrackPlan, plan};
use crate::publish::error::PublishError;
use crate::publish::layout::Layout;
use crate::publish::manifest::{Manifest, PublishedFile};
use crate::publish::store::{Store, Version};

/// What a round is about.
pub(super) struct Round {
    /// As it was read, with what this call claims.
    pub(super) manifest: Manifest,
    pub(super) version: Option<Version>,
    /// Files that are to be put: the track's number, and the file.
    pub(super) puts: Vec<(usize, PublishedFile)>,
    /// Files that were pending before: they may be there.
    pub(super) resumed: HashSet<String>,
    /// Names in `files` that stop to count at the commit.
    pub(super) replaced: Vec<String>,
    /// How many of them lie in merged files.
    pub(super) replaced_in_merged: u64,
    /// Whether there was a manifest: pictures may be there too.
    pub(super) is_later: bool,
    /// Whether the claim differs from what was read.
    pub(super) has_news: bool,
    /// Whether a file that was there already lacks pictures: they may be readable now.
    pub(super) found_lacking: bool,
}

impl Round {
    /// What a file replaces stops to count with the commit.
    fn note_replaced(&mut self, file: &PublishedFile) {
        let Some(replaced) = &file.replaces else { return };
        if !self.replaced.contains(replaced) {
            self.replaced.push(replaced.clone());
        }
    }

    /// A file that was pending is not put any more.
    fn abandon(&mut self, name: &str) {
        self.manifest.pending.retain(|file| file.name != name);
        if !self.manifest.replaced.iter().any(|known| known == name) {
            self.manifest.replaced.push(name.to_owned());
        }
    }
}

impl Work<'_> {
    /// What is to be done, given what is there.
    pub(super) fn plan(
        &mut self,
        manifest: Manifest,
        version: Option<Version>,
    ) -> Result<Round, PublishError> {
        let before = manifest.clone();
        let is_later = version.is_some();
        let mut round = Round {
            manifest,
            version,
            puts: Vec::new(),
            resumed: HashSet::new(),
            replaced: Vec::new(),
            replaced_in_merged: 0,
            is_later,
            has_news: false,
            found_lacking: false,
        };
        self.progress.expect(self.tracks.iter().map(|track| track.total_entries).sum());
        self.progress.reach(0);
        self.surveys.clear();
        self.done.lacking.clear();
        self.done.unpublished.clear();
        self.done.rows = 0;
        self.files.missing = MissingFiles::default();
        for track in 0..self.tracks.len() {
            self.plan_track(track, &before, &mut round)?;
        }
        let here: HashSet<&str> = self.tracks.iter().map(|track| track.topic.as_str()).collect();
        for file in before.files.iter().filter(|file| !here.contains(file.topic.as_str())) {
            self.done.lacking.push((file.topic.clone(), file.rows));
        }
        round.manifest.sort();
        round.has_news = round.manifest != before;
        Ok(round)
    }

    fn plan_track(
        &mut self,
        track: usize,
        before: &Manifest,
        round: &mut Round,
    ) -> Result<(), PublishError> {
        self.store.check_stop()?;
        let Recording { name, experiment } = self.recording;
        let Some(info) = self.tracks.get(track) else { return Ok(()) };
        let slice = experiment.tracks(&info.topic).slice(..).map_err(PublishError::track(name))?;
        let there = before.chunks_of(&info.topic);
        self.files.begin_track(there.iter().any(|file| file.lacks_files));
        let store = self.store;
        let all_rows = until_stopped(store, name, slice.rows());
        let planned = plan(&there, all_rows, &mut self.files, self.publisher.options.limits)?;
        let TrackPlan { kept, lacking, rows, new } = planned;
        self.done.rows += rows;
        match self.removed.iter().find(|removed| removed.topic == info.topic) {
            Some(removed) => {
                let (there, unpublished) = rows_of_removed(removed, before);
                self.done.rows += there;
                self.done.unpublished.extend(unpublished);
            }
            None => {
                let lacking = lacking.iter().map(|(_, rows)| (info.topic.clone(), *rows));
                self.done.lacking.extend(lacking);
            }
        }
        let pending = |name: &str| before.pending.iter().find(|file| file.name == name);
        // A file is replaced by all that others claimed for it, or not yet: without all rows here, that is theirs to do.
        let foreign: HashSet<&str> =
            lacking.iter().filter_map(|(name, _)| pending(name)?.replaces.as_deref()).collect();
        let is_foreign = |file: &PublishedFile| {
            file.replaces.as_deref().is_some_and(|replaces| foreign.contains(replaces))
        };
        let is_kept = |file: &&PublishedFile| kept.iter().any(|(name, _)| *name == file.name);
        self.progress.add(before.files.iter().filter(is_kept).map(|file| file.rows).sum());
        for (name, named) in &kept {
            let Some(file) = pending(name).filter(|file| !is_foreign(file)) else { continue };
            // An older program may have claimed it.
            let file =
                PublishedFile { named: named.count, has_files: named.any_object, ..file.clone() };
            round.resumed.insert(file.name.clone());
            round.note_replaced(&file);
            round.puts.push((track, file));
        }
        for mut chunk in new {
            // What is replaced and never counted goes at once, what counts goes with the commit.
            let abandoned = chunk.replaces.as_deref().and_then(pending);
            if abandoned.is_some_and(is_foreign) {
                continue;
            }
            if let Some(abandoned) = abandoned {
                round.abandon(&abandoned.name);
                chunk.replaces.clone_from(&abandoned.replaces);
            }
            let file = self.claim(&info.topic, &chunk, round);
            round.note_replaced(&file);
            round.manifest.pending.push(file.clone());
            round.puts.push((track, file));
        }
        let needs_writing = round.puts.iter().any(|(number, _)| *number == track);
        let survey = match needs_writing {
            true => {
                let survey = slice.survey_while(&|| store.check_stop().is_ok());
                survey.map_err(PublishError::track(name))?.ok_or(PublishError::Stopped)?
            }
            // It is not asked.
            false => SurveyedRows::default(),
        };
        let file_columns = self.files.columns();
        self.surveys.push(Survey { survey, file_columns, settled: None });
        Ok(())
    }

    /// The name of a new file, which nobody else gets.
    fn claim(&self, topic: &str, chunk: &Chunk, round: &mut Round) -> PublishedFile {
        let next = round.manifest.next.entry(topic.to_owned()).or_default();
        let number = *next;
        *next += 1;
        let experiment = self.recording.experiment.name();
        let Chunk { first, last, rows, hash, named, replaces } = chunk.clone();
        PublishedFile {
            name: Layout::rows(experiment, topic, number, &hash),
            compacted: None,
            topic: topic.to_owned(),
            rows,
            first,
            last,
            hash,
            bytes: 0,
            replaces,
            named: named.count,
            has_files: named.any_object,
            lacks_files: false,
        }
    }
}

/// The rows, until the publisher is told to stop: a track of many gigabytes takes minutes.
fn until_stopped<'a>(
    store: &'a Store,
    experiment: &'a str,
    rows: impl Iterator<Item = Result<Row, TrackError>> + 'a,
) -> impl Iterator<Item = Result<Row, PublishError>> + 'a {
    rows.map(move |row| {
        store.check_stop()?;
        row.map_err(PublishError::track(experiment))
    })
}

/// How many rows are published of a track whose rows were removed here after an upload, and how many are not.
fn rows_of_removed(removed: &TrackInfo, manifest: &Manifest) -> (u64, Option<(String, u64)>) {
    let files = manifest.files.iter().filter(|file| file.topic == removed.topic);
    let there: u64 = files.map(|file| file.rows).sum();
    let unpublished = removed.total_entries.saturating_sub(there);
    (there, (unpublished > 0).then(|| (removed.topic.clone(), unpublished)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use mldash_track::{Fields, Timestamp};
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;
    use crate::publish::store::Updates;

    #[test]
    fn a_stop_ends_the_look_at_the_rows_at_the_next_one() {
        let stop = Arc::new(AtomicBool::new(false));
        let objects = Arc::new(InMemory::new());
        let store = Store::over(objects, Path::default(), "memory:", Updates::Conditional);
        let store = store.unwrap().stop_when(stop.clone());
        let mut taken = 0;
        let row = |i: u32| Ok(Row::new(Timestamp::new(f64::from(i)).unwrap(), Fields::default()));
        let rows = until_stopped(&store, "alice/lab/run", (0..1_000_000).map(row));
        let stopped = rows
            .inspect(|_| {
                taken += 1;
                stop.store(taken == 10, Ordering::Relaxed);
            })
            .find_map(Result::err);
        assert!(matches!(stopped, Some(PublishError::Stopped)), "{stopped:?}");
        assert_eq!(taken, 11);
    }
}
