//! Turns nested dicts into columns with dotted names. A dict's name is repeated in the name of each
//! value below it, so a small text could ask for a lot of memory: that is measured first.

use super::{Column, Value};

/// The most bytes of names that flattening may repeat in one row: for each value in a dict, the
/// names of the dicts that it is in. A row that needs more is refused.
pub const MAX_REPEATED_NAME_BYTES: usize = 1 << 20;

/// Flattening a row's dicts would repeat too many bytes of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "flattening its nested dicts would repeat more than {MAX_REPEATED_NAME_BYTES} bytes of their \
     names; shorten the keys, or send the dict as a list or as text"
)]
pub struct RepeatedNames;

/// Columns being made.
pub(super) struct Flattener<'a> {
    columns: Vec<(Column, Value)>,
    /// The columns of the row before, in order. Names are shared with it where they are the same.
    recent: &'a mut Vec<Column>,
    /// The name so far.
    name: String,
    repeated_bytes: usize,
}

impl<'a> Flattener<'a> {
    pub(super) fn new(columns: usize, recent: &'a mut Vec<Column>) -> Self {
        let columns = Vec::with_capacity(columns);
        Self { columns, recent, name: String::new(), repeated_bytes: 0 }
    }

    /// Adds the column `name`, or the columns of the dict of that name.
    pub(super) fn push(&mut self, name: Column, value: Value) -> Result<(), RepeatedNames> {
        self.try_push(name, value).map_err(|_| RepeatedNames)
    }

    /// Like [`push`](Self::push), but keeps a dict as it is that takes too much.
    pub(super) fn push_or_keep(&mut self, name: Column, value: Value) {
        if let Err((name, value)) = self.try_push(name, value) {
            self.columns.push((name, value));
        }
    }

    fn try_push(&mut self, name: Column, value: Value) -> Result<(), (Column, Value)> {
        match value {
            Value::Map(entries) if !entries.is_empty() => {
                let left = MAX_REPEATED_NAME_BYTES - self.repeated_bytes;
                let Some(repeated) = repeated_bytes(name.len(), &entries, left) else {
                    return Err((name, Value::Map(entries)));
                };
                self.repeated_bytes += repeated;
                self.name.clear();
                self.name.push_str(&name);
                self.push_dict(entries);
            }
            value => {
                if let Some(known) = self.recent.get_mut(self.columns.len()) {
                    known.clone_from(&name);
                } else {
                    self.recent.push(name.clone());
                }
                self.columns.push((name, value));
            }
        }
        Ok(())
    }

    fn push_dict(&mut self, entries: Vec<(Column, Value)>) {
        let start = self.name.len();
        for (key, value) in entries {
            self.name.push('.');
            self.name.push_str(&key);
            match value {
                Value::Map(entries) if !entries.is_empty() => self.push_dict(entries),
                value => {
                    let name = self.shared_name();
                    self.columns.push((name, value));
                }
            }
            self.name.truncate(start);
        }
    }

    /// The name so far as a column, shared with the row before if that has it in the same place.
    fn shared_name(&mut self) -> Column {
        match self.recent.get_mut(self.columns.len()) {
            Some(known) if **known == *self.name => known.clone(),
            Some(known) => {
                *known = self.name.as_str().into();
                known.clone()
            }
            None => {
                let name: Column = self.name.as_str().into();
                self.recent.push(name.clone());
                name
            }
        }
    }

    pub(super) fn finish(self) -> Vec<(Column, Value)> {
        self.recent.truncate(self.columns.len());
        self.columns
    }
}

/// The bytes that flattening `entries` repeats, for a dict under a name of `prefix` bytes; `None` if
/// they are more than `left`.
fn repeated_bytes(prefix: usize, entries: &[(Column, Value)], left: usize) -> Option<usize> {
    let mut repeated: usize = 0;
    for (key, value) in entries {
        let below = match value {
            Value::Map(entries) if !entries.is_empty() => {
                repeated_bytes(prefix + 1 + key.len(), entries, left - repeated)?
            }
            _ => prefix + 1,
        };
        repeated += below;
        if repeated > left {
            return None;
        }
    }
    Some(repeated)
}

#[cfg(test)]
mod tests {
    use super::super::Fields;
    use super::*;

    fn dict(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    fn leaves(count: usize) -> Value {
        dict((0..count).map(|i| (format!("{i:04}"), Value::Int(i as i64))))
    }

    fn kept_dict(fields: &Fields) -> Option<&Column> {
        fields.iter().find_map(|(name, value)| value.is_filled_dict().then_some(name))
    }

    /// The bytes of all columns' names.
    fn name_bytes(fields: &Fields) -> usize {
        fields.iter().map(|(name, _)| name.len()).sum()
    }

    #[test]
    fn the_names_of_a_dict_are_repeated_up_to_the_limit_and_no_further() {
        let key = "k".repeat(1023);
        let flatten =
            |count| Fields::flatten(vec![(key.as_str().into(), leaves(count))], &mut vec![]);
        let at_the_limit = flatten(1024).unwrap();
        assert_eq!(at_the_limit.len(), 1024);
        assert_eq!(name_bytes(&at_the_limit), MAX_REPEATED_NAME_BYTES + 4 * 1024);
        assert_eq!(flatten(1025), Err(RepeatedNames));
    }

    #[test]
    fn bombs_of_every_shape_are_refused_before_they_are_built() {
        let long_key = dict([("k".repeat(1 << 20), leaves(1000))]);
        let deep = (0..60).fold(leaves(1000), |below, _| dict([("k".repeat(100), below)]));
        let wide = dict((0..2000).map(|i| (format!("{i}{}", "k".repeat(100)), leaves(10))));
        for bomb in [long_key, deep, wide] {
            let name: Column = "a".into();
            assert_eq!(
                Fields::flatten(vec![(name.clone(), bomb.clone())], &mut vec![]),
                Err(RepeatedNames)
            );
            // A caller who can't be told keeps a dict, which a track refuses.
            let kept: Fields = [(name.clone(), bomb.clone())].into_iter().collect();
            assert_eq!((kept.len(), kept_dict(&kept)), (1, Some(&name)));
            let mut kept = Fields::new();
            kept.insert(name.clone(), bomb);
            assert_eq!((kept.len(), kept_dict(&kept)), (1, Some(&name)));
        }
    }

    #[test]
    fn many_dicts_count_together() {
        let key = |i: usize| Column::from(format!("{i}{}", "k".repeat(1000)));
        let pairs = |count| (0..count).map(|i| (key(i), leaves(100))).collect::<Vec<_>>();
        assert!(Fields::flatten(pairs(10), &mut vec![]).is_ok());
        assert_eq!(Fields::flatten(pairs(11), &mut vec![]), Err(RepeatedNames));
    }

    #[test]
    fn flat_names_are_as_long_as_they_like() {
        let pair = ("k".repeat(MAX_REPEATED_NAME_BYTES + 1).into(), Value::Null);
        assert_eq!(Fields::flatten(vec![pair], &mut vec![]).unwrap().len(), 1);
    }

    #[test]
    fn rows_alike_share_their_names() {
        let mut recent = Vec::new();
        let mut row = || {
            let pairs =
                vec![("a".into(), dict([("b".to_owned(), leaves(3))])), ("c".into(), Value::Null)];
            Fields::flatten(pairs, &mut recent).unwrap()
        };
        let (first, second) = (row(), row());
        for ((a, _), (b, _)) in first.iter().zip(second.iter()).take(3) {
            assert!(std::ptr::eq(&**a, &**b), "{a}");
        }
        assert_eq!(first, second);
    }
}
