//! What the rows of one step come to: each column's mean, extreme or number of values, without
//! keeping the rows.

use std::cmp::Ordering;

use super::Aggregate;
use super::interpolate::{Numbers, as_floats, dot, number, unit, unit_quaternion};
use crate::row::{Column, Fields, ListBuilder, Value};

/// The values of one step so far.
pub(super) struct Window {
    aggregate: Aggregate,
    /// Columns in the order in which they appeared.
    columns: Vec<(Column, Values)>,
}

/// The values of one column.
struct Values {
    /// How many were not null.
    count: u64,
    last: Value,
    state: State,
}

enum State {
    Nothing,
    /// The sum of numbers, or of lists of one length.
    Sum(Numbers),
    /// The sum of unit quaternions, each as its nearer sign.
    Rotation([f64; 4]),
    Extreme(Value),
    /// Values that have no mean and no extreme: the last one counts.
    Unfit,
}

impl Window {
    pub(super) fn new(aggregate: Aggregate) -> Self {
        Self { aggregate, columns: Vec::new() }
    }

    /// Starts a step.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
    }

    /// Adds a row. `is_quaternion` tells which columns hold rotations.
    pub(super) fn add(&mut self, fields: Fields, is_quaternion: impl Fn(&str) -> bool) {
        for (place, (name, value)) in fields.into_iter().enumerate() {
            let place = self.place_of(&name, place);
            let Some((name, values)) = self.columns.get_mut(place) else { continue };
            values.add(self.aggregate, value, is_quaternion(name));
        }
    }

    /// The place of a column, which is probably `hint`; a new one comes last.
    fn place_of(&mut self, name: &Column, hint: usize) -> usize {
        if self.columns.get(hint).is_some_and(|(known, _)| known == name) {
            return hint;
        }
        let known = self.columns.iter().position(|(known, _)| known == name);
        known.unwrap_or_else(|| {
            let nothing = Values { count: 0, last: Value::Null, state: State::Nothing };
            self.columns.push((name.clone(), nothing));
            self.columns.len() - 1
        })
    }

    /// The result for each column that had a row. Starts the next step.
    pub(super) fn take(&mut self) -> Fields {
        let aggregate = self.aggregate;
        let columns = std::mem::take(&mut self.columns).into_iter();
        let mut fields = Fields::with_capacity(columns.len());
        for (name, values) in columns {
            fields.push_distinct(name, values.result(aggregate));
        }
        fields
    }
}

impl Values {
    fn add(&mut self, aggregate: Aggregate, value: Value, is_quaternion: bool) {
        if value == Value::Null {
            return;
        }
        self.count += 1;
        let state = std::mem::replace(&mut self.state, State::Unfit);
        self.state = match aggregate {
            Aggregate::Last | Aggregate::Count => State::Unfit,
            Aggregate::Mean if is_quaternion => state.add_rotation(&value),
            Aggregate::Mean => state.add(&value),
            // A rotation has no order.
            Aggregate::Min | Aggregate::Max if is_quaternion => State::Unfit,
            Aggregate::Min => state.extreme(&value, Ordering::Less),
            Aggregate::Max => state.extreme(&value, Ordering::Greater),
        };
        self.last = value;
    }

    fn result(self, aggregate: Aggregate) -> Value {
        let last = self.last;
        match (aggregate, self.state) {
            (Aggregate::Count, _) => Value::Int(i64::try_from(self.count).unwrap_or(i64::MAX)),
            (Aggregate::Mean, State::Sum(sum)) => {
                let count = self.count as f64;
                let mean = match sum {
                    Numbers::One(sum) => Numbers::One(sum / count),
                    Numbers::Many(sums) => {
                        Numbers::Many(sums.into_iter().map(|sum| sum / count).collect())
                    }
                };
                mean.into_value()
            }
            (Aggregate::Mean, State::Rotation(sum)) => match unit(sum) {
                Some(mean) => Numbers::Many(mean.to_vec()).into_value(),
                None => as_floats(&last),
            },
            (Aggregate::Mean, _) => as_floats(&last),
            (_, State::Extreme(value)) => value,
            (_, _) => last,
        }
    }
}

impl State {
    fn add(self, value: &Value) -> Self {
        match (self, Numbers::of(value)) {
            (Self::Nothing, Some(numbers)) => Self::Sum(numbers),
            (Self::Sum(Numbers::One(sum)), Some(Numbers::One(number))) => {
                Self::Sum(Numbers::One(sum + number))
            }
            (Self::Sum(Numbers::Many(sums)), Some(Numbers::Many(items)))
                if sums.len() == items.len() =>
            {
                let sums = sums.iter().zip(items).map(|(sum, item)| sum + item);
                Self::Sum(Numbers::Many(sums.collect()))
            }
            _ => Self::Unfit,
        }
    }

    fn add_rotation(self, value: &Value) -> Self {
        let Some(new) = unit_quaternion(value) else { return Self::Unfit };
        match self {
            Self::Nothing => Self::Rotation(new),
            Self::Rotation(sum) => {
                let sign = if dot(sum, new) < 0.0 { -1.0 } else { 1.0 };
                Self::Rotation([0, 1, 2, 3].map(|i| sum[i] + sign * new[i]))
            }
            _ => Self::Unfit,
        }
    }

    /// Keeps the numbers that are `beyond` the others; NaN, once there, stays.
    fn extreme(self, value: &Value, beyond: Ordering) -> Self {
        let replaces = |new: &Value, old: &Value| {
            compare(new, old) == Some(beyond) || number(new).is_some_and(f64::is_nan)
        };
        match self {
            Self::Nothing if Numbers::of(value).is_some() => Self::Extreme(value.clone()),
            Self::Extreme(old) if number(&old).is_some() && number(value).is_some() => {
                Self::Extreme(if replaces(value, &old) { value.clone() } else { old })
            }
            Self::Extreme(old) => match (items(old), Numbers::of(value)) {
                (Some(old), Some(Numbers::Many(numbers))) if old.len() == numbers.len() => {
                    let mut list = ListBuilder::default();
                    for (old, new) in
                        old.into_iter().zip(items(value.clone()).into_iter().flatten())
                    {
                        list.push(if replaces(&new, &old) { new } else { old });
                    }
                    Self::Extreme(list.finish())
                }
                _ => Self::Unfit,
            },
            _ => Self::Unfit,
        }
    }
}

/// How two numbers compare: integers exactly, others as floats; `None` beside NaN.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |value: &Value| match value {
        Value::Int(int) => Some(i128::from(*int)),
        Value::UInt(int) => Some(i128::from(*int)),
        _ => None,
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

/// The items of a list, each as it is.
fn items(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::List(items) => Some(items),
        Value::Array(array) => {
            crate::with_array!(array, items => Some(items.into_iter().map(Value::from).collect()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    fn of(aggregate: Aggregate, rows: &[Fields]) -> Fields {
        let mut window = Window::new(aggregate);
        rows.iter().for_each(|row| window.add(row.clone(), |name| name == "rotation"));
        window.take()
    }

    #[test]
    fn each_column_has_its_own_result() {
        let rows = [
            fields! { "x": 1, "q": [1.0, 4.0], "mode": "go" },
            fields! { "x": 4, "q": [3.0, 2.0], "mode": "stop", "late": 7 },
            fields! { "x": Value::Null, "q": [5.0, 0.0] },
        ];
        assert_eq!(
            of(Aggregate::Mean, &rows),
            fields! { "x": 2.5, "q": [3.0, 2.0], "mode": "stop", "late": 7.0 }
        );
        assert_eq!(
            of(Aggregate::Min, &rows),
            fields! { "x": 1, "q": [1.0, 0.0], "mode": "stop", "late": 7 }
        );
        assert_eq!(
            of(Aggregate::Max, &rows),
            fields! { "x": 4, "q": [5.0, 4.0], "mode": "stop", "late": 7 }
        );
        assert_eq!(of(Aggregate::Count, &rows), fields! { "x": 2, "q": 3, "mode": 2, "late": 1 });
        assert_eq!(
            of(Aggregate::Last, &rows),
            fields! { "x": 4, "q": [5.0, 0.0], "mode": "stop", "late": 7 }
        );
    }

    #[test]
    fn what_has_no_mean_is_the_last_value() {
        let rows = [fields! { "q": [1.0], "x": 1 }, fields! { "q": [1.0, 2.0], "x": "far" }];
        let last = fields! { "q": [1.0, 2.0], "x": "far" };
        assert_eq!(of(Aggregate::Mean, &rows), last);
        assert_eq!(of(Aggregate::Min, &rows), last);
        assert_eq!(
            of(Aggregate::Mean, &[fields! { "x": Value::Null }]),
            fields! { "x": Value::Null }
        );
    }

    #[test]
    fn integers_beyond_the_floats_are_compared_exactly() {
        let stamp = 1_700_000_000_000_000_000_i64;
        let rows = [2, 1, 3].map(|i| fields! { "x": stamp + i, "q": [i64::MIN, stamp + i] });
        let expected = |i| fields! { "x": stamp + i, "q": [i64::MIN, stamp + i] };
        assert_eq!(of(Aggregate::Max, &rows), expected(3));
        assert_eq!(of(Aggregate::Min, &rows), expected(1));
        let rows = [fields! { "x": u64::MAX }, fields! { "x": -1 }, fields! { "x": 0.5 }];
        assert_eq!(of(Aggregate::Max, &rows), rows[0]);
        assert_eq!(of(Aggregate::Min, &rows), rows[1]);
    }

    #[test]
    fn not_a_number_is_not_hidden() {
        let rows = [fields! { "x": 1.0 }, fields! { "x": f64::NAN }, fields! { "x": 2.0 }];
        for aggregate in [Aggregate::Mean, Aggregate::Min, Aggregate::Max] {
            let result = of(aggregate, &rows);
            assert!(matches!(result.get("x"), Some(Value::F64(x)) if x.is_nan()), "{aggregate:?}");
        }
    }

    #[test]
    fn the_mean_of_rotations_ignores_their_signs() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let rows = [
            fields! { "rotation": [0.0, 0.0, half, half] },
            fields! { "rotation": [0.0, 0.0, -half, -half] },
        ];
        let mean = of(Aggregate::Mean, &rows);
        let Some(Numbers::Many(mean)) = mean.get("rotation").and_then(Numbers::of) else {
            panic!("{mean:?}")
        };
        assert!((mean[2] - half).abs() < 1e-12 && (mean[3] - half).abs() < 1e-12, "{mean:?}");
    }
}
