//! What each recording gives, before anything is written: its episodes, what they are short of, and what its features look
//! like.

use std::path::Path;

use mldash_track::{AlignError, Experiment, RunStatus, TrackError};

use crate::account::{ExperimentAccount, MissingValues};
use crate::dataset_schema::{DatasetSchema, Found};
use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::frames::{PlannedRecording, read};
use crate::grid::{Plan, Planner};
use crate::joins::{Joins, PartialRows, Read};
use crate::picture;
use crate::pictures::Wanted;
use crate::progress::Progress;
use crate::recipe::{Format, Recipe};

/// Ticks between looks at whether the export is to stop.
const CHECK_TICKS: u64 = 1024;

/// A recording to export.
#[derive(Debug)]
pub struct Recording {
    /// Its full name.
    pub name: String,
    /// The recording, open to read.
    pub experiment: Experiment,
}

impl Recording {
    /// Opens the experiments of these names under `root`, in this order.
    ///
    /// # Errors
    /// Fails if one of them is not there.
    pub fn open_all(
        names: impl IntoIterator<Item = String>,
        root: &Path,
    ) -> Result<Vec<Self>, TrackError> {
        let open = |name: String| {
            let experiment = Experiment::open_read_only(&name, root)?;
            Ok(Self { name, experiment })
        };
        names.into_iter().map(open).collect()
    }
}

/// What a recording gives.
pub(crate) struct Planned {
    pub(crate) joins: Option<Joins>,
    pub(crate) task: Option<String>,
    pub(crate) plan: Plan,
    /// What its features look like, if it has a frame.
    pub(crate) schema: Option<DatasetSchema>,
    pub(crate) account: ExperimentAccount,
    /// The time of the first tick, in seconds.
    pub(crate) start_secs: f64,
}

/// How a walk over a recording's ticks ended.
enum Walk {
    /// After the last.
    Whole,
    /// At a row without a value, which must be left out.
    MetPartialRow,
}

impl Planned {
    pub(crate) fn new(
        recipe: &Recipe,
        recording: &Recording,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let Recording { name, experiment } = recording;
        let notes = experiment.notes().map_err(ExportError::track(name))?;
        let labels = notes.labels();
        let task = recipe.task.clone().or(labels.task);
        let is_unsuccessful = labels.success == Some(false);
        let account =
            ExperimentAccount { experiment: name.clone(), is_unsuccessful, ..Default::default() };
        let plan = Plan::default();
        let mut planned = Self { joins: None, task, plan, schema: None, account, start_secs: 0.0 };
        if labels.discarded {
            planned.account.left_out = Some("it is marked as discarded".to_owned());
            return Ok(planned);
        }
        let is_over = notes.status.is_some_and(RunStatus::is_final);
        if !is_over && experiment.is_being_written().map_err(ExportError::track(name))? {
            let reason = "it is being recorded; export it once that has ended".to_owned();
            planned.account.left_out = Some(reason);
            planned.account.is_being_recorded = true;
            return Ok(planned);
        }
        if planned.task.is_none() && recipe.format == Format::LeRobot {
            return Err(ExportError::NoTask { experiment: name.clone() });
        }
        for partial in [PartialRows::Join, PartialRows::LeaveOut] {
            let joins = Joins::new(recipe, name, experiment, partial)?;
            planned.schema = None;
            match planned.walk(recipe, recording, &joins, progress) {
                // A track without rows gives no episode, which is told as that of any other.
                Err(ExportError::Track {
                    source: TrackError::Align(AlignError::NoRows { topic }),
                    ..
                }) => {
                    planned.account.late_track = Some(topic);
                }
                Ok(Walk::MetPartialRow) => continue,
                Ok(Walk::Whole) => {}
                Err(error) => return Err(error),
            }
            planned.joins = Some(joins);
            break;
        }
        Ok(planned)
    }

    /// The time of a tick, in seconds.
    pub(crate) fn tick_secs(&self, recipe: &Recipe, tick: u64) -> f64 {
        self.start_secs + tick as f64 / f64::from(recipe.fps)
    }

    /// Goes through all ticks, or up to the first where other rows must be joined.
    fn walk(
        &mut self,
        recipe: &Recipe,
        recording: &Recording,
        joins: &Joins,
        progress: &Progress,
    ) -> Result<Walk, ExportError> {
        let Recording { name, experiment } = recording;
        let aligned = joins.open(name, experiment)?;
        let mut planner = Planner::new(joins.policies());
        for (tick, row) in (0_u64..).zip(aligned.rows()) {
            if tick.is_multiple_of(CHECK_TICKS) {
                progress.check()?;
            }
            let row = row.map_err(ExportError::track(name))?;
            let secs = row.ts.as_secs();
            if tick == 0 {
                self.start_secs = secs;
                self.note_start(recipe, recording, secs)?;
            }
            let lacks = joins.lacks(&row.fields);
            if !lacks.is_empty() && joins.meets_partial_row(&row.fields) {
                return Ok(Walk::MetPartialRow);
            }
            let first = planner.tick(secs, &lacks);
            let is_first = first.map_err(|fatal| ExportError::Missing {
                experiment: name.clone(),
                feature: feature_name(recipe, fatal.lack.feature),
                secs: fatal.secs,
                before: fatal.lack.before,
            })?;
            if is_first {
                let source =
                    PlannedRecording { name, experiment, joins, task: None, start_secs: secs };
                let found = look(recipe, &source, secs, &row.fields)?;
                self.schema = Some(DatasetSchema::new(recipe, &found)?);
            }
        }
        self.plan = planner.finish();
        self.account.ticks = self.plan.ticks;
        self.account.after_end = self.plan.after_end;
        self.account.missing = (self.plan.holes.iter())
            .map(|hole| MissingValues {
                feature: feature_name(recipe, hole.feature),
                cost: hole.cost,
                first_secs: hole.first_secs,
                ticks: hole.ticks,
            })
            .collect();
        Ok(Walk::Whole)
    }

    /// Notes which track began last, and how long after the first.
    fn note_start(
        &mut self,
        recipe: &Recipe,
        recording: &Recording,
        start_secs: f64,
    ) -> Result<(), ExportError> {
        let tracks = recording.experiment.list().map_err(ExportError::track(&recording.name))?;
        let used = tracks.iter().filter(|track| recipe.reads(&track.topic));
        let begins: Vec<(f64, &str)> =
            used.filter_map(|t| Some((t.first_timestamp?, t.topic.as_str()))).collect();
        let earliest = begins.iter().map(|(secs, _)| *secs).fold(start_secs, f64::min);
        let last = begins.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        self.account.late_secs = start_secs - earliest;
        self.account.late_track = last.map(|(_, topic)| (*topic).to_owned());
        Ok(())
    }
}

fn feature_name(recipe: &Recipe, feature: usize) -> String {
    recipe.features.get(feature).map(|feature| feature.name.clone()).unwrap_or_default()
}

/// What each feature looks like in a row.
fn look(
    recipe: &Recipe,
    source: &PlannedRecording<'_>,
    secs: f64,
    fields: &mldash_track::Fields,
) -> Result<Vec<Found>, ExportError> {
    let mut found = Vec::with_capacity(recipe.features.len());
    let mut listed = None;
    for (place, feature) in recipe.features.iter().enumerate() {
        let reading = read(source, recipe, place, secs, fields)?;
        let tracks = reading.stamps.len();
        found.push(match reading.content {
            Read::Numbers(numbers) if numbers.is_empty() => {
                return Err(ExportError::Value {
                    experiment: source.name.to_owned(),
                    feature: feature.name.clone(),
                    secs,
                    reason: "it has no number: each of its lists, or slices, is empty".to_owned(),
                });
            }
            Read::Numbers(numbers) => Found::Numbers { width: numbers.len(), tracks },
            Read::File(file) => {
                // Listing all files is dear, and they are the same for each feature.
                let files = match &mut listed {
                    Some(files) => files,
                    none => none.insert(RecordedFiles::new(source.name, source.experiment)?),
                };
                let bytes = files.read(&file)?;
                let wanted = Wanted { column: 0, file, frames: 1, secs };
                let wrong = |error| files.unusable(&feature.name, &wanted, error);
                Found::Picture(picture::probe(&bytes).map_err(wrong)?)
            }
        });
    }
    Ok(found)
}
