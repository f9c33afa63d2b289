//! Which files are merged into which: pure, from what the manifests of a project name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::layout::{COMPACTED, encoded};

/// As Hive names the partition of what has none.
const NO_DAY: &str = "__HIVE_DEFAULT_PARTITION__";

/// More than that is done in several plans, so that a plan stays a small object.
const MAX_PIECES: usize = 20_000;

/// What a merged file holds the rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A project's day, in UTC: that on which a chunk begins.
    Day,
    /// A project.
    Project,
}

/// How files are merged.
#[derive(Clone, Debug)]
pub struct Rule {
    /// About how large merged files become. Files of half of that are left alone.
    pub size_bytes: u64,
    /// What they hold.
    pub by: By,
    /// The topics; all if there is none.
    pub topics: BTreeSet<String>,
}

/// A chunk of a track, as a manifest names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) experiment: String,
    pub(super) topic: String,
    /// Its name: the file that it was published as.
    pub(super) name: String,
    /// The file in which its rows lie now.
    pub(super) place: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) first: f64,
}

/// What is to be done, in an order and under names that follow from it alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The merged files.
    pub(super) merges: Vec<Merge>,
    /// Merged files of before, all of whose rows these take.
    pub(super) retired: Vec<String>,
}

/// A merged file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Merge {
    pub(super) topic: String,
    pub(super) target: String,
    /// In the order of its rows.
    pub(super) pieces: Vec<Piece>,
}

/// A chunk's rows within a merged file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) experiment: String,
    pub(super) chunk: String,
    /// Where they lie so far.
    pub(super) place: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Chunks that move together: one that has a file of its own, or those of a merged file.
struct Unit {
    chunks: Vec<Chunk>,
    bytes: u64,
    first: f64,
    /// The merged file holds rows that no longer count, or those of another folder.
    must: bool,
}

impl Plan {
    /// Of one project, which is `owner=…/project=…`; the second value says whether there is more to do after it. `generation` was never used before
    /// for this project, so neither were the names.
    pub(super) fn of(
        chunks: Vec<Chunk>,
        rule: &Rule,
        project: &str,
        generation: u64,
    ) -> (Self, bool) {
        let mut plan = Self::default();
        let mut pieces = 0;
        let mut is_cut = false;
        let wanted = |topic: &str| rule.topics.is_empty() || rule.topics.contains(topic);
        let chunks: Vec<Chunk> = chunks.into_iter().filter(|chunk| wanted(&chunk.topic)).collect();
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        for chunk in &chunks {
            *live.entry(chunk.place.clone()).or_default() += 1;
        }
        for (folder, units) in units(chunks, rule.by, project) {
            for bin in bins(units, rule.size_bytes) {
                let count: usize = bin.iter().map(|unit| unit.chunks.len()).sum();
                if pieces > 0 && pieces + count > MAX_PIECES {
                    is_cut = true;
                    continue;
                }
                pieces += count;
                let merge = Merge::of(bin, &folder, generation);
                for piece in &merge.pieces {
                    if let Some(left) = live.get_mut(&piece.place) {
                        *left -= 1;
                    }
                }
                plan.merges.push(merge);
            }
        }
        let is_empty =
            |(place, left): (String, usize)| (left == 0 && is_merged(&place)).then_some(place);
        plan.retired = live.into_iter().filter_map(is_empty).collect();
        (plan, is_cut)
    }
}

impl Merge {
    fn of(units: Vec<Unit>, folder: &str, generation: u64) -> Self {
        let mut chunks: Vec<Chunk> = units.into_iter().flat_map(|unit| unit.chunks).collect();
        let mut begins: BTreeMap<String, f64> = BTreeMap::new();
        for chunk in &chunks {
            let begin = begins.entry(chunk.experiment.clone()).or_insert(chunk.first);
            *begin = begin.min(chunk.first);
        }
        let begin = |chunk: &Chunk| begins.get(&chunk.experiment).copied().unwrap_or(chunk.first);
        chunks.sort_by(|a, b| {
            (begin(a).total_cmp(&begin(b)))
                .then_with(|| a.experiment.cmp(&b.experiment))
                .then_with(|| a.first.total_cmp(&b.first))
                .then_with(|| a.name.cmp(&b.name))
        });
        let rows: u64 = chunks.iter().map(|chunk| chunk.rows).sum();
        let mut hash = Sha256::new();
        for chunk in &chunks {
            for text in [&chunk.experiment, &chunk.name] {
                hash.update(text.as_bytes());
                hash.update([0]);
            }
        }
        let hash: String =
            hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let topic = chunks.first().map(|chunk| chunk.topic.clone()).unwrap_or_default();
        let piece = |chunk: Chunk| {
            let Chunk { experiment, name, place, rows, bytes, .. } = chunk;
            Piece { experiment, chunk: name, place, rows, bytes }
        };
        Self {
            topic,
            target: format!("{folder}/{generation:05}-{rows}-{hash}.parquet"),
            pieces: chunks.into_iter().map(piece).collect(),
        }
    }
}

/// Returns true if this is a merged file rather than a track's own.
pub(super) fn is_merged(place: &str) -> bool {
    place.strip_prefix(COMPACTED).is_some_and(|rest| rest.starts_with('/'))
}

/// The project that a merged file is of: `owner=…/project=…`.
pub(super) fn project_of(place: &str) -> Option<String> {
    let mut folders = place.split('/').skip(2);
    Some(format!("{}/{}", folders.next()?, folders.next()?))
}

/// The plan that a merged file is of: its name says so.
pub(super) fn generation_in(place: &str) -> Option<u64> {
    let (_, name) = place.rsplit_once('/')?;
    name.split_once('-')?.0.parse().ok()
}

/// How many rows a merged file has, those that no longer count too: its name says so.
fn rows_in(place: &str) -> Option<u64> {
    place.rsplit('/').next()?.split('-').nth(1)?.parse().ok()
}

/// By the folder that they belong into.
fn units(chunks: Vec<Chunk>, by: By, project: &str) -> BTreeMap<String, Vec<Unit>> {
    let mut places: BTreeMap<String, Vec<Chunk>> = BTreeMap::new();
    for chunk in chunks {
        places.entry(chunk.place.clone()).or_default().push(chunk);
    }
    let mut units: BTreeMap<String, Vec<Unit>> = BTreeMap::new();
    for (place, chunks) in places {
        let rows: u64 = chunks.iter().map(|chunk| chunk.rows).sum();
        let is_stale = is_merged(&place) && rows_in(&place) != Some(rows);
        let mut folders: BTreeMap<String, Vec<Chunk>> = BTreeMap::new();
        for chunk in chunks {
            folders.entry(folder(&chunk, by, project)).or_default().push(chunk);
        }
        for (folder, chunks) in folders {
            let is_elsewhere = is_merged(&place)
                && place.rsplit_once('/').is_none_or(|(parent, _)| parent != folder);
            let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
            let first = chunks.iter().map(|chunk| chunk.first).fold(f64::INFINITY, f64::min);
            let must = is_stale || is_elsewhere;
            units.entry(folder).or_default().push(Unit { chunks, bytes, first, must });
        }
    }
    units
}

fn folder(chunk: &Chunk, by: By, project: &str) -> String {
    let topic = encoded(&chunk.topic);
    match by {
        By::Project => format!("{COMPACTED}/{topic}/{project}"),
        By::Day => format!("{COMPACTED}/{topic}/{project}/day={}", day(chunk.first)),
    }
}

fn day(secs: f64) -> String {
    // Saturates; what is no time of a calendar has no day.
    let time = Timestamp::from_second(secs.floor() as i64);
    time.map_or(NO_DAY.to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// What goes into one file each: neighbours in time, up to the size. What is large is left alone, and so is a file that would be
/// merged with nothing.
fn bins(units: Vec<Unit>, size_bytes: u64) -> Vec<Vec<Unit>> {
    let mut units: Vec<Unit> =
        units.into_iter().filter(|unit| unit.must || unit.bytes < size_bytes / 2).collect();
    let name = |unit: &Unit| unit.chunks.first().map(|chunk| chunk.name.clone());
    units.sort_by(|a, b| a.first.total_cmp(&b.first).then_with(|| name(a).cmp(&name(b))));
    let mut bins: Vec<Vec<Unit>> = Vec::new();
    let mut filled = u64::MAX;
    for unit in units {
        if filled.saturating_add(unit.bytes) > size_bytes {
            bins.push(Vec::new());
            filled = 0;
        }
        filled += unit.bytes;
        if let Some(bin) = bins.last_mut() {
            bin.push(unit);
        }
    }
    bins.retain(|bin| bin.len() > 1 || bin.iter().any(|unit| unit.must));
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "owner=alice/project=lab";

    fn chunk(experiment: &str, place: &str, rows: u64, first: f64) -> Chunk {
        Chunk {
            experiment: format!("alice/lab/{experiment}"),
            topic: "odom".to_owned(),
            name: format!("tracks/odom/{PROJECT}/experiment={experiment}/{first}.parquet"),
            place: place.to_owned(),
            rows,
            bytes: 10 * rows,
            first,
        }
    }

    fn own(experiment: &str, rows: u64, first: f64) -> Chunk {
        let chunk = chunk(experiment, "", rows, first);
        Chunk { place: chunk.name.clone(), ..chunk }
    }

    fn rule(size_bytes: u64) -> Rule {
        Rule { size_bytes, by: By::Day, topics: BTreeSet::new() }
    }

    fn plan(chunks: Vec<Chunk>, rule: &Rule) -> Plan {
        Plan::of(chunks, rule, PROJECT, 7).0
    }

    #[test]
    fn small_files_of_a_day_go_into_one_sorted_by_experiment_and_those_by_their_start() {
        let chunks = vec![
            own("b", 5, 86_400.0),
            own("a", 1, 86_500.0),
            own("b", 2, 86_600.0),
            own("c", 1, 0.0),
        ];
        let plan = plan(chunks, &rule(1000));
        assert_eq!(plan.merges.len(), 1, "a file alone is left alone");
        let merge = &plan.merges[0];
        let (folder, file) = merge.target.rsplit_once('/').unwrap();
        assert_eq!(folder, "compacted/odom/owner=alice/project=lab/day=1970-01-02");
        assert!(file.starts_with("00007-8-"), "{file}");
        let order = merge.pieces.iter().map(|piece| (&piece.experiment[10..], piece.rows));
        assert_eq!(order.collect::<Vec<_>>(), [("b", 5), ("b", 2), ("a", 1)]);
        assert!(plan.retired.is_empty());
    }

    #[test]
    fn files_fill_up_to_the_size_and_large_ones_are_left_alone() {
        let small = (0..6).map(|i| own(&format!("e{i}"), 40, f64::from(i)));
        let chunks = small.chain([own("large", 60, 2.5)]).collect();
        let plan = plan(chunks, &rule(1000));
        let rows = |merge: &Merge| merge.pieces.iter().map(|piece| piece.rows).collect::<Vec<_>>();
        assert_eq!(plan.merges.iter().map(rows).collect::<Vec<_>>(), [[40; 2], [40; 2], [40; 2]]);
    }

    #[test]
    fn a_merged_file_that_holds_what_no_longer_counts_is_written_again_and_retired() {
        let place = "compacted/odom/owner=alice/project=lab/day=1970-01-01/00001-100-ab.parquet";
        let whole = vec![chunk("a", place, 60, 0.0), chunk("b", place, 40, 1.0)];
        assert_eq!(plan(whole.clone(), &rule(1000)), Plan::default());
        let stale = plan(vec![whole[1].clone()], &rule(1000));
        assert_eq!(stale.merges.len(), 1);
        assert_eq!(stale.retired, [place]);
    }

    #[test]
    fn a_small_merged_file_takes_part_and_a_change_of_folders_moves_everything() {
        let place = "compacted/odom/owner=alice/project=lab/day=1970-01-01/00001-20-ab.parquet";
        let merged = vec![chunk("a", place, 10, 0.0), chunk("b", place, 10, 1.0)];
        let more = [merged.clone(), vec![own("c", 1, 5.0)]].concat();
        let grown = plan(more, &rule(1000));
        assert_eq!((grown.merges[0].pieces.len(), &*grown.retired), (3, &[place.to_owned()][..]));
        let by_project = Rule { by: By::Project, ..rule(1000) };
        let moved = plan(merged, &by_project);
        assert_eq!(moved.retired, [place]);
        assert!(
            moved.merges[0].target.starts_with("compacted/odom/owner=alice/project=lab/00007-20-")
        );
    }

    #[test]
    fn no_day_is_made_up_for_a_time_beyond_calendars() {
        assert_eq!(
            [day(-1.0), day(1e300), day(1_764_400_000.5)],
            ["1969-12-31", NO_DAY, "2025-11-29"]
        );
    }
}
