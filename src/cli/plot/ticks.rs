//! Where the axes have marks, and what is written there.

use mldash_bridge::export::report::date;

const DAY_SECS: f64 = 86_400.0;
/// Steps of a time axis that people count in, from a second to a week.
const TIME_STEPS_SECS: [f64; 20] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0,
];

/// A step that is smaller than asked for by rounding alone will do.
const LEAST_PART: f64 = 1.0 - 1e-9;

/// A mark of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Marks for values, at most about `count`.
pub(super) fn of_values(min: f64, max: f64, count: usize) -> Vec<Tick> {
    let step = nice_step((max - min) / count.max(1) as f64);
    multiples(step, min, max).map(|at| Tick { at, label: number(at, step) }).collect()
}

/// Marks for times in seconds, at most about `count`.
pub(super) fn of_times(start: f64, end: f64, count: usize) -> Vec<Tick> {
    let least = (end - start) / count.max(1) as f64;
    if date(start).is_none() {
        return of_values(start, end, count);
    }
    let step = match TIME_STEPS_SECS.iter().find(|step| **step >= least) {
        Some(step) if least > 0.5 => *step,
        Some(_) => nice_step(least),
        None => (least / DAY_SECS).ceil() * DAY_SECS,
    };
    multiples(step, start, end).map(|at| Tick { at, label: time(at, step) }).collect()
}

/// The range of times, in words.
pub(super) fn range(start: f64, end: f64) -> String {
    if date(start).is_none() {
        return format!("{start} s to {end} s");
    }
    let in_words = |secs: f64, format: &str| {
        date(secs).map_or_else(|| format!("{secs} s"), |at| at.strftime(format).to_string())
    };
    const WHOLE: &str = "%Y-%m-%d %H:%M:%S%.3f";
    let is_one_day = in_words(start, "%F") == in_words(end, "%F");
    let end = in_words(end, if is_one_day { "%H:%M:%S%.3f" } else { WHOLE });
    format!("{} to {end} UTC", in_words(start, WHOLE))
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0]
        .into_iter()
        .map(|times| times * power)
        .find(|step| *step >= least * LEAST_PART);
    step.unwrap_or(10.0 * power)
}

fn multiples(step: f64, min: f64, max: f64) -> impl Iterator<Item = f64> {
    let first = (min / step).ceil();
    // With a step that is lost in rounding, they would never end.
    let count = ((max - min) / step).clamp(0.0, 1000.0) as u32 + 1;
    (0..count)
        .map(move |i| (first + f64::from(i)) * step)
        .filter(move |at| (min..=max).contains(at))
}

fn number(at: f64, step: f64) -> String {
    // Zero without a sign.
    let at = if at == 0.0 { 0.0 } else { at };
    let decimals = -step.log10().floor();
    match decimals {
        _ if at.abs() >= 1e7 || (at != 0.0 && at.abs() < 1e-4 && step < 1e-4) => {
            format!("{at:.2e}")
        }
        decimals if decimals > 0.0 => format!("{at:.*}", decimals as usize),
        _ => format!("{at:.0}"),
    }
}

fn time(at: f64, step: f64) -> String {
    let Some(time) = date(at) else { return at.to_string() };
    let format = match step {
        step if step >= DAY_SECS => "%m-%d",
        step if step >= 60.0 => "%H:%M",
        step if step >= 1.0 => "%H:%M:%S",
        _ => "%H:%M:%S%.3f",
    };
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn values_have_round_marks() {
        assert_eq!(labels(&of_values(-1.03, 1.02, 4)), ["-1", "0", "1"]);
        assert_eq!(labels(&of_values(0.0, 0.9, 4)), ["0.0", "0.5"]);
        assert_eq!(labels(&of_values(9.785, 9.835, 5)), ["9.79", "9.80", "9.81", "9.82", "9.83"]);
        assert_eq!(labels(&of_values(-3e9, 2e9, 3)), ["-2.00e9", "0", "2.00e9"]);
        assert_eq!(labels(&of_values(0.0, 2e-7, 2)), ["0.0000000", "1.00e-7", "2.00e-7"]);
    }

    #[test]
    fn times_since_1970_are_utc_and_others_seconds() {
        let start = 1_700_000_000.0; // 22:13:20
        assert_eq!(labels(&of_times(start, start + 60.0, 3)), ["22:13:30", "22:14:00"]);
        assert_eq!(labels(&of_times(start, start + 7200.0, 3)), ["23:00", "00:00"]);
        assert_eq!(labels(&of_times(start, start + 0.3, 3)).first(), Some(&"22:13:20.000"));
        assert_eq!(labels(&of_times(start, start + 4e5, 3)), ["11-15", "11-17", "11-19"]);
        assert_eq!(labels(&of_times(0.0, 10.0, 5)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(range(start, start + 1.5), "2023-11-14 22:13:20.000 to 22:13:21.500 UTC");
        let next_day = "2023-11-14 22:13:20.000 to 2023-11-15 02:00:00.000 UTC";
        assert_eq!(range(start, start + 13_600.0), next_day);
        assert_eq!(range(0.5, 2.0), "0.5 s to 2 s");
    }
}
