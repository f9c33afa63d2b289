//! Joints by their names, whatever their order in a message.

use std::collections::BTreeSet;

use mldash_track::{Column, Experiment, Join, Query, TrackError, Value};

use crate::recipe::{Content, Feature, Numbers};
use crate::values::by_name;

/// The column with the joints' names, beside that of their values.
const JOINT_NAMES: &str = "name";
/// So many names are told at most.
const SHOWN_NAMES: usize = 64;

/// Puts joints in the recipe's order before rows are joined, and leaves out rows that lack some of them: another node's.
pub(super) fn in_order(join: Join, feature: &Feature, track: &str, joints: &[String]) -> Join {
    let Content::Numbers(Numbers { sources, .. }) = &feature.content else { return join };
    let of_track = sources.iter().filter(|source| source.track == track);
    let columns: Vec<(Column, String)> = of_track
        .filter_map(|source| source.column.as_deref())
        .map(|column| (Column::from(column), names_beside(column)))
        .collect();
    let joints = joints.to_vec();
    join.each_row(move |fields| {
        columns.iter().all(|(column, names)| {
            let ordered = match (fields.get(column), fields.get(names)) {
                (Some(list), Some(names)) => by_name(list, names, &joints),
                _ => None,
            };
            ordered.map(|ordered| fields.insert(column.clone(), ordered)).is_some()
        })
    })
}

/// The column of the joints' names: `arm.name` beside `arm.position`.
pub(super) fn names_beside(column: &str) -> String {
    match column.rsplit_once('.') {
        Some((parent, _)) => format!("{parent}.{JOINT_NAMES}"),
        None => JOINT_NAMES.to_owned(),
    }
}

/// Looks for a row that holds all joints. If there is none, returns what is missing, and the names that rows have.
pub(super) fn check_names(
    experiment: &Experiment,
    track: &str,
    names: &str,
    joints: &[String],
) -> Result<Option<(String, Vec<String>)>, TrackError> {
    let mut wanted: Vec<&String> = joints.iter().collect();
    let mut seen = BTreeSet::new();
    for row in experiment.tracks(track).rows(&Query::all())? {
        let row = row?;
        let Some(Value::List(found)) = row.fields.get(names) else { continue };
        let is_there = |joint: &String| {
            found.iter().any(|name| matches!(name, Value::Text(name) if name == joint))
        };
        if joints.iter().all(is_there) {
            return Ok(None);
        }
        wanted.retain(|joint| !is_there(joint));
        for name in found {
            if let (Value::Text(name), true) = (name, seen.len() < SHOWN_NAMES) {
                seen.insert(name.clone());
            }
        }
    }
    let missing = match wanted.first() {
        Some(joint) => format!("joint `{joint}` in any message of track `{track}`"),
        None => format!("message of track `{track}` with all of the joints {}", joints.join(", ")),
    };
    // A track without rows is told as any other.
    Ok((!seen.is_empty()).then(|| (missing, seen.into_iter().collect())))
}
