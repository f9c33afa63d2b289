//! What is done about what may be merged, in plans of bounded size. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::layout::COMPACTED;
use super::chunks::{Chunk, Unit};

/// What is held and done at once. Tests have less room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Chunks in memory, of half a kilobyte each with what is planned for them. A single day may have more.
    pub(super) held: usize,
    /// Chunks of a plan, and of a merged file, so that a plan stays an object of a few megabytes.
    pub(super) pieces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { held: 250_000, pieces: 20_000 }
    }
}

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

/// Plans that are carried out one after the other.
pub(super) struct Plans {
    pub(super) limits: Limits,
    pub(super) bins: VecDeque<Bin>,
    /// How many chunks each merged file of before has that are in no plan yet.
    pub(super) left: BTreeMap<Arc<str>, usize>,
}

/// What goes into one merged file.
pub(super) struct Bin {
    pub(super) folder: String,
    pub(super) units: Vec<Unit>,
}

impl Plans {
    /// The next one; `None` if nothing is left to do. `generation` was never used before for this project, so neither were the names.
    pub(super) fn next(&mut self, generation: u64) -> Option<Plan> {
        let mut plan = Plan::default();
        let mut pieces = 0;
        let most = self.limits.pieces;
        let fits = |pieces: usize, bin: &Bin| pieces == 0 || pieces + bin.len() <= most;
        while self.bins.front().is_some_and(|bin| fits(pieces, bin))
            && let Some(bin) = self.bins.pop_front()
        {
            pieces += bin.len();
            let merge = Merge::of(bin, generation);
            for piece in &merge.pieces {
                if let Some(left) = self.left.get_mut(&*piece.place) {
                    *left -= 1;
                    if *left == 0 {
                        plan.retired.push(piece.place.clone());
                    }
                }
            }
            plan.merges.push(merge);
        }
        (!plan.merges.is_empty()).then_some(plan)
    }
}

impl Bin {
    fn len(&self) -> usize {
        self.units.iter().map(|unit| unit.chunks.len()).sum()
    }
}

impl Merge {
    fn of(bin: Bin, generation: u64) -> Self {
        let Bin { folder, units } = bin;
        let mut chunks: Vec<Chunk> = units.into_iter().flat_map(|unit| unit.chunks).collect();
        let mut begins: BTreeMap<Arc<str>, f64> = BTreeMap::new();
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
        let rows = chunks.iter().fold(0_u64, |rows, chunk| rows.saturating_add(chunk.rows));
        let mut hash = Sha256::new();
        for chunk in &chunks {
            for text in [&chunk.experiment, &chunk.name] {
                hash.update(text.as_bytes());
                hash.update([0]);
            }
        }
        let hash: String =
            hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let topic = chunks.first().map(|chunk| chunk.topic.to_string()).unwrap_or_default();
        let piece = |chunk: Chunk| Piece {
            experiment: chunk.experiment.to_string(),
            chunk: chunk.name.to_string(),
            place: chunk.place.to_string(),
            rows: chunk.rows,
            bytes: chunk.bytes,
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

/// The plan that a merged file is of: its name says so.
pub(super) fn generation_in(place: &str) -> Option<u64> {
    let (_, name) = place.rsplit_once('/')?;
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::manifest::PublishedFile;
    use super::super::chunks::{Chunks, Rest};
    use super::*;

    pub(in super::super) const PROJECT: &str = "owner=alice/project=lab";

    /// An experiment's file.
    pub(in super::super) type Published = (Arc<str>, PublishedFile);

    pub(in super::super) fn own(experiment: &str, rows: u64, first: f64) -> Published {
        let file = PublishedFile {
            name: format!("tracks/odom/{PROJECT}/experiment={experiment}/{first}.parquet"),
            topic: "odom".to_owned(),
            rows,
            bytes: 10 * rows,
            first,
            ..PublishedFile::default()
        };
        (Arc::from(format!("alice/lab/{experiment}")), file)
    }

    pub(in super::super) fn merged(
        experiment: &str,
        place: &str,
        rows: u64,
        first: f64,
    ) -> Published {
        let (experiment, file) = own(experiment, rows, first);
        (experiment, PublishedFile { compacted: Some(place.to_owned()), ..file })
    }

    pub(in super::super) fn rule(size_bytes: u64) -> Rule {
        Rule { size_bytes, by: By::Day, topics: BTreeSet::new() }
    }

    fn plan(files: Vec<Published>, rule: &Rule) -> Plan {
        let mut chunks = Chunks::new(rule, Limits::default(), PROJECT, &Rest::default());
        files.iter().for_each(|(experiment, file)| chunks.add(experiment, file));
        chunks.into_plans().next(7).unwrap_or_default()
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
        let whole = vec![merged("a", place, 60, 0.0), merged("b", place, 40, 1.0)];
        assert_eq!(plan(whole.clone(), &rule(1000)), Plan::default());
        let stale = plan(vec![whole[1].clone()], &rule(1000));
        assert_eq!(stale.merges.len(), 1);
        assert_eq!(stale.retired, [place]);
    }

    #[test]
    fn a_small_merged_file_takes_part_and_a_change_of_folders_moves_everything() {
        let place = "compacted/odom/owner=alice/project=lab/day=1970-01-01/00001-20-ab.parquet";
        let both = vec![merged("a", place, 10, 0.0), merged("b", place, 10, 1.0)];
        let more = [both.clone(), vec![own("c", 1, 5.0)]].concat();
        let grown = plan(more, &rule(1000));
        assert_eq!((grown.merges[0].pieces.len(), &*grown.retired), (3, &[place.to_owned()][..]));
        let by_project = Rule { by: By::Project, ..rule(1000) };
        let moved = plan(both, &by_project);
        assert_eq!(moved.retired, [place]);
        assert!(
            moved.merges[0].target.starts_with("compacted/odom/owner=alice/project=lab/00007-20-")
        );
    }

    #[test]
    fn a_plan_changes_neighbours_in_time_of_all_topics_and_the_rest_is_for_the_next() {
        let limits = Limits { pieces: 40, ..Limits::default() };
        let runs = 30;
        let mut chunks = Chunks::new(&rule(100), limits, PROJECT, &Rest::default());
        for run in 0..runs {
            for topic in ["odom", "imu"] {
                let (experiment, file) = own(&run.to_string(), 1, run as f64);
                let name = format!("{topic}/{}", file.name);
                chunks.add(&experiment, &PublishedFile { topic: topic.to_owned(), name, ..file });
            }
        }
        let mut plans = chunks.into_plans();
        let plans = [plans.next(1), plans.next(2), plans.next(3)];
        let experiments = |plan: &Option<Plan>| -> BTreeSet<String> {
            let pieces = plan.iter().flat_map(|plan| &plan.merges).flat_map(|merge| &merge.pieces);
            pieces.map(|piece| piece.experiment.clone()).collect()
        };
        let [first, second, third] = plans.each_ref().map(experiments);
        assert!(plans[2].is_none() && third.is_empty());
        assert!(first.is_disjoint(&second));
        assert_eq!(first.len() + second.len(), runs);
    }
}
