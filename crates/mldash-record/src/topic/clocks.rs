//! What the stamps and receive times of one topic say of the clocks behind them.

use crate::clock::{Compared, FarClockDetector, SaidOfClocks};
use crate::ledger::Ledger;
use mldash_track::Timestamp;

/// The clocks of a topic's messages.
#[derive(Debug, Default)]
pub(super) struct TopicClocks {
    far_clock: FarClockDetector,
    /// How often the topic's clock jumped back: the maximum over its tracks.
    jumps: u64,
    /// The largest receive time minus stamp since the last query.
    lag_secs: Option<f64>,
}

impl TopicClocks {
    /// Reports if the topic's stamps come from another clock.
    pub(super) fn compare(
        &mut self,
        stamp: Timestamp,
        received_nanos: i64,
        ledger: &Ledger,
        said: &mut SaidOfClocks,
    ) {
        let received = Timestamp::from_nanos(received_nanos);
        let lag_secs = received.as_secs() - stamp.as_secs();
        self.lag_secs = Some(self.lag_secs.map_or(lag_secs, |largest| largest.max(lag_secs)));
        match self.far_clock.compare(stamp, received) {
            Compared::Near => {}
            Compared::Far => ledger.note_far(1),
            Compared::Found { messages, ahead_secs } => ledger.find_far(messages, ahead_secs, said),
        }
    }

    /// Reports if the topic's clock has jumped back. `jumps` is the number of jumps on one of its tracks, and `latest` the
    /// last of them.
    pub(super) fn note_jumps(
        &mut self,
        jumps: u64,
        latest: Option<(Timestamp, Timestamp)>,
        ledger: &Ledger,
        said: &mut SaidOfClocks,
    ) {
        if jumps > self.jumps
            && let Some((from, to)) = latest
        {
            self.jumps = jumps;
            ledger.note_jump(from, to, said);
        }
    }

    /// How often the topic's clock jumped back: the maximum over its tracks.
    pub(super) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The largest receive time minus stamp since the last call; `None` without stamps.
    pub(super) fn take_lag(&mut self) -> Option<f64> {
        self.lag_secs.take()
    }
}
