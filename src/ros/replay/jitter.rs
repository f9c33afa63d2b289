//! How much later than due messages were published, in bounded memory.

use std::time::Duration;

/// The steps in which each power of two is divided: values are known to 1/16.
const STEPS: u64 = 16;

/// Delays, counted in classes that are at most 1/16 wide.
#[derive(Clone, Debug, Default)]
pub struct Jitter {
    /// How many delays of each class there are.
    classes: Vec<u64>,
    count: u64,
    largest: Duration,
}

impl Jitter {
    /// Adds a delay.
    pub fn note(&mut self, delay: Duration) {
        let class = class_of(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
        if self.classes.len() <= class {
            self.classes.resize(class + 1, 0);
        }
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
        self.count += 1;
        self.largest = self.largest.max(delay);
    }

    /// How many delays there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest delay.
    pub fn largest(&self) -> Duration {
        self.largest
    }

    /// The delay that this part of all, 0 to 1, does not exceed: the upper end of its class.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut sum = 0;
        for (class, count) in self.classes.iter().enumerate() {
            sum += count;
            if sum >= wanted && sum > 0 {
                return Duration::from_micros(end_of(class)).min(self.largest);
            }
        }
        self.largest
    }
}

fn class_of(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = u64::from(micros.ilog2());
    let step = (micros >> (power - 4)) - STEPS;
    ((power - 3) * STEPS + step) as usize
}

/// The largest value of a class, in microseconds.
fn end_of(class: usize) -> u64 {
    let class = class as u64;
    if class < STEPS {
        return class;
    }
    let (power, step) = (class / STEPS + 3, class % STEPS);
    ((STEPS + step + 1) << (power - 4)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_its_class_and_a_class_is_narrow() {
        for micros in (0..5000).chain([1 << 20, (1 << 33) + 12345]) {
            let (class, end) = (class_of(micros), end_of(class_of(micros)));
            assert!(end >= micros && end as f64 <= micros as f64 * 1.07, "{micros} {end}");
            assert_eq!(class_of(end), class);
            assert_eq!(class_of(end + 1), class + 1);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_delays() {
        let mut jitter = Jitter::default();
        assert_eq!(jitter.quantile(0.99), Duration::ZERO);
        (1..=100).for_each(|ms| jitter.note(Duration::from_millis(ms)));
        let median = jitter.quantile(0.5).as_secs_f64();
        assert!((0.050..0.054).contains(&median), "{median}");
        assert_eq!(jitter.quantile(1.0), jitter.largest());
        assert_eq!((jitter.count(), jitter.largest()), (100, Duration::from_millis(100)));
    }
}
