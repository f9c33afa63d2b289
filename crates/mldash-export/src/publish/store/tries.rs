//! What failed for no fault of its own is asked again, ever more seldom.

use std::time::Duration;

use object_store::Error as StoreError;

use super::Store;
use crate::publish::error::PublishError;

/// How often and how patiently a request is tried that failed for no fault of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::publish) struct Retries {
    /// Tries in all, at least one.
    pub(in crate::publish) tries: u32,
    /// The wait after the first one; it doubles each time.
    pub(in crate::publish) first_wait: Duration,
    /// The longest wait.
    pub(in crate::publish) longest_wait: Duration,
}

impl Default for Retries {
    /// Half a minute to a minute of waits.
    fn default() -> Self {
        Self {
            tries: 8,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// The tries of one request.
pub(super) struct Tries<'s> {
    store: &'s Store,
    tries: u32,
    wait: Duration,
}

impl<'s> Tries<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store, tries: 0, wait: store.retries.first_wait }
    }

    /// Waits before the next try, or gives up.
    pub(super) fn wait(
        &mut self,
        action: &'static str,
        name: &str,
        error: StoreError,
    ) -> Result<(), PublishError> {
        /// How soon a stop is seen.
        const STEP: Duration = Duration::from_millis(50);
        // What a stop broke off is no failure of the store.
        self.store.check_stop()?;
        if !may_pass(&error) || self.tries + 1 >= self.store.retries.tries {
            return Err(self.give_up(action, name, error));
        }
        self.tries += 1;
        tracing::debug!("{}: can't {action} {name}, trying again: {error}", self.store.url);
        // So that those that failed together don't come back together.
        let mut left = self.wait.mul_f64(0.5 + fastrand::f64() / 2.0);
        while left > Duration::ZERO {
            self.store.check_stop()?;
            std::thread::sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
        }
        self.wait = (self.wait * 2).min(self.store.retries.longest_wait);
        self.store.check_stop()
    }

    /// Why it is not tried again.
    pub(super) fn give_up(
        &self,
        action: &'static str,
        name: &str,
        error: StoreError,
    ) -> PublishError {
        PublishError::Store {
            url: self.store.url.clone(),
            action,
            name: name.to_owned(),
            tries: self.tries + 1,
            source: Box::new(error),
        }
    }
}

/// Returns true for failures of the network, and of a store that is busy.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Generic { source, .. } => !is_refusal(&**source),
        StoreError::JoinError { .. } => true,
        _ => false,
    }
}

/// Returns true for answers that the next try gets too: the request is wrong. `object_store` tells the status in words only.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    const REFUSALS: [&str; 6] = ["400", "404", "405", "411", "416", "501"];
    let words = error.to_string();
    let status = words.split("status code: ").nth(1).unwrap_or_default();
    REFUSALS.iter().any(|refusal| status.starts_with(refusal)) || words.contains("without LOCATION")
}
