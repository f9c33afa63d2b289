//! Collects what a program yields into an element.

use super::program::{StampPart, Target};
use super::{Element, LeftOut, LeftOutColumn};
use crate::type_name::TypeName;
use mldash_track::{Column, ColumnType, Fields, Timestamp, Value};

const NANOS_PER_SEC: u32 = 1_000_000_000;

/// An element being built.
pub(super) struct RowBuilder<'a> {
    columns: &'a Columns,
    fields: Fields,
    /// The column numbers of `fields`, if they don't come in order.
    places: Vec<usize>,
    names: Vec<Option<String>>,
    sec: Option<i32>,
    nanosec: Option<u32>,
    float_secs: Option<f64>,
}

/// The columns of a layout, in the order of the rows.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) names: Vec<Column>,
    pub(super) types: Vec<ColumnType>,
    /// The messages whose components they are, for points, vectors and quaternions.
    pub(super) messages: Vec<Option<TypeName>>,
    /// Those that are byte arrays of variable length.
    pub(super) byte_arrays: Vec<LeftOutColumn>,
    /// Whether the bytes contain them in this order.
    pub(super) order: ColumnOrder,
}

/// How the order of columns relates to that of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnOrder {
    AsDecoded,
    Sorted,
}

impl<'a> RowBuilder<'a> {
    pub(super) fn new(columns: &'a Columns, names: usize) -> Self {
        let places = match columns.order {
            ColumnOrder::AsDecoded => Vec::new(),
            ColumnOrder::Sorted => Vec::with_capacity(columns.names.len()),
        };
        Self {
            columns,
            fields: Fields::with_capacity(columns.names.len()),
            places,
            names: vec![None; names],
            sec: None,
            nanosec: None,
            float_secs: None,
        }
    }

    #[inline]
    pub(super) fn put(&mut self, to: Target, value: Value) {
        match to {
            Target::Column(i) => {
                if let Some(name) = self.columns.names.get(i) {
                    self.fields.push_distinct(name.clone(), value);
                    if self.columns.order == ColumnOrder::Sorted {
                        self.places.push(i);
                    }
                }
            }
            Target::Name(i) => {
                if let Some(name) = self.names.get_mut(i) {
                    *name = name_text(value);
                }
            }
            Target::Stamp(part) => self.put_stamp(part, &value),
        }
    }

    /// The column that a target is, if it is one.
    pub(super) fn column(&self, to: Target) -> Option<&'a Column> {
        match to {
            Target::Column(i) => self.columns.names.get(i),
            Target::Name(_) | Target::Stamp(_) => None,
        }
    }

    fn put_stamp(&mut self, part: StampPart, value: &Value) {
        match (part, value) {
            (StampPart::Sec, Value::Int(sec)) => self.sec = i32::try_from(*sec).ok(),
            (StampPart::Nanosec, Value::Int(nanos)) => self.nanosec = u32::try_from(*nanos).ok(),
            (StampPart::FloatSecs, Value::F64(secs)) => self.float_secs = Some(*secs),
            (StampPart::FloatSecs, Value::F32(secs)) => self.float_secs = Some(f64::from(*secs)),
            // Null: the array that contains the stamp is empty.
            _ => {}
        }
    }

    pub(super) fn finish(self, left_out: Vec<LeftOut>, repaired_text: bool) -> Element {
        let stamp = self.stamp();
        let stamp_nanos = self.stamp_nanos();
        let fields = match self.columns.order {
            ColumnOrder::AsDecoded => self.fields,
            ColumnOrder::Sorted => sorted(self.fields, &self.places),
        };
        Element {
            stamp: stamp.map(|stamp| stamp.ts),
            stamp_nanos,
            fields,
            names: self.names,
            left_out,
            repaired_text,
        }
    }

    /// `None` if there is no time, it is zero (not set), or ROS itself refuses it: negative
    /// seconds, or a second or more of nanoseconds.
    pub(super) fn stamp(&self) -> Option<ElementStamp> {
        match (self.sec, self.nanosec, self.float_secs) {
            (Some(0), Some(0), _) => None,
            (Some(sec), Some(nanosec), _) if sec >= 0 && nanosec < NANOS_PER_SEC => {
                let ts = Timestamp::from_sec_nanosec(sec, nanosec);
                Some(ElementStamp { ts, nanos: self.stamp_nanos() })
            }
            (_, _, Some(secs)) if secs != 0.0 => {
                let ts = Timestamp::new(secs).ok()?;
                Some(ElementStamp { ts, nanos: self.stamp_nanos() })
            }
            _ => None,
        }
    }

    /// The stamp as it came, usable as a time or not.
    pub(super) fn stamp_nanos(&self) -> Option<i64> {
        match (self.sec, self.nanosec, self.float_secs) {
            (Some(sec), Some(nanosec), _) => {
                Some(i64::from(sec) * i64::from(NANOS_PER_SEC) + i64::from(nanosec))
            }
            (_, _, Some(secs)) => {
                let nanos = (secs * f64::from(NANOS_PER_SEC)).round();
                // Beyond this range, and for NaN, the conversion would give a wrong value.
                (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
            }
            _ => None,
        }
    }
}

/// An element's own time, for a row and exactly.
#[derive(Clone, Copy, Debug)]
pub(super) struct ElementStamp {
    pub(super) ts: Timestamp,
    /// `None` if 64 bits can't hold it: 292 years from 1970.
    pub(super) nanos: Option<i64>,
}

fn sorted(fields: Fields, places: &[usize]) -> Fields {
    let mut columns: Vec<_> = places.iter().zip(fields).collect();
    columns.sort_unstable_by_key(|(place, _)| **place);
    let mut fields = Fields::with_capacity(columns.len());
    for (_, (name, value)) in columns {
        fields.push_distinct(name, value);
    }
    fields
}

fn name_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Int(i) => Some(i.to_string()),
        Value::UInt(u) => Some(u.to_string()),
        _ => None,
    }
}
