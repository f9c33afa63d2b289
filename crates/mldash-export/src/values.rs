//! The values of rows as the numbers of a feature, and numbers as its dtype.

use mldash_track::{Array, Value, with_array};

use crate::recipe::{Dtype, Elements};

/// From here on, a double stands for more than one whole number.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The numbers of a value, or those of the given elements of a list, as a recipe's source takes them.
///
/// # Errors
/// Says what is no number, or that the list is too short.
pub fn numbers(value: &Value, elements: Option<Elements>) -> Result<Vec<f64>, String> {
    let mut numbers = Vec::new();
    push_numbers(value, elements, &mut numbers)?;
    Ok(numbers)
}

/// Appends the numbers of a value, or those of the given elements.
pub(crate) fn push_numbers(
    value: &Value,
    elements: Option<Elements>,
    out: &mut Vec<f64>,
) -> Result<(), String> {
    let start = out.len();
    match value {
        Value::Array(array) => with_array!(array, values => {
            out.extend(values.iter().map(|value| AsNumber::number(*value)));
        }),
        Value::List(items) => {
            for item in items {
                out.push(scalar(item)?);
            }
        }
        scalar_value => {
            if elements.is_some() {
                return Err(format!("{} is no list to take elements of", describe(scalar_value)));
            }
            out.push(scalar(scalar_value)?);
        }
    }
    let Some(Elements { start: first, end }) = elements else { return Ok(()) };
    let found = out.len() - start;
    let end = end.unwrap_or(found.max(first));
    if end > found || first > found {
        out.truncate(start);
        let plural = if found == 1 { "" } else { "s" };
        return Err(format!("the list has {found} element{plural}, too few"));
    }
    out.truncate(start + end);
    out.drain(start..start + first);
    Ok(())
}

fn scalar(value: &Value) -> Result<f64, String> {
    match value {
        Value::Bool(value) => Ok(AsNumber::number(*value)),
        Value::Int(value) => Ok(AsNumber::number(*value)),
        Value::UInt(value) => Ok(AsNumber::number(*value)),
        Value::F32(value) => Ok(AsNumber::number(*value)),
        Value::F64(value) => Ok(*value),
        other => Err(format!("{} is no number", describe(other))),
    }
}

/// How many elements a list has; `None` for what is no list.
pub(crate) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(array) => Some(array.len()),
        Value::List(items) => Some(items.len()),
        _ => None,
    }
}

/// A value for a message.
pub(crate) fn describe(value: &Value) -> String {
    const SHOWN_CHARS: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => {
            format!("the text {:?}", text.chars().take(SHOWN_CHARS).collect::<String>())
        }
        Value::Bytes(bytes) => format!("an array of {} bytes", bytes.len()),
        Value::Map(_) => "a dict".to_owned(),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Array(array) => format!("a list of {}", array.len()),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
    }
}

/// Puts the items of `list` in the order in which `names` has `wanted`; `None` if one is missing.
pub(crate) fn by_name(list: &Value, names: &Value, wanted: &[String]) -> Option<Value> {
    let places = wanted.iter().map(|wanted| place_of(names, wanted)).collect::<Option<Vec<_>>>()?;
    let mut numbers = Vec::new();
    push_numbers(list, None, &mut numbers).ok()?;
    let ordered = places.iter().map(|place| numbers.get(*place).copied()).collect::<Option<_>>()?;
    Some(Value::Array(Array::F64(ordered)))
}

fn place_of(names: &Value, wanted: &str) -> Option<usize> {
    match names {
        Value::List(names) => {
            names.iter().position(|name| matches!(name, Value::Text(name) if name == wanted))
        }
        _ => None,
    }
}

/// Checks that a dtype holds this number.
pub(crate) fn fits(number: f64, dtype: Dtype) -> Result<(), String> {
    let (fits, needed) = match dtype {
        Dtype::Float64 => (true, ""),
        Dtype::Float32 => {
            (!number.is_finite() || (number as f32).is_finite(), "a number that a float32 can hold")
        }
        Dtype::Int64 => {
            (number.fract() == 0.0 && number.abs() < MAX_WHOLE, "a whole number below 2^53")
        }
        Dtype::Bool => (number == 0.0 || number == 1.0, "0 or 1"),
    };
    if fits { Ok(()) } else { Err(format!("{number} is not {needed}, as {} needs", dtype.name())) }
}

trait AsNumber {
    fn number(self) -> f64;
}

macro_rules! as_number {
    ($($from:ty => $x:ident $to:expr;)*) => {
        $(impl AsNumber for $from {
            fn number(self) -> f64 { let $x = self; $to }
        })*
    };
}

as_number! {
    bool => x f64::from(u8::from(x));
    i8 => x f64::from(x);
    u8 => x f64::from(x);
    i16 => x f64::from(x);
    u16 => x f64::from(x);
    i32 => x f64::from(x);
    u32 => x f64::from(x);
    i64 => x x as f64;
    u64 => x x as f64;
    f32 => x f64::from(x);
    f64 => x x;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(
        value: impl Into<Value>,
        elements: Option<(usize, Option<usize>)>,
    ) -> Result<Vec<f64>, String> {
        let mut out = vec![9.0];
        let elements = elements.map(|(start, end)| Elements { start, end });
        push_numbers(&value.into(), elements, &mut out)?;
        assert_eq!(out.remove(0), 9.0);
        Ok(out)
    }

    #[test]
    fn elements_are_taken_from_lists_of_any_kind() {
        assert_eq!(numbers([1_u8, 2, 3], Some((1, Some(3)))).unwrap(), [2.0, 3.0]);
        assert_eq!(numbers([1.5_f32, 2.0], Some((1, None))).unwrap(), [2.0]);
        assert_eq!(numbers([1.5, 2.0], Some((2, None))).unwrap(), [0.0; 0]);
        let mixed = vec![Value::Int(1), Value::F64(2.5), Value::Bool(true)];
        assert_eq!(numbers(mixed, None).unwrap(), [1.0, 2.5, 1.0]);
        assert_eq!(numbers(true, None).unwrap(), [1.0]);
    }

    #[test]
    fn what_is_no_number_is_told() {
        let error = |value: Value, elements| numbers(value, elements).unwrap_err();
        assert_eq!(error([1.0].into(), Some((0, Some(2)))), "the list has 1 element, too few");
        assert_eq!(error("go".into(), None), "the text \"go\" is no number");
        assert_eq!(error(1.into(), Some((0, Some(1)))), "1 is no list to take elements of");
    }

    #[test]
    fn joints_are_found_by_name_whatever_their_order() {
        let wanted = ["a".to_owned(), "b".to_owned()];
        let names: Value = vec!["b", "x", "a"].into();
        let ordered = by_name(&[1.0, 2.0, 3.0].into(), &names, &wanted);
        assert_eq!(ordered, Some([3.0, 1.0].into()));
        assert_eq!(by_name(&[1.0, 2.0].into(), &names, &wanted), None, "no value for a");
        assert_eq!(by_name(&[1.0].into(), &vec!["a"].into(), &wanted), None, "no b");
    }

    #[test]
    fn a_dtype_takes_what_it_can_hold() {
        assert!(fits(0.5, Dtype::Float32).is_ok() && fits(f64::NAN, Dtype::Float32).is_ok());
        assert!(fits(1e300, Dtype::Float32).is_err() && fits(1e300, Dtype::Float64).is_ok());
        let largest = MAX_WHOLE - 1.0;
        assert!(fits(largest, Dtype::Int64).is_ok());
        assert!(fits(((1_i64 << 53) + 1) as f64, Dtype::Int64).is_err(), "it is rounded");
        assert!(fits(-3.0, Dtype::Int64).is_ok() && fits(0.5, Dtype::Int64).is_err());
        assert!(fits(1.0, Dtype::Bool).is_ok() && fits(2.0, Dtype::Bool).is_err());
    }
}
