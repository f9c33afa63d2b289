//! The columns of a track, of which there are only so many: they are in memory as long as the track
//! is open, in its description and in its index.

use std::collections::HashSet;
use std::sync::Arc;

use crate::row::{Column, Fields};

/// The most columns that a track can have.
pub const MAX_COLUMNS: usize = 65_536;
/// The most bytes that their names can have together.
pub const MAX_COLUMN_NAME_BYTES: usize = 16 << 20;

/// What a column of an open track takes beside its name: its places in the sets and lists of the buffer, the index, the copy
/// of the index that is safe, and the description.
const COLUMN_BYTES: usize = 256;

/// A row would give its track too many columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the track would have more than {MAX_COLUMNS} columns, or more than {MAX_COLUMN_NAME_BYTES} bytes \
     of their names; put what has other names in every row into a list, or into another track"
)]
pub struct TooManyColumns;

/// The columns so far.
#[derive(Debug, Default)]
pub(super) struct KnownColumns {
    names: HashSet<Column>,
    name_bytes: usize,
    /// Those of the last row, by identity: the next one usually has the same.
    last: Vec<Column>,
}

impl KnownColumns {
    /// Notes columns that are already stored, however many they are.
    pub(super) fn note_stored<'a>(&mut self, stored: impl Iterator<Item = &'a Column>) {
        for name in stored {
            if self.names.insert(name.clone()) {
                self.name_bytes += name.len();
            }
        }
    }

    /// The memory that an open track keeps for its columns, about. Its description may have names of its own.
    pub(super) fn kept_bytes(&self) -> usize {
        self.names.len() * COLUMN_BYTES + self.name_bytes * 2
    }

    /// Notes the columns of a row, unless they are too many.
    pub(super) fn admit(&mut self, fields: &Fields) -> Result<(), TooManyColumns> {
        let is_same = self.last.len() == fields.len()
            && self.last.iter().zip(fields.iter()).all(|(a, (b, _))| Arc::ptr_eq(a, b));
        if is_same {
            return Ok(());
        }
        let is_new = |name: &&Column| !self.names.contains(*name);
        let new: Vec<Column> =
            fields.iter().map(|(name, _)| name).filter(is_new).cloned().collect();
        if !new.is_empty() {
            let name_bytes = self.name_bytes + new.iter().map(|name| name.len()).sum::<usize>();
            if self.names.len() + new.len() > MAX_COLUMNS || name_bytes > MAX_COLUMN_NAME_BYTES {
                return Err(TooManyColumns);
            }
            self.names.extend(new);
            self.name_bytes = name_bytes;
        }
        self.last.clear();
        self.last.extend(fields.iter().map(|(name, _)| name.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Value;

    fn row(names: impl Iterator<Item = String>) -> Fields {
        names.map(|name| (name, Value::Null)).collect()
    }

    #[test]
    fn a_track_has_columns_up_to_the_limit_and_rows_of_those_for_ever() {
        let mut known = KnownColumns::default();
        let names = |range: std::ops::Range<usize>| row(range.map(|i| i.to_string()));
        known.admit(&names(0..MAX_COLUMNS - 1)).unwrap();
        assert_eq!(known.admit(&names(MAX_COLUMNS - 1..MAX_COLUMNS + 1)), Err(TooManyColumns));
        known.admit(&names(MAX_COLUMNS - 1..MAX_COLUMNS)).unwrap();
        assert_eq!(known.admit(&names(MAX_COLUMNS..MAX_COLUMNS + 1)), Err(TooManyColumns));
        known.admit(&names(7..9)).unwrap();
    }

    #[test]
    fn long_names_count_by_their_length() {
        let mut known = KnownColumns::default();
        let long = |i: usize| row([format!("{i}{}", "k".repeat(1 << 20))].into_iter());
        (0..15).for_each(|i| known.admit(&long(i)).unwrap());
        assert_eq!(known.admit(&long(15)), Err(TooManyColumns));
        known.admit(&long(3)).unwrap();
    }

    #[test]
    fn what_was_stored_before_there_was_a_limit_can_go_on() {
        let stored: Vec<Column> = (0..=MAX_COLUMNS).map(|i| i.to_string().into()).collect();
        let mut known = KnownColumns::default();
        known.note_stored(stored.iter());
        known.admit(&row(["7".to_owned()].into_iter())).unwrap();
        assert_eq!(known.admit(&row(["new".to_owned()].into_iter())), Err(TooManyColumns));
    }
}
