//! Builds one Arrow column: values in, an array out.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, NullArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, Field, Fields};

use crate::format::float;
use crate::json::{self, MAX_DEPTH, ScanError, Scanner};
use crate::row::{Column, ColumnType};

/// A text that is not JSON or does not fit the columns' types.
#[derive(Debug)]
pub(super) struct Unfit;

impl From<ScanError> for Unfit {
    fn from(_: ScanError) -> Self {
        Self
    }
}

/// The cells that dicts in lists have taken: one for each key of their type, whether a dict has it or
/// not. A few bytes of text can take very many.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) taken: usize,
    pub(super) max: usize,
}

/// A column being filled.
pub(super) enum Builder {
    Null(usize),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    UInt(UInt64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Json(StringBuilder),
    List(ListBuilder),
    Dict(DictBuilder),
}

/// Lists, with the items of all lists in one column.
pub(super) struct ListBuilder {
    field: Arc<Field>,
    items: Box<Builder>,
    /// The cells that an item takes, if it is a dict.
    item_cells: usize,
    /// Where each list ends in `items`. The first entry is the start of the first list.
    offsets: Vec<i32>,
    present: NullBufferBuilder,
}

/// Dicts, with one column for each key.
pub(super) struct DictBuilder {
    fields: Fields,
    keys: Vec<Column>,
    entries: Vec<Builder>,
    present: NullBufferBuilder,
}

impl Builder {
    /// Creates an empty column of type `ty`, without room: there may be thousands.
    pub(super) fn new(ty: &ColumnType) -> Self {
        match ty {
            ColumnType::Null => Self::Null(0),
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            ColumnType::Int => Self::Int(Int64Builder::with_capacity(0)),
            ColumnType::UInt => Self::UInt(UInt64Builder::with_capacity(0)),
            ColumnType::Float => Self::Float(Float64Builder::with_capacity(0)),
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            ColumnType::Json => Self::Json(StringBuilder::with_capacity(0, 0)),
            ColumnType::List(items) => Self::List(ListBuilder::new(items)),
            ColumnType::Dict(entries) => Self::Dict(DictBuilder::new(entries)),
        }
    }

    /// Adds the next value: one of the column's type, or null.
    pub(super) fn push(
        &mut self,
        scanner: &mut Scanner<'_>,
        cells: &mut Cells,
    ) -> Result<(), Unfit> {
        if scanner.peek() == Some(b'n') {
            scanner.expect_word(b"null")?;
            self.push_null();
            return Ok(());
        }
        match self {
            Self::Null(_) => return Err(Unfit),
            Self::Bool(column) => {
                let is_true = scanner.peek() == Some(b't');
                scanner.expect_word(if is_true { b"true" } else { b"false" })?;
                column.append_value(is_true);
            }
            Self::Int(column) => column.append_value(integer(scanner.number()?)?),
            Self::UInt(column) => column.append_value(unsigned(scanner.number()?)?),
            Self::Float(column) => column.append_value(float(scanner.number()?).ok_or(Unfit)?),
            Self::Text(column) => column.append_value(scanner.text()?),
            Self::Json(column) => {
                let value = scanner.by_jiter(|jiter| {
                    let peek = jiter.peek()?;
                    json::known_value(jiter, peek, MAX_DEPTH)
                })?;
                column.append_value(json::to_text(&value));
            }
            Self::List(column) => column.push(scanner, cells)?,
            Self::Dict(column) => column.push(scanner, cells)?,
        }
        Ok(())
    }

    /// Adds null, for a row that lacks the column.
    pub(super) fn push_null(&mut self) {
        match self {
            Self::Null(rows) => *rows += 1,
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::UInt(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Text(column) | Self::Json(column) => column.append_null(),
            Self::List(column) => column.push_null(),
            Self::Dict(column) => column.push_null(),
        }
    }

    /// Number of values so far, nulls included.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Null(rows) => *rows,
            Self::Bool(column) => column.len(),
            Self::Int(column) => column.len(),
            Self::UInt(column) => column.len(),
            Self::Float(column) => column.len(),
            Self::Text(column) | Self::Json(column) => column.len(),
            Self::List(column) => column.present.len(),
            Self::Dict(column) => column.present.len(),
        }
    }

    /// Returns the values so far as an array and empties the column.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Null(rows) => Arc::new(NullArray::new(std::mem::take(rows))),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::UInt(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Text(column) | Self::Json(column) => Arc::new(column.finish()),
            Self::List(column) => Arc::new(column.finish()?),
            Self::Dict(column) => Arc::new(column.finish()?),
        })
    }
}

impl ListBuilder {
    fn new(items: &ColumnType) -> Self {
        Self {
            field: Arc::new(super::element(items)),
            items: Box::new(Builder::new(items)),
            item_cells: if matches!(items, ColumnType::Dict(_)) { cells_of(items) } else { 0 },
            offsets: vec![0],
            present: NullBufferBuilder::new(0),
        }
    }

    fn push(&mut self, scanner: &mut Scanner<'_>, cells: &mut Cells) -> Result<(), Unfit> {
        scanner.expect(b'[')?;
        let mut is_first = true;
        while scanner.next_item(is_first, b']')? {
            match &mut *self.items {
                // Most lists are of floats, and most of these have no null.
                Builder::Float(items) if scanner.peek() != Some(b'n') => {
                    items.append_value(float(scanner.number()?).ok_or(Unfit)?);
                }
                items => {
                    cells.taken += self.item_cells;
                    if cells.taken > cells.max {
                        return Err(Unfit);
                    }
                    items.push(scanner, cells)?;
                }
            }
            is_first = false;
        }
        self.offsets.push(i32::try_from(self.items.len()).map_err(|_| Unfit)?);
        self.present.append_non_null();
        Ok(())
    }

    fn push_null(&mut self) {
        self.present.append_null();
        let end = self.offsets.last().copied().unwrap_or_default();
        self.offsets.push(end);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let items = self.items.finish()?;
        ListArray::try_new(self.field.clone(), offsets, items, self.present.finish())
    }
}

impl DictBuilder {
    fn new(entries: &[(Column, ColumnType)]) -> Self {
        Self {
            fields: super::entries(entries),
            keys: entries.iter().map(|(key, _)| key.clone()).collect(),
            entries: entries.iter().map(|(_, ty)| Builder::new(ty)).collect(),
            present: NullBufferBuilder::new(0),
        }
    }

    fn push(&mut self, scanner: &mut Scanner<'_>, cells: &mut Cells) -> Result<(), Unfit> {
        scanner.expect(b'{')?;
        let dicts = self.present.len();
        let mut is_first = true;
        let mut hint = 0;
        while let Some(key) = scanner.key(is_first)? {
            let place = match self.keys.get(hint) {
                Some(known) if **known == *key => hint,
                _ => self.keys.iter().position(|known| **known == *key).ok_or(Unfit)?,
            };
            hint = place + 1;
            let column = self.entries.get_mut(place).filter(|column| column.len() == dicts);
            column.ok_or(Unfit)?.push(scanner, cells)?;
            is_first = false;
        }
        self.present.append_non_null();
        for column in self.entries.iter_mut().filter(|column| column.len() == dicts) {
            column.push_null();
        }
        Ok(())
    }

    fn push_null(&mut self) {
        self.entries.iter_mut().for_each(Builder::push_null);
        self.present.append_null();
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let columns = self.entries.iter_mut().map(Builder::finish).collect::<Result<_, _>>()?;
        StructArray::try_new(self.fields.clone(), columns, self.present.finish())
    }
}

/// The cells of a value, without those of the items of its lists.
fn cells_of(ty: &ColumnType) -> usize {
    match ty {
        ColumnType::Dict(entries) => entries.iter().map(|(_, ty)| cells_of(ty)).sum(),
        _ => 1,
    }
}

fn integer(text: &[u8]) -> Result<i64, Unfit> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Unfit)
}

fn unsigned(text: &[u8]) -> Result<u64, Unfit> {
    let text = text.strip_prefix(b"-").filter(|zero| *zero == b"0").unwrap_or(text);
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Unfit)
}
