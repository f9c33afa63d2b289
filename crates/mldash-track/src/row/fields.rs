//! The field dict of a row: flat, ordered, each column once.

mod flatten;

use std::collections::HashMap;
use std::sync::Arc;

use flatten::Flattener;
pub use flatten::{MAX_REPEATED_NAME_BYTES, RepeatedNames};

use super::value::Value;

/// A column's name, shared between the rows that carry it.
pub type Column = Arc<str>;

/// The column for a row's time in the store and in every format. No field may use this name.
pub const TIMESTAMP_COLUMN: &str = "timestamp";

/// The key for a row's time in an appended dict. No field may use this name.
pub const TIMESTAMP_KEY: &str = "_ts";

/// Above this many columns, a merge looks names up in a map.
const LINEAR_COLUMNS: usize = 32;

/// Named values in order. Nested dicts are flattened with dots on insertion, as ML-Dash does. A
/// name given twice keeps its place and takes the later value.
///
/// Flattening repeats a dict's name for each value in it. A dict for which that would take more than
/// [`MAX_REPEATED_NAME_BYTES`] is kept as it is, and a track refuses it.
///
/// ```
/// use mldash_track::{fields, Value};
/// let fields = fields! { "q": [0.1, -0.22], "arm": { "mode": "hold", "joints": 6 } };
/// assert_eq!(fields.get("arm.joints"), Some(&Value::Int(6)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(Column, Value)>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields, with room for `columns`.
    pub fn with_capacity(columns: usize) -> Self {
        Self(Vec::with_capacity(columns))
    }

    /// Builds fields without checks, from columns that the caller knows to be distinct and not
    /// dicts.
    pub(crate) fn from_distinct(columns: Vec<(Column, Value)>) -> Self {
        debug_assert!(
            columns
                .iter()
                .enumerate()
                .all(|(i, (a, _))| { columns[..i].iter().all(|(b, _)| a != b) })
        );
        Self(columns)
    }

    /// Builds fields from `pairs`, flattening nested dicts. Shares the names with the row before,
    /// whose columns are in `recent`, and leaves those of this row there.
    ///
    /// # Errors
    /// Fails if flattening would take more than [`MAX_REPEATED_NAME_BYTES`].
    pub(crate) fn flatten(
        pairs: Vec<(Column, Value)>,
        recent: &mut Vec<Column>,
    ) -> Result<Self, RepeatedNames> {
        let mut flat = Flattener::new(pairs.len(), recent);
        pairs.into_iter().try_for_each(|(name, value)| flat.push(name, value))?;
        Ok(Self::merged(flat.finish()))
    }

    /// Sets a column. Flattens a non-empty dict into `name.key` columns.
    pub fn insert(&mut self, name: impl Into<Column>, value: impl Into<Value>) {
        match (name.into(), value.into()) {
            (name, value @ Value::Map(_)) => self.merge([(name, value)].into_iter().collect()),
            (name, value) => match self.0.iter_mut().find(|(n, _)| *n == name) {
                Some(slot) => slot.1 = value,
                None => self.0.push((name, value)),
            },
        }
    }

    /// Sets columns one after another.
    fn merged(columns: Vec<(Column, Value)>) -> Self {
        let mut fields = Self::default();
        fields.merge(Self(columns));
        fields
    }

    /// Appends a column without checks. The caller knows that it is new and a leaf.
    ///
    /// For decoders: they make their columns distinct when they are compiled.
    pub fn push_distinct(&mut self, name: Column, value: Value) {
        debug_assert!(self.get(&name).is_none(), "column {name} pushed twice");
        self.0.push((name, value));
    }

    /// Merges `later` into these fields. Its columns replace those of the same name; its new ones
    /// are appended.
    pub fn merge(&mut self, later: Fields) {
        if self.0.len().max(later.0.len()) <= LINEAR_COLUMNS {
            for (name, value) in later.0 {
                match self.0.iter_mut().find(|(n, _)| *n == name) {
                    Some(slot) => slot.1 = value,
                    None => self.0.push((name, value)),
                }
            }
            return;
        }
        let mut places: HashMap<Column, usize> =
            self.0.iter().enumerate().map(|(i, (n, _))| (n.clone(), i)).collect();
        for (name, value) in later.0 {
            if let Some(&i) = places.get(&name) {
                self.0[i].1 = value;
            } else {
                places.insert(name.clone(), self.0.len());
                self.0.push((name, value));
            }
        }
    }

    /// Returns the value of a column.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, v)| v)
    }

    /// Iterates over columns and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Column, &Value)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// Keeps only the columns that `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(n, _)| keep(n));
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no columns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let entry = |(name, value): &(Column, Value)| {
            size_of::<(Column, Value)>() + name.len() + value.heap_bytes()
        };
        self.0.iter().map(entry).sum()
    }
}

impl IntoIterator for Fields {
    type Item = (Column, Value);
    type IntoIter = std::vec::IntoIter<(Column, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: Into<Column>, V: Into<Value>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let mut none = Vec::new();
        let mut flat = Flattener::new(pairs.size_hint().0, &mut none);
        for (name, value) in pairs {
            flat.push_or_keep(name.into(), value.into());
        }
        Self::merged(flat.finish())
    }
}

/// Builds [`Fields`] from `"name": value` pairs; `{ … }` nests.
///
/// ```
/// use mldash_track::fields;
/// let ranges = vec![0.5_f32, f32::INFINITY];
/// let fields = fields! { "ranges": ranges, "header": { "seq": 7 } };
/// assert_eq!(fields.len(), 2);
/// ```
#[macro_export]
macro_rules! fields {
    ($($body:tt)*) => {{
        #[allow(unused_mut, reason = "an empty dict inserts nothing")]
        let mut fields = $crate::Fields::new();
        $crate::__fields_into!(fields, ""; $($body)*);
        fields
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fields_into {
    ($fields:ident, $prefix:expr;) => {};
    ($fields:ident, $prefix:expr; $name:literal : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::__fields_into!($fields, concat!($prefix, $name, "."); $($inner)*);
        $($crate::__fields_into!($fields, $prefix; $($rest)*);)?
    };
    ($fields:ident, $prefix:expr; $name:literal : $value:expr $(, $($rest:tt)*)?) => {
        {
            // One name for all rows made here: no allocation, and quick to compare.
            static NAME: ::std::sync::LazyLock<$crate::Column> =
                ::std::sync::LazyLock::new(|| concat!($prefix, $name).into());
            $fields.insert(NAME.clone(), $value);
        }
        $($crate::__fields_into!($fields, $prefix; $($rest)*);)?
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &Fields) -> Vec<&str> {
        fields.iter().map(|(n, _)| &**n).collect()
    }

    #[test]
    fn a_later_field_overwrites_in_place_and_new_ones_follow() {
        let mut row = fields! { "a": 1, "b": 2 };
        row.merge(fields! { "c": 3, "a": 9 });
        assert_eq!(names(&row), ["a", "b", "c"]);
        assert_eq!(row.get("a"), Some(&Value::Int(9)));
    }

    #[test]
    fn wide_rows_merge_like_narrow_ones() {
        let wide = |from: i64| -> Fields {
            (from..from + 100).map(|i| (format!("c{i}"), Value::Int(i + from))).collect()
        };
        let mut row = wide(0);
        row.merge(wide(50));
        assert_eq!(row.len(), 150);
        assert_eq!(row.get("c49"), Some(&Value::Int(49)));
        assert_eq!(row.get("c50"), Some(&Value::Int(100)));
    }

    #[test]
    fn nested_dicts_flatten_with_dots_and_an_empty_one_stays() {
        let row = fields! { "a": { "b": { "c": 1 }, "d": 2 }, "e": Value::Map(vec![]) };
        assert_eq!(names(&row), ["a.b.c", "a.d", "e"]);
    }

    #[test]
    fn a_dotted_name_and_a_nested_one_are_one_column() {
        let nested = Value::Map(vec![("b".into(), Value::Int(2))]);
        let row: Fields = [("a.b", Value::Int(1)), ("a", nested)].into_iter().collect();
        assert_eq!(names(&row), ["a.b"]);
        assert_eq!(row.get("a.b"), Some(&Value::Int(2)));
    }
}
