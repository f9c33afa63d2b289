//! Which files a track's rows belong into, given those that are there. Pure: rows in, a plan out.
//!
//! Rows are cut by number and size, from the first row on, so that the same rows give the same files. Files that are there keep
//! their rows: those from its first to its last time are a file's. If they are what they were, the file stays. If there are
//! more of them, or others, new files replace it. What lies between, before and after the files that are there goes into
//! new ones, which hold nothing else.
//!
//! A file that was put without pictures that its rows name is replaced once they can be read.
//!
//! A file whose rows, or the pictures that they name, are not all here stays too: rows of a track merge, but never get fewer, so this is no later state of the
//! recording but a part of it, such as one whose rows were removed after an upload. A picture that was removed here is on no list any more, and no row says
//! that it named one: so they are counted.

use mldash_track::json::{JsonWriter, NonFinite};
use mldash_track::{Fields, Row, TIMESTAMP_COLUMN, Timestamp, hex};
use sha2::{Digest, Sha256};

use super::manifest::{FORMAT, PublishedFile};

/// How much of SHA-256 is in a name: 128 bits.
const HASH_BYTES: usize = 16;

/// When a file is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Rows.
    pub rows: u64,
    /// Bytes of their JSON text, and of files in the rows: five to ten times what Parquet takes for the text.
    pub bytes: u64,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { rows: 4 << 20, bytes: 512 << 20 }
    }
}

/// Rows that go into a file of their own.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) rows: u64,
    pub(super) hash: String,
    pub(super) named: Named,
    /// The file that it replaces, by name. Several may replace one.
    pub(super) replaces: Option<String>,
}

/// What becomes of a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TrackPlan {
    /// The names of files that stay, since their rows are here as they were, and what these name.
    pub(super) kept: Vec<(String, Named)>,
    /// The names of files that stay although rows of them, or pictures, are not here, and how many rows are not.
    pub(super) lacking: Vec<(String, u64)>,
    /// New files, by time.
    pub(super) new: Vec<Chunk>,
    /// All rows that are here.
    pub(super) rows: u64,
}

/// What a row adds to its file's hash and size besides its text: what the files that it names hold.
pub(super) trait Beside {
    /// Adds what decides to `text`.
    fn note(&mut self, row: &Row, text: &mut Vec<u8>) -> Named;
}

/// Files that rows named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// How many, each as often as it was named.
    pub(super) count: u64,
    /// The bytes of those that go into the rows.
    pub(super) inline_bytes: u64,
    /// Whether one is an object of its own.
    pub(super) any_object: bool,
    /// Whether one that was tried can't be read.
    pub(super) any_unreadable: bool,
}

impl Named {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.inline_bytes = self.inline_bytes.saturating_add(other.inline_bytes);
        self.any_object |= other.any_object;
        self.any_unreadable |= other.any_unreadable;
    }
}

/// Makes the plan. `there` are the track's files by time.
pub(super) fn plan<E>(
    there: &[&PublishedFile],
    rows: impl Iterator<Item = Result<Row, E>>,
    beside: &mut impl Beside,
    limits: ChunkLimits,
) -> Result<TrackPlan, E> {
    let mut planner = Planner { limits, plan: TrackPlan::default(), run: Run::default() };
    let mut there = there.iter();
    let mut next = there.next();
    let mut is_within = false;
    let mut text = Vec::new();
    for row in rows {
        let row = row?;
        let secs = row.ts.as_secs();
        // Leaves files behind until the row lies before one, or in it.
        while let Some(file) = next.filter(|file| file.last < secs) {
            if !is_within {
                planner.end(None);
            }
            planner.end(Some(file));
            is_within = false;
            next = there.next();
        }
        let begins = next.is_some_and(|file| file.first <= secs);
        if begins && !is_within {
            planner.end(None);
        }
        is_within = begins;
        text.clear();
        let bytes = write_text(&row, &mut text);
        let named = beside.note(&row, &mut text);
        planner.take(row.ts, &text, bytes, named);
    }
    if !is_within {
        planner.end(None);
    }
    for file in next.into_iter().chain(there) {
        planner.end(Some(file));
    }
    Ok(planner.plan)
}

/// Goes through rows.
struct Planner {
    limits: ChunkLimits,
    plan: TrackPlan,
    /// The rows since the last [`end`](Self::end).
    run: Run,
}

/// Rows in a row: those of one file, or those between two.
#[derive(Default)]
struct Run {
    whole: Option<Digests>,
    full: Vec<Chunk>,
    /// The rows since the last full chunk.
    open: Option<Digests>,
}

/// What is known of some rows.
#[derive(Clone)]
struct Digests {
    hash: Sha256,
    first: f64,
    last: f64,
    rows: u64,
    bytes: u64,
    named: Named,
}

impl Planner {
    /// `bytes` are those of the row's own text.
    fn take(&mut self, ts: Timestamp, text: &[u8], bytes: u64, named: Named) {
        self.plan.rows += 1;
        let bytes = bytes.saturating_add(named.inline_bytes);
        let full = |open: &Digests| {
            open.rows >= self.limits.rows || open.bytes.saturating_add(bytes) > self.limits.bytes
        };
        if let Some(open) = self.run.open.take_if(|open| full(open)) {
            self.run.full.push(open.chunk());
        }
        for digests in [&mut self.run.whole, &mut self.run.open] {
            digests.get_or_insert_with(|| Digests::new(ts)).add(ts, text, bytes, named);
        }
    }

    /// The rows so far are those of `file`, or belong to none.
    fn end(&mut self, file: Option<&PublishedFile>) {
        let Run { whole, full, open } = std::mem::take(&mut self.run);
        let chunks = full.into_iter().chain(open.map(Digests::chunk));
        let Some(file) = file else {
            self.plan.new.extend(chunks);
            return;
        };
        let whole = whole.map(Digests::chunk);
        let hash = whole.as_ref().map(|whole| &whole.hash);
        let (rows, named) =
            whole.as_ref().map(|whole| (whole.rows, whole.named)).unwrap_or_default();
        // What was put without its pictures is put once more when they are here.
        let is_as_it_was = hash == Some(&file.hash);
        // Those that a server has may have been removed here. Who put the file may not have counted them.
        let has_lost_files = named.count < file.named.max(u64::from(file.has_files));
        if is_as_it_was && (!file.lacks_files || named.any_unreadable) {
            self.plan.kept.push((file.name.clone(), named));
        } else if rows < file.rows || has_lost_files {
            self.plan.lacking.push((file.name.clone(), file.rows.saturating_sub(rows)));
        } else {
            let replaces = Some(file.name.clone());
            self.plan.new.extend(chunks.map(|chunk| Chunk { replaces: replaces.clone(), ..chunk }));
        }
    }
}

impl Digests {
    fn new(ts: Timestamp) -> Self {
        let mut hash = Sha256::new();
        hash.update(FORMAT.to_le_bytes());
        let (secs, named) = (ts.as_secs(), Named::default());
        Self { hash, first: secs, last: secs, rows: 0, bytes: 0, named }
    }

    fn add(&mut self, ts: Timestamp, text: &[u8], bytes: u64, named: Named) {
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
        self.last = ts.as_secs();
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.named.add(named);
    }

    fn chunk(self) -> Chunk {
        let hash = self.hash.finalize();
        let hash = hex(hash.get(..HASH_BYTES).unwrap_or_default());
        let Self { first, last, rows, named, .. } = self;
        Chunk { first, last, rows, hash, named, replaces: None }
    }
}

/// Adds the row's text, its columns sorted: in which order they came, and merged, is not part of a row. Returns its length.
fn write_text(row: &Row, text: &mut Vec<u8>) -> u64 {
    let mut fields: Vec<_> = row.fields.iter().collect();
    let is_sorted = fields.is_sorted_by_key(|(name, _)| *name);
    let mut writer = JsonWriter::new(text, NonFinite::Tokens);
    if is_sorted {
        writer.row(TIMESTAMP_COLUMN, row.ts, &row.fields);
    } else {
        fields.sort_by_key(|(name, _)| *name);
        let sorted: Fields =
            fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        writer.row(TIMESTAMP_COLUMN, row.ts, &sorted);
    }
    text.len() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mldash_track::{TrackError, fields};
    use proptest::prelude::*;

    use super::*;

    struct Nothing;

    impl Beside for Nothing {
        fn note(&mut self, _: &Row, _: &mut Vec<u8>) -> Named {
            Named::default()
        }
    }

    fn plan_of(there: &[PublishedFile], rows: &BTreeMap<u32, u32>, per_file: u64) -> TrackPlan {
        let there: Vec<&PublishedFile> = there.iter().collect();
        let row = |(ts, x): (&u32, &u32)| {
            let ts = Timestamp::new(f64::from(*ts)).unwrap();
            Ok::<_, TrackError>(Row::new(ts, fields! { "x": *x }))
        };
        let limits = ChunkLimits { rows: per_file, bytes: u64::MAX };
        plan(&there, rows.iter().map(row), &mut Nothing, limits).unwrap()
    }

    /// Carries a plan out.
    fn publish(there: &mut Vec<PublishedFile>, plan: &TrackPlan, number: &mut u64) {
        let replaced: Vec<String> = plan.replaced().map(str::to_owned).collect();
        there.retain(|file| !replaced.contains(&file.name));
        for Chunk { first, last, rows, hash, named, .. } in plan.new.clone() {
            *number += 1;
            let (name, topic) = (format!("{number}"), "t".to_owned());
            there.push(PublishedFile {
                name,
                compacted: None,
                topic,
                rows,
                first,
                last,
                hash,
                bytes: 1,
                replaces: None,
                named: named.count,
                has_files: named.any_object,
                lacks_files: false,
            });
        }
        there.sort_by(|a, b| a.first.total_cmp(&b.first));
    }

    impl TrackPlan {
        /// The names of files that are replaced.
        fn replaced(&self) -> impl Iterator<Item = &str> {
            self.new.iter().filter_map(|chunk| chunk.replaces.as_deref())
        }
    }

    fn rows(pairs: &[(u32, u32)]) -> BTreeMap<u32, u32> {
        pairs.iter().copied().collect()
    }

    fn spans(plan: &TrackPlan) -> Vec<(f64, f64, u64)> {
        plan.new.iter().map(|chunk| (chunk.first, chunk.last, chunk.rows)).collect()
    }

    #[test]
    fn later_rows_go_into_new_files_and_touch_no_other() {
        let (mut there, mut number) = (Vec::new(), 0);
        let first = plan_of(&there, &rows(&[(1, 0), (2, 0), (3, 0)]), 2);
        assert_eq!(spans(&first), [(1.0, 2.0, 2), (3.0, 3.0, 1)]);
        publish(&mut there, &first, &mut number);
        let again = plan_of(&there, &rows(&[(1, 0), (2, 0), (3, 0)]), 2);
        assert_eq!((again.kept.len(), again.new.len()), (2, 0));
        // Before, between and after.
        let all = rows(&[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)]);
        let later = plan_of(&there, &all, 2);
        assert_eq!(spans(&later), [(0.0, 0.0, 1), (4.0, 5.0, 2), (6.0, 6.0, 1)]);
        assert_eq!((later.kept.len(), later.replaced().count()), (2, 0));
    }

    #[test]
    fn rows_that_changed_or_came_between_replace_their_file_and_rows_that_went_do_not() {
        let (mut there, mut number) = (Vec::new(), 0);
        let first = plan_of(&there, &rows(&[(1, 0), (3, 0), (5, 0), (7, 0)]), 2);
        publish(&mut there, &first, &mut number);
        let changed = plan_of(&there, &rows(&[(1, 0), (3, 9), (5, 0), (7, 0)]), 2);
        assert_eq!(spans(&changed), [(1.0, 3.0, 2)]);
        assert_eq!(
            (changed.kept.as_slice(), changed.replaced().collect::<Vec<_>>()),
            (&[("2".to_owned(), Named::default())][..], vec!["1"])
        );
        let between = plan_of(&there, &rows(&[(1, 0), (2, 0), (3, 0), (5, 0), (7, 0)]), 2);
        assert_eq!(spans(&between), [(1.0, 2.0, 2), (3.0, 3.0, 1)]);
        let part = plan_of(&there, &rows(&[(5, 0), (8, 0)]), 2);
        assert_eq!(part.lacking, [("1".to_owned(), 2), ("2".to_owned(), 1)]);
        assert_eq!(spans(&part), [(8.0, 8.0, 1)]);
    }

    #[test]
    fn the_order_of_columns_does_not_matter() {
        let text = |fields: Fields| {
            let mut text = Vec::new();
            write_text(&Row::new(Timestamp::new(1.0).unwrap(), fields), &mut text);
            String::from_utf8(text).unwrap()
        };
        assert_eq!(text(fields! { "b": 1, "a": 2 }), r#"{"timestamp":1.0,"a":2,"b":1}"#);
        assert_eq!(text(fields! { "a": 2, "b": 1 }), r#"{"timestamp":1.0,"a":2,"b":1}"#);
    }

    proptest! {
        #[test]
        fn whatever_comes_when_each_row_is_in_one_file(
            states in prop::collection::vec(prop::collection::btree_map(0_u32..24, 0_u32..3, 0..12), 1..5),
            per_file in 1_u64..5,
        ) {
            let (mut there, mut number) = (Vec::new(), 0);
            // Rows are added and merged, never removed.
            let mut all = BTreeMap::new();
            for state in states {
                all.extend(state);
                let plan = plan_of(&there, &all, per_file);
                prop_assert!(plan.lacking.is_empty());
                publish(&mut there, &plan, &mut number);
                let spans: Vec<(f64, f64)> = there.iter().map(|file| (file.first, file.last)).collect();
                prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", spans);
                let counted: u64 = there.iter().map(|file| file.rows).sum();
                prop_assert_eq!(counted, all.len() as u64);
                prop_assert!(plan_of(&there, &all, per_file).new.is_empty());
            }
        }
    }
}
