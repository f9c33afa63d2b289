//! Values between two values: numbers and lists of numbers by a straight line, quaternions by slerp.

use crate::row::{Array, Value};
use crate::with_array;

/// Two quaternions whose cosine is above this lie so close that a straight line is as good.
const NEARLY_EQUAL: f64 = 1.0 - 1e-9;

/// `value` with its numbers as floats: what interpolated values of its column look like.
pub(super) fn as_floats(value: &Value) -> Value {
    match Numbers::of(value) {
        Some(numbers) => numbers.into_value(),
        None => value.clone(),
    }
}

/// The value at `weight` of the way from `below` to `above`, both excluded. What can't be
/// interpolated is the value below: texts, bools, dicts, and lists of different lengths.
pub(super) fn linear(below: &Value, above: Option<&Value>, weight: f64) -> Value {
    match (Numbers::of(below), above.and_then(Numbers::of)) {
        (Some(Numbers::One(a)), Some(Numbers::One(b))) => Value::F64(lerp(a, b, weight)),
        (Some(Numbers::Many(a)), Some(Numbers::Many(b))) if a.len() == b.len() => {
            let items = a.iter().zip(&b).map(|(a, b)| lerp(*a, *b, weight));
            Numbers::Many(items.collect()).into_value()
        }
        (Some(numbers), _) => numbers.into_value(),
        (None, _) => below.clone(),
    }
}

/// Like [`linear`], for quaternions: along the shortest arc, at constant angular speed. The result
/// has length 1. What is no quaternion is the value below.
pub(super) fn slerp(below: &Value, above: Option<&Value>, weight: f64) -> Value {
    match (unit_quaternion(below), above.and_then(unit_quaternion)) {
        (Some(a), Some(b)) => Value::Array(Array::F64(arc(a, b, weight).to_vec())),
        _ => as_floats(below),
    }
}

/// A number, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

impl Numbers {
    /// The numbers in `value`, if it holds nothing else.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let many = match value {
            Value::Array(Array::Bool(_)) => return None,
            Value::Array(array) => {
                with_array!(array, items => items.iter().map(Float::float).collect())
            }
            Value::List(items) => items.iter().map(number).collect::<Option<_>>()?,
            other => return number(other).map(Self::One),
        };
        Some(Self::Many(many))
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Self::One(number) => Value::F64(number),
            // An empty list is read back as a list of values.
            Self::Many(items) if items.is_empty() => Value::List(Vec::new()),
            Self::Many(items) => Value::Array(Array::F64(items)),
        }
    }
}

/// A number as a float.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::UInt(int) => Some(*int as f64),
        Value::F32(float) => Some(f64::from(*float)),
        Value::F64(float) => Some(*float),
        _ => None,
    }
}

/// An item of an [`Array`] as a float.
trait Float {
    fn float(&self) -> f64;
}

macro_rules! float {
    ($($ty:ty),*) => {
        $(impl Float for $ty {
            fn float(&self) -> f64 {
                *self as f64
            }
        })*
    };
}

float!(i8, u8, i16, u16, i32, u32, i64, u64, f32, f64);

impl Float for bool {
    fn float(&self) -> f64 {
        f64::from(u8::from(*self))
    }
}

fn lerp(a: f64, b: f64, weight: f64) -> f64 {
    let way = b - a;
    // Exact where the two are equal, and finite where only their distance is not.
    if way.is_finite() { a + way * weight } else { a * (1.0 - weight) + b * weight }
}

/// The quaternion in `value` as one of length 1; `None` if it has no direction.
pub(super) fn unit_quaternion(value: &Value) -> Option<[f64; 4]> {
    let Some(Numbers::Many(items)) = Numbers::of(value) else { return None };
    unit(items.try_into().ok()?)
}

/// `q` with length 1; `None` if it has no direction.
pub(super) fn unit(q: [f64; 4]) -> Option<[f64; 4]> {
    let length = dot(q, q).sqrt();
    (length.is_finite() && length > 0.0).then(|| q.map(|part| part / length))
}

pub(super) fn dot(a: [f64; 4], b: [f64; 4]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn arc(a: [f64; 4], b: [f64; 4], weight: f64) -> [f64; 4] {
    let cosine = dot(a, b);
    // `q` and `-q` are one rotation: take the nearer one.
    let (cosine, b) = if cosine < 0.0 { (-cosine, b.map(|part| -part)) } else { (cosine, b) };
    let (of_a, of_b) = if cosine > NEARLY_EQUAL {
        (1.0 - weight, weight)
    } else {
        let angle = cosine.acos();
        let sine = angle.sin();
        (((1.0 - weight) * angle).sin() / sine, (weight * angle).sin() / sine)
    };
    let sum = [0, 1, 2, 3].map(|i| of_a * a[i] + of_b * b[i]);
    unit(sum).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[f64]) -> Value {
        Value::Array(Array::F64(items.to_vec()))
    }

    fn floats(value: &Value) -> Vec<f64> {
        match Numbers::of(value) {
            Some(Numbers::Many(items)) => items,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_lie_on_a_line_and_come_out_as_floats() {
        assert_eq!(linear(&Value::Int(1), Some(&Value::F64(3.0)), 0.25), Value::F64(1.5));
        let ints = Value::Array(Array::I64(vec![0, 10]));
        assert_eq!(linear(&ints, Some(&list(&[1.0, 20.0])), 0.5), list(&[0.5, 15.0]));
        let mixed = Value::List(vec![Value::Int(0), Value::F64(1.0)]);
        assert_eq!(linear(&mixed, Some(&ints), 0.5), list(&[0.0, 5.5]));
    }

    #[test]
    fn what_has_nothing_between_is_the_value_below() {
        let text = Value::from("go");
        assert_eq!(linear(&text, Some(&Value::from("stop")), 0.5), text);
        assert_eq!(linear(&Value::Bool(true), Some(&Value::Bool(false)), 0.9), Value::Bool(true));
        assert_eq!(linear(&Value::Int(1), Some(&text), 0.5), Value::F64(1.0));
        assert_eq!(linear(&Value::Int(1), None, 0.5), Value::F64(1.0));
        assert_eq!(linear(&list(&[1.0]), Some(&list(&[2.0, 3.0])), 0.5), list(&[1.0]));
        let flags = Value::Array(Array::Bool(vec![true]));
        assert_eq!(linear(&flags, Some(&flags), 0.5), flags);
        assert_eq!(linear(&Value::Null, Some(&Value::Int(1)), 0.5), Value::Null);
    }

    #[test]
    fn equal_and_enormous_values_stay_as_they_are() {
        for value in [0.1, -1e308, f64::INFINITY] {
            let value = Value::F64(value);
            assert_eq!(linear(&value, Some(&value), 0.3), value);
        }
        let Value::F64(middle) = linear(&Value::F64(-1.6e308), Some(&Value::F64(1.6e308)), 0.5)
        else {
            panic!()
        };
        assert_eq!(middle, 0.0);
    }

    #[test]
    fn quaternions_turn_at_constant_speed_along_the_shortest_arc() {
        let about_z = |degrees: f64| {
            let half = degrees.to_radians() / 2.0;
            list(&[0.0, 0.0, half.sin(), half.cos()])
        };
        let minus = |value: &Value| list(&floats(value).iter().map(|x| -x).collect::<Vec<_>>());
        for (from, to) in [(0.0, 90.0), (0.0, 3.5), (10.0, 11.0), (-80.0, 80.0)] {
            for weight in [0.1, 0.5, 0.9] {
                let expected = floats(&about_z(from + (to - from) * weight));
                for end in [about_z(to), minus(&about_z(to))] {
                    let found = floats(&slerp(&about_z(from), Some(&end), weight));
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected).abs() < 1e-12, "{from} to {to} at {weight}");
                    }
                }
            }
        }
        let zero = list(&[0.0; 4]);
        assert_eq!(slerp(&zero, Some(&about_z(1.0)), 0.5), zero);
        assert_eq!(slerp(&about_z(1.0), None, 0.5), about_z(1.0));
    }
}
