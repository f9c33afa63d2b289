//! `snapshot`: the last seconds are held in memory, and written only when somebody asks for them:
//! the service `~/save`, or a topic of `save_on`.

use std::time::Duration;

use super::keys;
use super::span::Span;
use super::{Bytes, ClockJump, Mapping, PartAction, Split};
use crate::yaml::{Item, Placed, Problems};

/// The key of [`Snapshot`].
pub(super) const SNAPSHOT: &str = "snapshot";
/// The key of the topics that save one.
pub(super) const SAVE_ON: &str = "save_on";
const KEEP: &str = "write how long messages are held, such as `keep: 30s` or `keep: 2min`";
const MEMORY: &str = "write a size such as `memory: 1GiB`";
/// The bound if the mapping gives none.
const DEFAULT_MEMORY: Bytes = Bytes::new(1 << 30);
/// Less would hold next to nothing: one picture is a megabyte.
const LEAST_MEMORY: Bytes = Bytes::new(1 << 20);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Messages are held for this long.
    pub keep: Duration,
    /// The bound on them. Beyond it, the oldest fall out before their time.
    pub memory: Bytes,
}

pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Placed<Snapshot>> {
    if item.is_scalar() {
        item.mismatch("a mapping", Some("write `snapshot: {keep: 30s, memory: 1GiB}`"), problems);
        return None;
    }
    let section = item.section(&keys::SNAPSHOT_KEYS, problems)?;
    let memory = section.get("memory").map(|item| {
        let memory: Bytes = item.parse(MEMORY, problems)?;
        let fits = memory >= LEAST_MEMORY && usize::try_from(memory.get()).is_ok();
        if !fits {
            item.mismatch("at least 1MiB", Some(MEMORY), problems);
        }
        fits.then_some(memory)
    });
    let Some(keep) = section.get("keep") else {
        problems.add(&section.spot, "`keep` is missing", Some(KEEP.to_owned()));
        return None;
    };
    let span = keep.parse::<Span>(KEEP, problems)?.get();
    if !(SHORTEST..=LONGEST).contains(&span) {
        keep.mismatch("a time from 0.1 s to 24 h", Some(KEEP), problems);
        return None;
    }
    let memory = memory.unwrap_or(Some(DEFAULT_MEMORY))?;
    Some(item.place(Snapshot { keep: span, memory }))
}

/// Reports keys that a snapshot leaves no sense, and `save_on` without one.
pub(super) fn check(mapping: &Mapping, problems: &mut Problems) {
    let is_save = |action| action == PartAction::Save;
    let mut entries = mapping.split_on.iter();
    match &mapping.snapshot {
        None => {
            if let Some(entry) = entries.find(|entry| entry.always().is_some_and(is_save)) {
                let hint = "write `snapshot: {keep: 30s, memory: 1GiB}` beside it, or `split_on`";
                let message = "`save_on` without `snapshot`";
                problems.add(&entry.topic.spot, message, Some(hint.to_owned()));
            }
        }
        Some(Placed { spot, .. }) => {
            if let Some(entry) = entries.find(|entry| !entry.always().is_some_and(is_save)) {
                let hint = "write `save_on`, or leave one of the two out";
                let message = "a snapshot has no parts to split: `split_on` with `snapshot`";
                problems.add(&entry.topic.spot, message, Some(hint.to_owned()));
            }
            if mapping.split != Split::default() {
                let hint = "leave `split` out";
                let message = "a snapshot has no parts to split: `split` with `snapshot`";
                problems.add(spot, message, Some(hint.to_owned()));
            }
            if mapping.clock_jump == ClockJump::Split {
                let hint = "leave `clock_jump: split` out";
                let message = "a snapshot has no parts to split: it goes with `clock_jump: sort`";
                problems.add(spot, message, Some(hint.to_owned()));
            }
        }
    }
}
