use mldash_track::{Experiment, Options, fields};

use super::threads::write_one;
use super::*;

const RUN: &str = "alice/lab/run";

fn record(root: &Path, secs: impl IntoIterator<Item = f64>) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for secs in secs {
        exp.tracks("odom").append(fields! { "x": secs }, secs).unwrap();
    }
    exp.close().unwrap();
}

/// Plans, lets `change` happen, and writes.
fn write_after(root: &Path, change: impl FnOnce()) -> Result<Vec<u64>, ExportError> {
    let recipe = "{fps: 10, task: t, features: {x: {from: 'odom:x'}}}";
    let recipe = Recipe::parse(recipe, "recipe").unwrap();
    let experiment = Experiment::open_read_only(RUN, root).unwrap();
    let recordings = [Recording { name: RUN.to_owned(), experiment }];
    let progress = Progress::default();
    let mut planned = [Planned::new(&recipe, &recordings[0], &progress).unwrap()];
    let schema = planned[0].schema.clone().unwrap();
    let jobs = jobs(&recipe, &mut planned, &Existing::default(), &mut Vec::new());
    change();
    let parts = tempfile::tempdir().unwrap();
    let (parts, progress) = (parts.path(), &progress);
    let shared = Shared { recipe: &recipe, schema: &schema, parts, threads: 1, progress };
    let written = write_one(&recordings, &planned, &jobs, 0, &shared)?;
    Ok(written.parts.iter().map(|part| part.episode.segment.frames).collect())
}

#[test]
fn a_recording_that_changes_between_plan_and_writing_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), [1.0, 1.1, 1.2, 1.3]);
    assert_eq!(write_after(root.path(), || ()).unwrap(), [4]);
    // A row that came late moves the grid.
    let error = write_after(root.path(), || record(root.path(), [0.95])).unwrap_err();
    assert!(matches!(error, ExportError::Changed { .. }), "{error}");
    let removed = || {
        std::fs::remove_dir_all(root.path().join(RUN)).unwrap();
        record(root.path(), [0.95, 1.1, 1.2]);
    };
    let error = write_after(root.path(), removed).unwrap_err();
    assert!(matches!(error, ExportError::Changed { .. }), "{error}");
}
