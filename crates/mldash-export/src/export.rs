//! An export from beginning to end: plan every recording, write episodes side by side, put them together in order, and
//! let the whole appear at once.

pub(crate) mod threads;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::{fs, io};

use crate::account::{Account, EpisodeAccount, ExperimentAccount, ShortEpisode};
use crate::aside::Aside;
use crate::dataset_schema::DatasetSchema;
use crate::error::ExportError;
use crate::frames::{Episode, Shared};
use crate::lerobot::{Existing, LeRobotWriter};
use crate::plan::{Planned, Recording};
use crate::progress::Progress;
use crate::recipe::{Format, Recipe};
use crate::{lerobot, table, video};
use threads::{in_parallel, write_all};

/// Where files of single episodes lie until they are put together.
const PARTS: &str = ".parts";

/// Whether the target may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It must not, or be an empty folder.
    New,
    /// It is a dataset of the same kind, which episodes are added to.
    Append,
}

/// Writes a dataset of `recordings` into the folder `path`, each recording's episodes in order, and returns the account.
///
/// # Errors
/// Fails if a recording, the recipe and the dataset don't fit together, something can't be read or written, or the export
/// is stopped. Nothing is written then.
pub fn export(
    recipe: &Recipe,
    recordings: &[Recording],
    path: &Path,
    target: Target,
    progress: &Progress,
) -> Result<Account, ExportError> {
    if recipe.has_video() {
        video::check(&recipe.video)?;
    }
    let path = &place(path)?;
    if target == Target::New && is_taken(path) {
        return Err(ExportError::Exists(path.to_owned()));
    }
    if target == Target::Append && !path.is_dir() {
        let file = match recipe.format {
            Format::LeRobot => lerobot::INFO,
            Format::Parquet => table::ACCOUNT,
        };
        return Err(ExportError::NoDataset { path: path.to_owned(), file });
    }
    // From here on no other export changes the dataset, so that what is read of it now is what is added to.
    let aside = Aside::create(path)?;
    let existing = match (target, recipe.format) {
        (Target::New, _) => Existing::default(),
        (Target::Append, Format::LeRobot) => Existing::load(path)?,
        (Target::Append, Format::Parquet) => table::load(path)?,
    };
    check_names(recordings, &existing, path)?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut planned =
        in_parallel(recordings, threads, |recording| Planned::new(recipe, recording, progress))?;
    let schema = common_schema(recipe, &planned)?;
    match recipe.format {
        Format::LeRobot => existing.check(path, recipe, &schema)?,
        Format::Parquet => table::check(path, &existing, recipe, &schema)?,
    }
    let mut tasks = existing.tasks.clone();
    let jobs = jobs(recipe, &mut planned, &existing, &mut tasks);
    let frames: u64 = jobs.iter().flatten().map(|episode| episode.segment.frames).sum();
    if frames == 0 {
        return Err(no_frames(&planned));
    }
    progress.expect(frames);

    if target == Target::Append {
        aside.adopt_existing()?;
    }
    let root = aside.path();
    let parts = root.join(PARTS);
    fs::create_dir(&parts).map_err(ExportError::io("create", &parts))?;
    let workers = threads.min(jobs.iter().filter(|episodes| !episodes.is_empty()).count()).max(1);
    let shared = Shared {
        recipe,
        schema: &schema,
        parts: &parts,
        threads: threads.div_ceil(workers),
        progress,
    };
    let mut output = match recipe.format {
        Format::LeRobot => {
            let writer = LeRobotWriter::new(root, path, recipe, &schema, tasks, &existing)?;
            Some(writer)
        }
        Format::Parquet => None,
    };
    let mut episodes: Vec<Vec<EpisodeAccount>> = jobs.iter().map(|_| Vec::new()).collect();
    write_all(recordings, &planned, &jobs, workers, &shared, |recording, written| {
        for part in written.parts {
            if let Some(accounts) = episodes.get_mut(recording) {
                accounts.push(EpisodeAccount {
                    episode_index: part.episode.episode_index,
                    frames: part.episode.segment.frames,
                    start_secs: part.start_secs,
                    features: part.features.clone(),
                });
            }
            match &mut output {
                Some(writer) => writer.add(part)?,
                None => table::add(root, &part)?,
            }
        }
        if let Some(writer) = &mut output {
            writer.add_pixels(written.pixels);
        }
        Ok(())
    })?;
    let mut account = existing.account;
    account.exporter = concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")).to_owned();
    account.fps = recipe.fps;
    account.episodes += jobs.iter().map(|episodes| episodes.len() as u64).sum::<u64>();
    account.frames += frames;
    let new = planned
        .into_iter()
        .zip(episodes)
        .map(|(planned, episodes)| ExperimentAccount { episodes, ..planned.account });
    account.experiments.extend(new);
    match output {
        Some(writer) => writer.finish(&account, progress)?,
        None => table::finish(root, &account)?,
    }
    // Videos lie there until the last of their file has come.
    fs::remove_dir(&parts).map_err(ExportError::io("remove", &parts))?;
    aside.publish(target == Target::Append)?;
    Ok(account)
}

/// Where the dataset is, whatever links lead there: its folder is replaced, not a link to it.
fn place(path: &Path) -> Result<PathBuf, ExportError> {
    let place = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        found => found.map_err(ExportError::io("find", path))?,
    };
    if place.file_name().is_none() { Err(ExportError::NoName(path.to_owned())) } else { Ok(place) }
}

/// Returns true if something is there that must not be overwritten.
fn is_taken(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// An episode that is there twice would count double.
fn check_names(
    recordings: &[Recording],
    existing: &Existing,
    path: &Path,
) -> Result<(), ExportError> {
    let has_episodes = |one: &&ExperimentAccount| !one.episodes.is_empty();
    let known = existing.account.experiments.iter().filter(has_episodes);
    let mut known: Vec<&str> = known.map(|one| one.experiment.as_str()).collect();
    for recording in recordings {
        if known.contains(&recording.name.as_str()) {
            let reason = format!("experiment {} would be in it twice", recording.name);
            return Err(ExportError::OtherDataset { path: path.to_owned(), reason });
        }
        known.push(&recording.name);
    }
    Ok(())
}

/// The schema that all recordings with frames have.
fn common_schema(recipe: &Recipe, planned: &[Planned]) -> Result<DatasetSchema, ExportError> {
    let mut with_frames = planned.iter().filter_map(|one| Some((one, one.schema.as_ref()?)));
    let Some((first, schema)) = with_frames.next() else {
        return Err(no_frames(planned));
    };
    for (other, other_schema) in with_frames {
        let mut columns = schema.columns.iter().zip(&other_schema.columns);
        if let Some((column, differing)) = columns.find(|(a, b)| a != b) {
            return Err(ExportError::Value {
                experiment: other.account.experiment.clone(),
                feature: column.name.clone(),
                secs: other.tick_secs(recipe, other.plan.segments.first().map_or(0, |s| s.first)),
                reason: format!(
                    "{}, and in {} {}; a feature has one shape",
                    differing.describe(),
                    first.account.experiment,
                    column.describe()
                ),
            });
        }
    }
    Ok(schema.clone())
}

fn no_frames(planned: &[Planned]) -> ExportError {
    let reasons: Vec<String> = planned.iter().map(why_empty).collect();
    ExportError::NoFrames(reasons.join("; "))
}

/// Why a recording gives no frame.
fn why_empty(planned: &Planned) -> String {
    let account = &planned.account;
    let name = &account.experiment;
    if let Some(reason) = &account.left_out {
        return format!("{name}: {reason}");
    }
    if let Some(longest) = account.short.iter().map(|short| short.frames).max() {
        return format!(
            "{name}: the longest stretch without a hole has {longest} frames, fewer than `min_frames`"
        );
    }
    let worst = account.missing.iter().max_by_key(|missing| missing.ticks);
    match (worst, &account.late_track) {
        (Some(worst), _) => format!(
            "{name}: feature `{}` lacks a value at {} of {} ticks from {:.3} on",
            worst.feature, worst.ticks, account.ticks, worst.first_secs
        ),
        (None, Some(track)) => {
            format!("{name}: track `{track}` has no row with what the recipe takes of it")
        }
        (None, None) => format!("{name}: it has no ticks"),
    }
}

/// Numbers the episodes that are long enough.
fn jobs(
    recipe: &Recipe,
    planned: &mut [Planned],
    existing: &Existing,
    tasks: &mut Vec<String>,
) -> Vec<Vec<Episode>> {
    let (mut episode_index, mut first_index) = (existing.episodes, existing.frames);
    let mut number = |planned: &mut Planned| {
        let mut episodes = Vec::new();
        for segment in planned.plan.segments.clone() {
            if segment.frames < recipe.min_frames {
                let start_secs = planned.tick_secs(recipe, segment.first);
                planned.account.short.push(ShortEpisode { start_secs, frames: segment.frames });
                continue;
            }
            let task = planned.task.clone().unwrap_or_default();
            let known = tasks.iter().position(|known| *known == task);
            let task_index = known.unwrap_or_else(|| {
                tasks.push(task);
                tasks.len() - 1
            }) as u64;
            episodes.push(Episode { segment, episode_index, first_index, task_index });
            episode_index += 1;
            first_index += segment.frames;
        }
        episodes
    };
    planned.iter_mut().map(&mut number).collect()
}

#[cfg(test)]
mod tests;
