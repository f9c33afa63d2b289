//! When to retry: exponential with jitter, and not before the server's `Retry-After`, as far as that
//! is followed. Pure.

use std::time::{Duration, Instant, SystemTime};

use crate::options::{EnvError, Options, from_env};

/// The settings, with the SDK's names and defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Backoff {
    /// The wait after the first failure (`ML_DASH_RETRY_BASE_DELAY`, seconds).
    pub(crate) base: Duration,
    /// The longest wait (`ML_DASH_RETRY_MAX_DELAY`, seconds).
    pub(crate) max: Duration,
    /// Retries after the first try, where retrying ends (`ML_DASH_MAX_RETRIES`).
    pub(crate) max_retries: u32,
    /// The longest `Retry-After` that is followed. A server that asks for more is tried then.
    pub(crate) longest_retry_after: Duration,
}

/// Ten minutes: a server that is mended is noticed, and one that is not gets a single call.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            max: Duration::from_secs(30),
            max_retries: 3,
            longest_retry_after: LONGEST_RETRY_AFTER,
        }
    }
}

/// How many times in a row something failed, and when to retry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    due: Option<Instant>,
    /// The server's `Retry-After`: not before this.
    asked_for: Option<Instant>,
}

impl Failures {
    /// Notes a failure. `random` is from 0 to 1; `retry_after` comes from the server.
    pub(crate) fn note(
        &mut self,
        backoff: &Backoff,
        now: Instant,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        let doubled = backoff.base.saturating_mul(1_u32 << self.count.min(20));
        let wait = doubled.min(backoff.max);
        // Half of the wait is fixed and half is random, so that many clients do not come back at
        // once.
        let wait = wait.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        self.count = self.count.saturating_add(1);
        self.asked_for = retry_after.map(|wait| now + wait.min(backoff.longest_retry_after));
        self.due = now.checked_add(wait).max(self.asked_for);
    }

    /// Notes a success.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Somebody is waiting: retry at once, or when the server said.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.due = self.due.map(|due| due.min(now).max(self.asked_for.unwrap_or(now)));
    }

    /// How many times in a row it failed.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// When to retry; `None` means at once.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}

/// Parses `Retry-After` in both of its forms: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse::<u64>() {
        return Some(Duration::from_secs(secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

impl Backoff {
    /// Reads the SDK's variables, else uses the SDK's defaults.
    pub(crate) fn from_env() -> Result<Self, EnvError> {
        let secs =
            |name| from_env(name, Options::INTERVALS, |text| Options::interval(text.parse().ok()?));
        let retries = from_env("ML_DASH_MAX_RETRIES", "a number", |text| text.parse().ok())?;
        let default = Self::default();
        Ok(Self {
            base: secs("ML_DASH_RETRY_BASE_DELAY")?.unwrap_or(default.base),
            max: secs("ML_DASH_RETRY_MAX_DELAY")?.unwrap_or(default.max),
            max_retries: retries.unwrap_or(default.max_retries),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(retry_after: Option<Duration>, random: f64) -> Vec<f64> {
        let backoff = Backoff { max: Duration::from_secs(5), ..Backoff::default() };
        let mut failures = Failures::default();
        let now = Instant::now();
        let mut wait = || {
            failures.note(&backoff, now, retry_after, random);
            (failures.due().unwrap() - now).as_secs_f64()
        };
        (0..5).map(|_| wait()).collect()
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread() {
        assert_eq!(waits(None, 1.0), [1.0, 2.0, 4.0, 5.0, 5.0]);
        assert_eq!(waits(None, 0.0), [0.5, 1.0, 2.0, 2.5, 2.5]);
    }

    #[test]
    fn the_server_s_word_is_a_minimum() {
        assert_eq!(waits(Some(Duration::from_secs(3)), 1.0), [3.0, 3.0, 4.0, 5.0, 5.0]);
        assert_eq!(waits(Some(Duration::from_secs(60)), 1.0), [60.0; 5]);
    }

    #[test]
    fn a_server_that_asks_for_years_is_tried_after_ten_minutes() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 07:00:00 GMT").unwrap();
        for asked in ["100000000", "18446744073709551615", "Tue, 24 Nov 2099 07:00:00 GMT"] {
            assert_eq!(waits(retry_after(asked, now), 1.0), [600.0; 5], "{asked}");
        }
    }

    #[test]
    fn who_waits_goes_at_once_but_not_before_the_server_s_word() {
        let now = Instant::now();
        let mut failures = Failures::default();
        failures.note(&Backoff::default(), now, None, 1.0);
        failures.hasten(now);
        assert!(failures.is_due(now));
        failures.note(&Backoff::default(), now, Some(Duration::from_secs(9)), 1.0);
        failures.hasten(now);
        assert_eq!(failures.due(), Some(now + Duration::from_secs(9)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 07:00:00 GMT").unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        let in_a_minute = "Tue, 24 Nov 2026 07:01:00 GMT";
        assert_eq!(retry_after(in_a_minute, now), Some(Duration::from_secs(60)));
        let past = "Tue, 24 Nov 2026 06:00:00 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
