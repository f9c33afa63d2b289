//! Speaks of a failure that lasts: at once, then ever more seldom, and when it is over. A disk that
//! is read-only for a night must not fill the log, and one that fails and recovers by turns neither.

use std::time::{Duration, Instant};

/// The time between the first two messages of one failure. It doubles from message to message …
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long all must be well before the failure is called over.
const WELL_FOR: Duration = Duration::from_secs(5);

/// Logs the failures of something that is tried again and again.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// What does not work, and what that means: `can't sync to disk`, `it is retried`.
    what: &'static str,
    meanwhile: &'static str,
    over: &'static str,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    since: Instant,
    said_at: Instant,
    pause: Duration,
    /// Since when it has worked again.
    well_since: Option<Instant>,
}

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
enum Words {
    Begins,
    /// It has failed for so long.
    Lasts(Duration),
    Over,
}

impl Complaint {
    /// Nothing has failed yet. `over` is said when it works again.
    pub(crate) fn new(what: &'static str, meanwhile: &'static str, over: &'static str) -> Self {
        Self { what, meanwhile, over, failure: None }
    }

    /// Notes how an attempt ended, and logs that if it is time to.
    pub(crate) fn note(&mut self, failure: Option<&str>) {
        let words = self.words(failure.is_some(), Instant::now());
        let (what, meanwhile, reason) = (self.what, self.meanwhile, failure.unwrap_or_default());
        match words {
            Some(Words::Begins) => tracing::error!("{what}: {reason}; {meanwhile}"),
            Some(Words::Lasts(time)) => {
                let secs = time.as_secs();
                tracing::error!("{what}, for {secs} s now: {reason}; {meanwhile}");
            }
            Some(Words::Over) => tracing::info!("{}", self.over),
            None => {}
        }
    }

    fn words(&mut self, failed: bool, now: Instant) -> Option<Words> {
        match (&mut self.failure, failed) {
            (None, false) => None,
            (None, true) => {
                let (pause, well_since) = (FIRST_PAUSE, None);
                self.failure = Some(Failure { since: now, said_at: now, pause, well_since });
                Some(Words::Begins)
            }
            (Some(failure), true) => {
                failure.well_since = None;
                if now < failure.said_at + failure.pause {
                    return None;
                }
                failure.said_at = now;
                failure.pause = (failure.pause * 2).min(LONGEST_PAUSE);
                Some(Words::Lasts(now - failure.since))
            }
            (Some(failure), false) => {
                let since = *failure.well_since.get_or_insert(now);
                if now < since + WELL_FOR {
                    return None;
                }
                self.failure = None;
                Some(Words::Over)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of attempts every half second, as `fails` says of the seconds since the start.
    fn said(secs: u64, fails: impl Fn(f64) -> bool) -> Vec<(f64, Words)> {
        let mut complaint = Complaint::new("", "", "");
        let start = Instant::now();
        let mut said = Vec::new();
        for half in 0..secs * 2 {
            let at = Duration::from_millis(half * 500);
            let words = complaint.words(fails(at.as_secs_f64()), start + at);
            said.extend(words.map(|words| (at.as_secs_f64(), words)));
        }
        said
    }

    #[test]
    fn a_failure_that_lasts_is_told_at_once_then_ever_more_seldom_and_when_it_is_over() {
        let told = said(100, |secs| secs < 80.0);
        let lasts = |secs: u64| (secs as f64, Words::Lasts(Duration::from_secs(secs)));
        let expected = [(0.0, Words::Begins), lasts(10), lasts(30), lasts(70), (85.0, Words::Over)];
        assert_eq!(told, expected);
        assert!(said(86_400, |_| true).len() < 160, "a day");
    }

    #[test]
    fn failing_and_working_by_turns_is_one_failure() {
        let told = said(60, |secs| (secs as u64).is_multiple_of(2));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(!told.iter().any(|(_, words)| *words == Words::Over));
    }

    #[test]
    fn a_failure_after_one_that_is_over_is_told_at_once() {
        let told = said(60, |secs| secs < 1.0 || (20.0..21.0).contains(&secs));
        let times: Vec<f64> = told.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [0.0, 6.0, 20.0, 26.0]);
    }
}
