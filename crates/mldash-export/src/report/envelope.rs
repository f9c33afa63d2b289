//! Columns of numbers, downsampled as they come: a point stands for some rows and keeps the smallest and the largest value of
//! each column in them, so that a spike never vanishes. Memory is bounded, however many rows there are. Pure.

/// The points of one track. Each stands for the same number of rows, the last for what is left.
#[derive(Debug)]
pub(crate) struct Envelope {
    max_points: usize,
    rows_per_point: u64,
    in_last: u64,
    /// The first time in each point.
    times: Vec<f64>,
    /// The last time in each point.
    ends: Vec<f64>,
    series: Vec<Series>,
}

/// One column, or one element of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// The smallest finite value of each point; NaN if there is none.
    pub(crate) low: Vec<f64>,
    pub(crate) high: Vec<f64>,
    /// The first value of each point.
    pub(crate) first: Vec<f64>,
    pub(crate) values: u64,
    /// Values that are NaN or infinite.
    pub(crate) non_finite: u64,
    pub(crate) sum: f64,
}

impl Series {
    /// The mean of the finite values.
    pub(crate) fn mean(&self) -> Option<f64> {
        let finite = self.values - self.non_finite;
        (finite > 0).then(|| self.sum / finite as f64)
    }

    fn pad(&mut self, points: usize) {
        for values in [&mut self.low, &mut self.high, &mut self.first] {
            values.resize(points, f64::NAN);
        }
    }

    /// Makes one point of each two.
    fn halve(&mut self) {
        // `f64::min` takes the other one for NaN.
        self.low = pairs(&self.low, f64::min);
        self.high = pairs(&self.high, f64::max);
        self.first =
            pairs(&self.first, |first, second| if first.is_nan() { second } else { first });
    }
}

fn pairs(values: &[f64], join: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    values.chunks(2).map(|pair| pair.iter().copied().reduce(&join).unwrap_or(f64::NAN)).collect()
}

impl Envelope {
    /// With at most `max_points` points, and at least half as many if there are so many rows.
    pub(crate) fn new(max_points: usize) -> Self {
        let max_points = max_points.max(2).next_multiple_of(2);
        let (times, ends, series) = (Vec::new(), Vec::new(), Vec::new());
        Self { max_points, rows_per_point: 1, in_last: 0, times, ends, series }
    }

    /// Adds a column and returns its place.
    pub(crate) fn add_series(&mut self) -> usize {
        self.series.push(Series::default());
        self.series.len() - 1
    }

    /// Begins the next row.
    pub(crate) fn begin_row(&mut self, ts: f64) {
        if self.times.is_empty() || self.in_last == self.rows_per_point {
            if self.times.len() == self.max_points {
                self.halve();
            }
            self.times.push(ts);
            self.ends.push(ts);
            self.in_last = 0;
        }
        self.in_last += 1;
        if let Some(end) = self.ends.last_mut() {
            *end = ts;
        }
    }

    fn halve(&mut self) {
        self.times = pairs(&self.times, |first, _| first);
        self.ends = pairs(&self.ends, |_, last| last);
        let points = self.max_points;
        for series in &mut self.series {
            series.pad(points);
            series.halve();
        }
        // Points are even in number, so that all are full now.
        self.rows_per_point *= 2;
    }

    /// Notes a value of the row that was begun last.
    pub(crate) fn put(&mut self, place: usize, value: f64) {
        let points = self.times.len();
        let Some(series) = self.series.get_mut(place) else { return };
        series.values += 1;
        if !value.is_finite() {
            series.non_finite += 1;
            return;
        }
        series.sum += value;
        if series.low.len() < points {
            series.pad(points);
        }
        if let (Some(low), Some(high), Some(first)) =
            (series.low.last_mut(), series.high.last_mut(), series.first.last_mut())
        {
            *low = low.min(value);
            *high = high.max(value);
            if first.is_nan() {
                *first = value;
            }
        }
    }

    /// The points.
    pub(crate) fn finish(mut self) -> Points {
        let points = self.times.len();
        self.series.iter_mut().for_each(|series| series.pad(points));
        let Self { rows_per_point, times, ends, series, .. } = self;
        Points { rows_per_point, times, ends, series }
    }
}

/// What an [`Envelope`] has gathered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    pub(crate) rows_per_point: u64,
    pub(crate) times: Vec<f64>,
    pub(crate) ends: Vec<f64>,
    pub(crate) series: Vec<Series>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(max_points: usize, values: &[f64]) -> Points {
        let mut envelope = Envelope::new(max_points);
        let place = envelope.add_series();
        for (row, value) in values.iter().enumerate() {
            envelope.begin_row(row as f64);
            envelope.put(place, *value);
        }
        envelope.finish()
    }

    proptest! {
        #[test]
        fn each_point_has_the_extremes_of_its_rows(
            values in prop::collection::vec(prop_oneof![8 => -1e3..1e3, 1 => Just(f64::NAN)], 1..500),
            max_points in 2..40_usize
        ) {
            let points = of(max_points, &values);
            let per_point = points.rows_per_point as usize;
            prop_assert_eq!(points.times.len(), values.len().div_ceil(per_point));
            prop_assert!(points.times.len() <= max_points.next_multiple_of(2));
            for (at, rows) in values.chunks(per_point).enumerate() {
                let finite = || rows.iter().copied().filter(|value| value.is_finite());
                let (low, high) = (finite().reduce(f64::min), finite().reduce(f64::max));
                let series = &points.series[0];
                let found = |value: f64| (!value.is_nan()).then_some(value);
                prop_assert_eq!(found(series.low[at]), low);
                prop_assert_eq!(found(series.high[at]), high);
                prop_assert_eq!(found(series.first[at]), finite().next());
                prop_assert_eq!(points.times[at], (at * per_point) as f64);
                prop_assert_eq!(points.ends[at], (at * per_point + rows.len() - 1) as f64);
            }
            let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            prop_assert_eq!(points.series[0].non_finite as usize, values.len() - finite.len());
        }
    }

    #[test]
    fn a_spike_of_one_row_in_a_million_stays() {
        let mut values = vec![0.5; 1_000_000];
        values[777_777] = 42.0;
        let points = of(1000, &values);
        assert!(points.times.len() >= 500);
        assert_eq!(points.series[0].high.iter().filter(|high| **high == 42.0).count(), 1);
    }

    #[test]
    fn few_rows_are_kept_as_they_are() {
        let points = of(8, &[3.0, 1.0, 2.0]);
        assert_eq!(points.rows_per_point, 1);
        assert_eq!(points.series[0].low, [3.0, 1.0, 2.0]);
        assert_eq!(points.series[0].low, points.series[0].high);
        assert_eq!(points.series[0].mean(), Some(2.0));
    }

    #[test]
    fn a_column_that_begins_late_has_nothing_before() {
        let mut envelope = Envelope::new(4);
        for row in 0..20_u32 {
            envelope.begin_row(f64::from(row));
            if row == 17 {
                let place = envelope.add_series();
                envelope.put(place, 1.0);
            }
        }
        let points = envelope.finish();
        assert_eq!(points.series[0].low.iter().filter(|low| !low.is_nan()).count(), 1);
        assert_eq!(points.series[0].low.len(), points.times.len());
    }
}
