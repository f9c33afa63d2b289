//! Decides which call comes next. Pure: it knows how much of each track waits, when each track may
//! be tried, and whether the server is well. It makes no calls.
//!
//! 1. One call per track at a time, so that its rows arrive in file order.
//! 2. Tracks without files go first, then tracks whose rows name files, then the files. Among
//!    equals, the one served least recently goes first, so that a slow one delays no other.
//! 3. A failed call for one track delays only that track. A failure of the whole server delays
//!    everything; then a single call tests whether the server is back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Failures};

/// Calls with rows in flight at once; each holds one batch in memory.
pub(crate) const MAX_ROW_CALLS: usize = 6;
/// Files in flight at once; they are read while they are sent.
pub(crate) const MAX_FILE_CALLS: usize = 2;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Send rows of this topic.
    Rows(String),
    /// Send a file.
    File,
}

/// The tracks and the server.
#[derive(Debug, Default)]
pub(crate) struct CallPlan {
    server: Failures,
    tracks: BTreeMap<String, TrackCalls>,
    files_under_way: usize,
    turn: u64,
}

#[derive(Debug, Default)]
struct TrackCalls {
    waits: bool,
    names_files: bool,
    /// Its next row names a file that the server lacks.
    awaits_file: bool,
    under_way: bool,
    failures: Failures,
    turn: u64,
}

impl CallPlan {
    /// Notes whether the track has anything to send.
    pub(crate) fn set_waiting(&mut self, topic: &str, waits: bool) {
        let track = self.tracks.entry(topic.to_owned()).or_default();
        track.waits = waits;
        if !waits {
            track.failures.clear();
        }
    }

    /// Notes whether the track's next row waits for a file.
    pub(crate) fn set_awaits_file(&mut self, topic: &str, awaits: bool) {
        if let Some(track) = self.tracks.get_mut(topic) {
            track.names_files |= awaits;
            track.awaits_file = awaits;
        }
    }

    /// Starts the next thing to do. It is then in flight until [`end`](Self::end) or one of the
    /// failure methods is called. `None` if nothing can be done now.
    pub(crate) fn start_next(&mut self, now: Instant, files_wait: bool) -> Option<Call> {
        if !self.may_call(now) {
            return None;
        }
        if let Some(topic) = self.next_track(now) {
            self.turn += 1;
            let track = self.tracks.get_mut(&topic)?;
            (track.under_way, track.turn) = (true, self.turn);
            return Some(Call::Rows(topic));
        }
        if files_wait && self.files_under_way < MAX_FILE_CALLS {
            self.files_under_way += 1;
            return Some(Call::File);
        }
        None
    }

    /// Returns true if the server may be called, for whatever purpose.
    pub(crate) fn may_call(&self, now: Instant) -> bool {
        let probes = self.server.count() > 0;
        self.server.is_due(now) && !(probes && self.under_way() > 0)
    }

    fn next_track(&self, now: Instant) -> Option<String> {
        if self.tracks.values().filter(|track| track.under_way).count() >= MAX_ROW_CALLS {
            return None;
        }
        let ready = self.tracks.iter().filter(|(_, track)| {
            track.waits && !track.under_way && !track.awaits_file && track.failures.is_due(now)
        });
        let first = ready.min_by_key(|(_, track)| (track.names_files, track.turn));
        first.map(|(topic, _)| topic.clone())
    }

    /// Calls in flight.
    fn under_way(&self) -> usize {
        self.tracks.values().filter(|track| track.under_way).count() + self.files_under_way
    }

    /// A call ended.
    pub(crate) fn end(&mut self, work: &Call) {
        match work {
            Call::Rows(topic) => {
                if let Some(track) = self.tracks.get_mut(topic) {
                    track.under_way = false;
                }
            }
            Call::File => self.files_under_way = self.files_under_way.saturating_sub(1),
        }
    }

    /// The server answered normally.
    pub(crate) fn server_is_well(&mut self) {
        self.server.clear();
    }

    /// The track's rows were accepted.
    pub(crate) fn track_is_well(&mut self, topic: &str) {
        if let Some(track) = self.tracks.get_mut(topic) {
            track.failures.clear();
        }
    }

    /// The server can't be called at all.
    pub(crate) fn server_failed(
        &mut self,
        backoff: &Backoff,
        now: Instant,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        self.server.note(backoff, now, retry_after, random);
    }

    /// A call for this track failed.
    pub(crate) fn track_failed(
        &mut self,
        topic: &str,
        backoff: &Backoff,
        now: Instant,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        if let Some(track) = self.tracks.get_mut(topic) {
            track.failures.note(backoff, now, retry_after, random);
        }
    }

    /// Somebody is waiting: retry failed calls now, or when the server said.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.server.hasten(now);
        self.tracks.values_mut().for_each(|track| track.failures.hasten(now));
    }

    /// How many times in a row the server, or the worst of the tracks, failed.
    pub(crate) fn worst(&self) -> u32 {
        let tracks = self.tracks.values().map(|track| track.failures.count());
        tracks.chain([self.server.count()]).max().unwrap_or(0)
    }

    /// When to retry the server, or the first failed track; `None` if nothing failed. The time may
    /// be past: the server may be due while all tracks still wait.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.server.due() {
            Some(due) => Some(due),
            None => self.tracks.values().filter_map(|track| track.failures.due()).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        max: Duration::from_secs(30),
        max_retries: 3,
        longest_retry_after: Duration::from_secs(600),
    };

    fn plan(topics: &[&str]) -> CallPlan {
        let mut plan = CallPlan::default();
        topics.iter().for_each(|topic| plan.set_waiting(topic, true));
        plan
    }

    fn rows(topic: &str) -> Option<Call> {
        Some(Call::Rows(topic.to_owned()))
    }

    #[test]
    fn rows_of_joints_go_before_those_that_name_files_and_these_before_files() {
        let now = Instant::now();
        let mut plan = plan(&["camera", "joints"]);
        plan.set_awaits_file("camera", true);
        plan.set_awaits_file("camera", false);
        assert_eq!(plan.start_next(now, true), rows("joints"));
        assert_eq!(plan.start_next(now, true), rows("camera"));
        assert_eq!(plan.start_next(now, true), Some(Call::File));
    }

    #[test]
    fn a_row_that_awaits_a_file_waits() {
        let mut plan = plan(&["camera"]);
        plan.set_awaits_file("camera", true);
        assert_eq!(plan.start_next(Instant::now(), true), Some(Call::File));
    }

    #[test]
    fn a_track_that_hangs_or_fails_holds_back_no_other() {
        let now = Instant::now();
        let mut plan = plan(&["a", "b"]);
        assert_eq!(plan.start_next(now, false), rows("a"));
        assert_eq!(plan.start_next(now, false), rows("b"));
        plan.end(&Call::Rows("b".into()));
        assert_eq!(plan.start_next(now, false), rows("b"), "a hangs");
        plan.end(&Call::Rows("a".into()));
        plan.track_failed("a", &BACKOFF, now, None, 1.0);
        plan.end(&Call::Rows("b".into()));
        assert_eq!(plan.start_next(now, false), rows("b"), "a failed");
        assert_eq!(plan.start_next(now, false), None);
        assert_eq!(plan.start_next(now + Duration::from_secs(1), false), rows("a"));
    }

    #[test]
    fn a_server_that_is_away_is_tried_by_one_call_and_not_before_its_word() {
        let now = Instant::now();
        let mut plan = plan(&["a", "b"]);
        let _first = plan.start_next(now, false);
        plan.end(&Call::Rows("a".into()));
        plan.server_failed(&BACKOFF, now, Some(Duration::from_secs(7)), 1.0);
        assert_eq!(plan.start_next(now + Duration::from_secs(6), true), None);
        let due = plan.due().unwrap();
        assert_eq!(due, now + Duration::from_secs(7));
        assert_eq!(plan.start_next(due, true), rows("b"));
        assert_eq!(plan.start_next(due, true), None, "one shows whether it is back");
        plan.end(&Call::Rows("b".into()));
        plan.server_is_well();
        assert_eq!(plan.start_next(due, true), rows("a"));
        assert_eq!(plan.start_next(due, true), rows("b"));
    }

    proptest! {
        #[test]
        fn every_track_is_served_whatever_fails(
            fails in prop::collection::vec(0..6_u8, 1..200),
            tracks in 1..12_usize,
        ) {
            let topics: Vec<String> = (0..tracks).map(|i| format!("t{i}")).collect();
            let mut plan = plan(&topics.iter().map(String::as_str).collect::<Vec<_>>());
            let mut now = Instant::now();
            let mut under_way = Vec::new();
            // Time also moves on when only the server is due and the tracks are not.
            let later = |plan: &CallPlan, now: Instant| {
                let due = plan.due().expect("something is due once nothing is under way");
                due.max(now + Duration::from_secs(1))
            };
            let finish = |plan: &mut CallPlan, work: Call, fails: u8, now: Instant| {
                plan.end(&work);
                let Call::Rows(topic) = &work else { return };
                match fails {
                    0 => plan.server_failed(&BACKOFF, now, None, 0.5),
                    1 => plan.track_failed(topic, &BACKOFF, now, None, 0.5),
                    _ => { plan.server_is_well(); plan.track_is_well(topic) }
                }
            };
            for fails in fails {
                while let Some(work) = plan.start_next(now, true) {
                    prop_assert!(!under_way.contains(&work) || work == Call::File);
                    under_way.push(work);
                }
                let rows = under_way.iter().filter(|work| **work != Call::File).count();
                prop_assert!(rows <= MAX_ROW_CALLS && under_way.len() <= MAX_ROW_CALLS + MAX_FILE_CALLS);
                if under_way.is_empty() {
                    now = later(&plan, now);
                } else {
                    let work = under_way.remove(usize::from(fails) % under_way.len());
                    finish(&mut plan, work, fails, now);
                }
            }
            // Everything works from here on.
            let mut served = std::collections::HashSet::new();
            for _ in 0..3 * tracks + 40 {
                now += Duration::from_secs(1);
                while let Some(work) = plan.start_next(now, false) {
                    under_way.push(work);
                }
                match (!under_way.is_empty()).then(|| under_way.remove(0)) {
                    Some(work) => {
                        if let Call::Rows(topic) = &work { served.insert(topic.clone()); }
                        finish(&mut plan, work, 5, now);
                    }
                    None => now = later(&plan, now),
                }
            }
            prop_assert_eq!(served.len(), tracks);
        }
    }
}
