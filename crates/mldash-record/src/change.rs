//! `on_change`: does a row say anything new?

use mldash_track::{Array, Column, Fields, Value};

/// Returns true if two rows hold the same values, apart from the message's own stamp and the
/// columns in `but`.
pub(super) fn same_fields(a: &Fields, b: &Fields, but: &[Column]) -> bool {
    let told =
        |fields| Fields::iter(fields).filter(|(name, _)| !is_stamp(name) && !but.contains(name));
    told(a).count() == told(b).count()
        && told(a).zip(told(b)).all(|(a, b)| a.0 == b.0 && same_value(a.1, b.1))
}

/// A stamp that stays a column (`stamp: receive`) is not a change.
fn is_stamp(column: &str) -> bool {
    column.starts_with("header.stamp.")
}

/// Compares values, with NaN equal to itself: a sensor that keeps sending NaN sends nothing new.
fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::F32(a), Value::F32(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::F64(a), Value::F64(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::Array(a), Value::Array(b)) => same_array(a, b),
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same_value(&a.1, &b.1))
        }
        _ => a == b,
    }
}

fn same_array(a: &Array, b: &Array) -> bool {
    fn same<T: PartialEq>(a: &[T], b: &[T], both_nan: impl Fn(&T, &T) -> bool) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || both_nan(a, b))
    }
    match (a, b) {
        (Array::F32(a), Array::F32(b)) => same(a, b, |a, b| a.is_nan() && b.is_nan()),
        (Array::F64(a), Array::F64(b)) => same(a, b, |a, b| a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mldash_track::fields;

    #[test]
    fn nan_is_no_news_and_anything_else_is() {
        let nan = fields! { "a": [f32::NAN, 1.0], "b": f64::NAN };
        assert!(same_fields(&nan, &nan.clone(), &[]));
        assert!(!same_fields(&nan, &fields! { "a": [f32::NAN, 2.0], "b": f64::NAN }, &[]));
        assert!(!same_fields(&nan, &fields! { "a": [f32::NAN, 1.0] }, &[]));
        assert!(!same_fields(&fields! { "a": 1 }, &fields! { "b": 1 }, &[]));
    }

    #[test]
    fn the_messages_own_stamp_is_no_news() {
        let row = |sec: i32| fields! { "header.stamp.sec": sec, "data": "idle" };
        assert!(same_fields(&row(1), &row(2), &[]));
        let timed = |ns: i64| fields! { "data": "idle", "stamp_ns": ns };
        assert!(same_fields(&timed(1), &timed(2), &["stamp_ns".into()]));
    }
}
