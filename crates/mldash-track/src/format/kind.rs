//! The kind of values that a column holds over all its rows: the type that fits all of them without
//! loss, or none.

use jiter::{Jiter, JiterError, Peek};

use crate::json::{ScanError, Scanner};
use crate::row::{Column, ColumnType};

#[cfg(test)]
mod tests;

/// Integers up to this size are exact as floats.
const EXACT_IN_F64: u64 = 1 << f64::MANTISSA_DIGITS;

/// A dict with more keys than this, those of dicts in it included, is a table of its own, not a type.
pub(super) const MAX_DICT_KEYS: usize = 256;

/// What is known of a column's values so far. Null fits every kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Kind {
    /// Nulls only.
    #[default]
    Nothing,
    Bool,
    Number(Numbers),
    Text,
    List(Box<Kind>),
    Dict(Vec<(Column, Kind)>),
    /// Values that have no type in common.
    Mixed,
}

/// The numbers that a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    floats: bool,
    ints: bool,
    /// The lowest integer below zero.
    lowest: i64,
    /// The highest integer above zero.
    highest: u64,
}

impl Kind {
    /// Notes the next value.
    pub(super) fn note(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ScanError> {
        let start = scanner.at();
        match scanner.peek() {
            Some(b'"') => {
                self.note_plain(Self::Text);
                scanner.text().map(drop)
            }
            Some(b'-' | b'0'..=b'9') => {
                let text = scanner.number()?;
                if let Some(numbers) = self.as_numbers() {
                    numbers.note(text);
                }
                Ok(())
            }
            Some(b'[') if self.note_numbers(scanner)? => Ok(()),
            _ => {
                // Values noted before are noted again, which changes nothing.
                scanner.seek(start);
                scanner.by_jiter(|jiter| {
                    let peek = jiter.peek()?;
                    self.note_within(ColumnType::MAX_DEPTH, jiter, peek)
                })
            }
        }
    }

    /// Notes a list of numbers, if the column has only had such lists and another one comes next.
    fn note_numbers(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, ScanError> {
        let Self::List(items) = self else { return Ok(false) };
        let Self::Number(numbers) = &mut **items else { return Ok(false) };
        scanner.expect(b'[')?;
        let mut is_first = true;
        while scanner.next_item(is_first, b']')? {
            if !matches!(scanner.peek(), Some(b'-' | b'0'..=b'9' | b'N' | b'I')) {
                return Ok(false);
            }
            numbers.note(scanner.number()?);
            is_first = false;
        }
        Ok(true)
    }

    fn note_within(
        &mut self,
        depth: usize,
        jiter: &mut Jiter<'_>,
        peek: Peek,
    ) -> Result<(), JiterError> {
        if depth == 0 && matches!(peek, Peek::Array | Peek::Object) {
            *self = Self::Mixed;
        }
        match peek {
            Peek::Null => jiter.known_null(),
            Peek::True | Peek::False => {
                self.note_plain(Self::Bool);
                jiter.known_bool(peek).map(|_| ())
            }
            Peek::String => {
                self.note_plain(Self::Text);
                jiter.known_skip(peek)
            }
            Peek::Array => match self.as_list() {
                Some(items) => {
                    let mut next = jiter.known_array()?;
                    while let Some(peek) = next {
                        items.note_within(depth - 1, jiter, peek)?;
                        next = jiter.array_step()?;
                    }
                    Ok(())
                }
                None => jiter.known_skip(peek),
            },
            Peek::Object => match self.as_dict() {
                Some(entries) => {
                    let known = note_dict(entries, depth - 1, jiter)?;
                    if known == Keys::Unfit {
                        *self = Self::Mixed;
                    }
                    Ok(())
                }
                None => jiter.known_skip(peek),
            },
            number => {
                let text = jiter.known_number_bytes(number)?;
                if let Some(numbers) = self.as_numbers() {
                    numbers.note(text);
                }
                Ok(())
            }
        }
    }

    /// Adds what is known of further values.
    pub(super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (_, Self::Nothing) => {}
            (known @ Self::Nothing, other) => *known = other,
            (Self::Number(known), Self::Number(other)) => known.merge(other),
            (Self::List(known), Self::List(other)) => known.merge(*other),
            (known @ Self::Dict(_), Self::Dict(other)) => known.merge_dict(other),
            (known, other) => known.note_plain(other),
        }
    }

    fn merge_dict(&mut self, other: Vec<(Column, Self)>) {
        let Some(known) = self.as_dict() else {
            return;
        };
        for (key, kind) in other {
            match known.iter_mut().find(|(k, _)| *k == key) {
                Some((_, known)) => known.merge(kind),
                None => known.push((key, kind)),
            }
        }
        if known.len() > MAX_DICT_KEYS {
            *self = Self::Mixed;
        }
    }

    /// The type that holds every noted value.
    pub(super) fn column_type(&self) -> ColumnType {
        self.common_type().unwrap_or(ColumnType::Json)
    }

    /// Like [`column_type`](Self::column_type); `None` if only JSON text holds all values.
    pub(super) fn common_type(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Nothing => ColumnType::Null,
            Self::Bool => ColumnType::Bool,
            Self::Number(numbers) => numbers.common_type()?,
            Self::Text => ColumnType::Text,
            Self::List(items) => ColumnType::List(Box::new(items.common_type()?)),
            // Parquet has no dict without keys.
            Self::Dict(entries) if entries.is_empty() => return None,
            Self::Dict(entries) => {
                let typed = |(key, kind): &(Column, Kind)| Some((key.clone(), kind.common_type()?));
                ColumnType::Dict(entries.iter().map(typed).collect::<Option<_>>()?)
            }
            Self::Mixed => return None,
        })
    }

    fn note_plain(&mut self, kind: Self) {
        match self {
            Self::Nothing => *self = kind,
            known if *known == kind => {}
            known => *known = Self::Mixed,
        }
    }

    /// The numbers, if this holds numbers.
    fn as_numbers(&mut self) -> Option<&mut Numbers> {
        match self {
            Self::Nothing => *self = Self::Number(Numbers::default()),
            Self::Number(_) => {}
            _ => *self = Self::Mixed,
        }
        if let Self::Number(numbers) = self { Some(numbers) } else { None }
    }

    /// The kind of a list's items, if this holds lists.
    fn as_list(&mut self) -> Option<&mut Self> {
        match self {
            Self::Nothing => *self = Self::List(Box::default()),
            Self::List(_) => {}
            _ => *self = Self::Mixed,
        }
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// The kinds of a dict's entries, if this holds dicts.
    fn as_dict(&mut self) -> Option<&mut Vec<(Column, Self)>> {
        match self {
            Self::Nothing => *self = Self::Dict(Vec::new()),
            Self::Dict(_) => {}
            _ => *self = Self::Mixed,
        }
        if let Self::Dict(entries) = self { Some(entries) } else { None }
    }
}

/// Whether a dict's keys can be the fields of a type.
#[derive(PartialEq)]
enum Keys {
    Fit,
    /// There are too many keys, or one occurs twice.
    Unfit,
}

fn note_dict(
    known: &mut Vec<(Column, Kind)>,
    depth: usize,
    jiter: &mut Jiter<'_>,
) -> Result<Keys, JiterError> {
    let mut seen = vec![false; known.len()];
    let mut fit = Keys::Fit;
    let mut next = jiter.known_object()?;
    // Dicts of a column look alike: a key's place is probably the one after the key before.
    let mut hint = 0;
    while let Some(key) = next {
        let place = match place_of(known, key, hint) {
            Some(place) => place,
            None if known.len() < MAX_DICT_KEYS => {
                known.push((key.into(), Kind::Nothing));
                seen.push(false);
                known.len() - 1
            }
            None => {
                fit = Keys::Unfit;
                jiter.next_skip()?;
                next = jiter.next_key()?;
                continue;
            }
        };
        hint = place + 1;
        if std::mem::replace(&mut seen[place], true) {
            fit = Keys::Unfit;
        }
        let peek = jiter.peek()?;
        known[place].1.note_within(depth, jiter, peek)?;
        next = jiter.next_key()?;
    }
    Ok(fit)
}

/// The place of the entry called `key`, which is probably `hint`.
fn place_of(known: &[(Column, Kind)], key: &str, hint: usize) -> Option<usize> {
    if known.get(hint).is_some_and(|(known, _)| **known == *key) {
        return Some(hint);
    }
    known.iter().position(|(known, _)| **known == *key)
}

impl Numbers {
    /// Notes a JSON number, or Python's token for a non-finite one.
    fn note(&mut self, text: &[u8]) {
        if !text.iter().all(|b| matches!(b, b'0'..=b'9' | b'-')) {
            self.floats = true;
            return;
        }
        let text = str::from_utf8(text).unwrap_or_default();
        if let Ok(value) = text.parse::<i64>() {
            self.ints = true;
            self.lowest = self.lowest.min(value);
            self.highest = self.highest.max(value.max(0).unsigned_abs());
        } else if let Ok(value) = text.parse::<u64>() {
            self.ints = true;
            self.highest = self.highest.max(value);
        } else {
            // A number that no integer type holds is read as the nearest float.
            self.floats = true;
        }
    }

    fn merge(&mut self, other: Self) {
        self.floats |= other.floats;
        self.ints |= other.ints;
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    fn common_type(self) -> Option<ColumnType> {
        let types = [ColumnType::Int, ColumnType::UInt, ColumnType::Float];
        let mut fitting = types.into_iter().filter(|ty| self.fit(ty));
        // Integers do not become floats just because they are small enough.
        fitting.find(|ty| self.floats || *ty != ColumnType::Float)
    }

    /// Returns true if a column of type `ty` holds all of them without loss.
    pub(super) fn fit(self, ty: &ColumnType) -> bool {
        match ty {
            ColumnType::Int => !self.floats && i64::try_from(self.highest).is_ok(),
            ColumnType::UInt => !self.floats && self.lowest == 0,
            ColumnType::Float => {
                !self.ints || self.lowest.unsigned_abs().max(self.highest) <= EXACT_IN_F64
            }
            _ => false,
        }
    }
}
