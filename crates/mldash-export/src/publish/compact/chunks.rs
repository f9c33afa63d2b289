//! What may be merged: pure, from what the manifests of a project say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::layout::Layout;
use super::super::manifest::PublishedFile;
use super::plan::{Bin, By, Limits, Plans, Rule, is_merged};

/// A chunk of a track, as a manifest names it. Texts are shared: there may be many chunks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) experiment: Arc<str>,
    pub(super) topic: Arc<str>,
    /// Its name: the file that it was published as.
    pub(super) name: Arc<str>,
    /// The file in which its rows lie now.
    pub(super) place: Arc<str>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) first: f64,
}

/// Chunks that move together: one that has a file of its own, or those of a merged file.
pub(super) struct Unit {
    pub(super) chunks: Vec<Chunk>,
    bytes: u64,
    pub(super) first: f64,
    /// The merged file holds rows that no longer count, or those of another folder.
    must: bool,
}

/// The UTC day of a time, counted from 1970.
pub(super) type Day = i64;

/// What a look at a project had no room for, for the next one; the default is everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    /// What begins on days before is done.
    from: Option<Day>,
    /// Merged files that nothing is to be done about, each of many chunks.
    done: BTreeSet<Arc<str>>,
}

/// What may be merged of a project, as its manifests say it. The number that is held is bounded: of what finds no room, the latest days are left, and
/// [`rest`](Self::rest) says which.
pub(super) struct Chunks {
    rule: Rule,
    limits: Limits,
    /// `owner=…/project=…`.
    project: String,
    /// Nothing else is looked at, and of it what begins before this day.
    rest: Rest,
    until: Option<Day>,
    held: BTreeMap<Day, Vec<Chunk>>,
    count: usize,
    /// At this number, room is made.
    full_at: usize,
    /// Of each merged file that is named, of any topic.
    merged: BTreeMap<Arc<str>, Live>,
    /// Folders in which files that are not merged yet belong.
    unmerged: BTreeSet<String>,
    topics: BTreeSet<Arc<str>>,
}

/// What counts of a merged file.
#[derive(Clone, Copy, Debug, Default)]
struct Live {
    chunks: usize,
    rows: u64,
    bytes: u64,
    /// A chunk belongs into another folder.
    is_elsewhere: bool,
}

impl Live {
    fn is_large(&self, rule: &Rule) -> bool {
        self.bytes >= rule.size_bytes / 2
    }

    /// Returns true if the file is to be written again.
    fn must(&self, place: &str) -> bool {
        self.is_elsewhere || rows_in(place) != Some(self.rows)
    }
}

impl Chunks {
    /// For a look at `rest`.
    pub(super) fn new(rule: &Rule, limits: Limits, project: &str, rest: &Rest) -> Self {
        Self {
            rule: rule.clone(),
            limits,
            project: project.to_owned(),
            rest: rest.clone(),
            until: None,
            held: BTreeMap::new(),
            count: 0,
            full_at: limits.held,
            merged: BTreeMap::new(),
            unmerged: BTreeSet::new(),
            topics: BTreeSet::new(),
        }
    }

    /// Adds a chunk of an experiment.
    pub(super) fn add(&mut self, experiment: &Arc<str>, file: &PublishedFile) {
        let Self { rule, project, .. } = self;
        let is_wanted = rule.topics.is_empty() || rule.topics.contains(&file.topic);
        let name: Arc<str> = Arc::from(&*file.name);
        let place = match &file.compacted {
            None if file.bytes >= rule.size_bytes / 2 => return,
            None => {
                if is_wanted {
                    self.unmerged.insert(rule.folder(&file.topic, file.first, project));
                }
                name.clone()
            }
            Some(place) => {
                let known = self.merged.get_key_value(&**place).map(|(place, _)| place.clone());
                let place = known.unwrap_or_else(|| Arc::from(&**place));
                let live = self.merged.entry(place.clone()).or_default();
                live.chunks += 1;
                live.rows = live.rows.saturating_add(file.rows);
                live.bytes = live.bytes.saturating_add(file.bytes);
                live.is_elsewhere |=
                    folder_of(&place) != rule.folder(&file.topic, file.first, project);
                place
            }
        };
        let day = day(file.first);
        let is_within = self.rest.from.is_none_or(|from| from <= day)
            && self.until.is_none_or(|until| day < until);
        if !is_wanted || !is_within || self.rest.done.contains(&place) {
            return;
        }
        let topic = match self.topics.get(&*file.topic) {
            Some(topic) => topic.clone(),
            None => Arc::from(&*file.topic),
        };
        self.topics.insert(topic.clone());
        let (experiment, rows, bytes, first) =
            (experiment.clone(), file.rows, file.bytes, file.first);
        let chunk = Chunk { experiment, topic, name, place, rows, bytes, first };
        self.held.entry(day).or_default().push(chunk);
        self.count += 1;
        if self.count >= self.full_at {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        // Most of what there is was merged long ago, as far as that is known by now: a merged file may have chunks in manifests that come later.
        let Self { merged, rule, .. } = self;
        let is_done = |chunk: &Chunk| {
            let live = merged.get(&chunk.place);
            live.is_some_and(|live| live.is_large(rule) && !live.must(&chunk.place))
        };
        for chunks in self.held.values_mut() {
            chunks.retain(|chunk| !is_done(chunk));
        }
        self.held.retain(|_, chunks| !chunks.is_empty());
        self.count = self.held.values().map(Vec::len).sum();
        while self.count > self.full_at / 2
            && self.held.len() > 1
            && let Some((day, chunks)) = self.held.pop_last()
        {
            self.count -= chunks.len();
            self.until = Some(day);
        }
        // A single day is held whole.
        self.full_at = self.full_at.max(self.count * 2);
    }

    /// What found no room, once all is added; `None` if there is nothing.
    pub(super) fn rest(&self) -> Option<Rest> {
        let from = Some(self.until?);
        let is_settled = |place: &str, live: &Live| live.is_large(&self.rule) && !live.must(place);
        let mut unsettled: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, _) in self.merged.iter().filter(|(place, live)| !is_settled(place, live)) {
            *unsettled.entry(folder_of(place)).or_default() += 1;
        }
        let has_other =
            |folder: &str| self.unmerged.contains(folder) || unsettled.get(folder) > Some(&1);
        let is_done = |place: &str, live: &Live| {
            is_settled(place, live) || (!live.must(place) && !has_other(folder_of(place)))
        };
        let done = self.merged.iter().filter(|(place, live)| is_done(place, live));
        Some(Rest { from, done: done.map(|(place, _)| place.clone()).collect() })
    }

    /// Whether a chunk lies in this merged file.
    pub(super) fn names(&self, merged: &str) -> bool {
        self.merged.contains_key(merged)
    }

    /// What is to be done, once all is added.
    pub(super) fn into_plans(self) -> Plans {
        let Self { rule, limits, project, held, merged, .. } = self;
        let mut bins = Vec::new();
        for (folder, units) in units(held.into_values().flatten(), &merged, &rule, &project) {
            let full = bins_of(units, rule.size_bytes, limits.pieces);
            bins.extend(full.into_iter().map(|units| Bin { folder: folder.clone(), units }));
        }
        // By time across topics, so that a plan changes few manifests.
        let first = |bin: &Bin| bin.units.first().map_or(f64::INFINITY, |unit| unit.first);
        bins.sort_by(|a, b| first(a).total_cmp(&first(b)).then_with(|| a.folder.cmp(&b.folder)));
        let left = merged.into_iter().map(|(place, live)| (place, live.chunks)).collect();
        Plans { limits, bins: bins.into(), left }
    }
}

impl Rule {
    /// Where the rows of a chunk belong.
    fn folder(&self, topic: &str, first: f64, project: &str) -> String {
        match self.by {
            By::Project => Layout::merged(topic, project),
            By::Day => Layout::merged_of_day(topic, project, date(first).as_deref()),
        }
    }
}

fn folder_of(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// How many rows a merged file has, those that no longer count too: its name says so.
fn rows_in(place: &str) -> Option<u64> {
    place.rsplit('/').next()?.split('-').nth(1)?.parse().ok()
}

/// By the folder that they belong into.
fn units(
    chunks: impl Iterator<Item = Chunk>,
    merged: &BTreeMap<Arc<str>, Live>,
    rule: &Rule,
    project: &str,
) -> BTreeMap<String, Vec<Unit>> {
    // Of merged files, those of one folder move together.
    let mut together: BTreeMap<(String, Arc<str>), Vec<Chunk>> = BTreeMap::new();
    let mut units: BTreeMap<String, Vec<Unit>> = BTreeMap::new();
    for chunk in chunks {
        let folder = rule.folder(&chunk.topic, chunk.first, project);
        match is_merged(&chunk.place) {
            true => together.entry((folder, chunk.place.clone())).or_default().push(chunk),
            false => units.entry(folder).or_default().push(Unit::of(vec![chunk], false)),
        }
    }
    for ((folder, place), chunks) in together {
        let live = merged.get(&place).copied().unwrap_or_default();
        let must = live.must(&place);
        // What is not held whole is left alone, unless it has to go.
        if must || chunks.len() == live.chunks {
            units.entry(folder).or_default().push(Unit::of(chunks, must));
        }
    }
    units
}

impl Unit {
    fn of(chunks: Vec<Chunk>, must: bool) -> Self {
        let bytes = chunks.iter().fold(0_u64, |bytes, chunk| bytes.saturating_add(chunk.bytes));
        let first = chunks.iter().map(|chunk| chunk.first).fold(f64::INFINITY, f64::min);
        Self { chunks, bytes, first, must }
    }
}

fn day(secs: f64) -> Day {
    // Saturates.
    (secs / 86_400.0).floor() as Day
}

/// The day as a partition has it. What is no time of a calendar has none.
fn date(secs: f64) -> Option<String> {
    let time = Timestamp::from_second(secs.floor() as i64).ok()?;
    Some(time.strftime("%Y-%m-%d").to_string())
}

/// What goes into one file each: neighbours in time, up to the size and the number of chunks. What is large is left alone, and so is a file that would be
/// merged with nothing.
fn bins_of(units: Vec<Unit>, size_bytes: u64, most_pieces: usize) -> Vec<Vec<Unit>> {
    let mut units: Vec<Unit> =
        units.into_iter().filter(|unit| unit.must || unit.bytes < size_bytes / 2).collect();
    let name = |unit: &Unit| unit.chunks.first().map(|chunk| chunk.name.clone());
    units.sort_by(|a, b| a.first.total_cmp(&b.first).then_with(|| name(a).cmp(&name(b))));
    let mut bins: Vec<Vec<Unit>> = Vec::new();
    let (mut bytes, mut pieces) = (u64::MAX, 0);
    for unit in units {
        let is_full = bytes.saturating_add(unit.bytes) > size_bytes
            || pieces + unit.chunks.len() > most_pieces;
        if is_full {
            bins.push(Vec::new());
            (bytes, pieces) = (0, 0);
        }
        bytes = bytes.saturating_add(unit.bytes);
        pieces += unit.chunks.len();
        if let Some(bin) = bins.last_mut() {
            bin.push(unit);
        }
    }
    bins.retain(|bin| bin.len() > 1 || bin.iter().any(|unit| unit.must));
    bins
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::{PROJECT, Published, merged, own, rule};
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_later_days_come_later() {
        let rule = rule(400);
        let place = "compacted/odom/owner=alice/project=lab/day=1970-01-01/00001-20-ab.parquet";
        let whole = (0..20).map(|i| merged(&format!("m{i}"), place, 1, f64::from(i)));
        let days = (0..100).map(|i| own(&format!("e{i}"), 1, f64::from(i / 10) * 86_400.0));
        let all: Vec<Published> = whole.chain(days).collect();
        let (mut rest, mut merges, mut passes) = (Rest::default(), Vec::new(), 0);
        loop {
            let limits = Limits { held: 40, ..Limits::default() };
            let mut chunks = Chunks::new(&rule, limits, PROJECT, &rest);
            for (experiment, file) in &all {
                chunks.add(experiment, file);
                assert!(chunks.count < 40);
            }
            passes += 1;
            let later = chunks.rest();
            let mut plans = chunks.into_plans();
            merges.extend(std::iter::from_fn(|| plans.next(1)).flat_map(|plan| plan.merges));
            let Some(later) = later else { break };
            rest = later;
        }
        assert!(passes > 2);
        assert_eq!(merges.len(), 10, "one a day, and the merged file is as large as it has to be");
        assert!(merges.iter().all(|merge| merge.pieces.len() == 10));
    }

    #[test]
    fn days_that_are_merged_are_looked_at_once_more_together_whatever_the_order() {
        let rule = rule(400);
        let place = |day: u32, rows: u32| {
            let date = date(f64::from(day) * 86_400.0).unwrap();
            format!("compacted/odom/{PROJECT}/day={date}/00001-{rows}-ab.parquet")
        };
        let at = |day: u32, i: u32| f64::from(day) * 86_400.0 + f64::from(i);
        // Robot by robot, each of which has been there on all days. A day has a large merged file, and a small one that is alone.
        let mut all = Vec::new();
        for robot in 0..24 {
            for day in 0..30 {
                let (rows, name) = (if robot < 20 { 20 } else { 4 }, format!("r{robot}-{day}"));
                all.push(merged(&name, &place(day, rows), 1, at(day, robot)));
            }
            all.push(own(&format!("r{robot}"), 1, at(30, robot)));
        }
        let (mut rest, mut merges, mut passes) = (Rest::default(), Vec::new(), 0);
        loop {
            let limits = Limits { held: 60, ..Limits::default() };
            let mut chunks = Chunks::new(&rule, limits, PROJECT, &rest);
            all.iter().for_each(|(experiment, file)| chunks.add(experiment, file));
            passes += 1;
            let later = chunks.rest();
            let mut plans = chunks.into_plans();
            merges.extend(std::iter::from_fn(|| plans.next(1)).flat_map(|plan| plan.merges));
            let Some(later) = later else { break };
            rest = later;
        }
        assert_eq!((passes, merges.len()), (2, 1));
        assert_eq!(merges[0].pieces.len(), 24);
    }

    #[test]
    fn no_day_is_made_up_for_a_time_beyond_calendars() {
        assert_eq!(
            [date(-1.0).as_deref(), date(1e300).as_deref(), date(1_764_400_000.5).as_deref()],
            [Some("1969-12-31"), None, Some("2025-11-29")]
        );
    }
}
