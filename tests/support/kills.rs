//! `kill -9` at any moment: how often and when.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

/// How often each test kills; by hand 200 and more.
const COUNT_VARIABLE: &str = "MLDASH_KILLS";
/// The seed of the moments.
const SEED_VARIABLE: &str = "MLDASH_SEED";

/// The kills of one test.
pub struct Kills {
    pub random: Rng,
    pub count: u32,
}

impl Kills {
    /// So many kills unless the environment says otherwise. Says how to have the same moments again.
    pub fn of(test: &str, count: u32) -> Self {
        let set = |variable| std::env::var(variable).ok();
        let count = set(COUNT_VARIABLE).map_or(count, |text| text.parse().unwrap());
        let seed =
            set(SEED_VARIABLE).map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
        println!("{test}: {COUNT_VARIABLE}={count} {SEED_VARIABLE}={seed}");
        Self { random: Rng::with_seed(seed), count }
    }

    /// Some moment within this time.
    pub fn moment(&mut self, within: Duration) -> Duration {
        within.mul_f64(self.random.f64())
    }

    /// Kills it at some moment within this time. Returns false if it had ended before.
    pub fn kill(&mut self, child: &mut Child, within: Duration) -> bool {
        sleep(self.moment(within));
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap().signal().is_some()
    }
}
