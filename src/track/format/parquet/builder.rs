//! One column on its way into Arrow: values in, an array out.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, NullArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, Field, Fields};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::track::format::kind::ColumnType;
use crate::track::json;
use crate::track::row::{Array, Column, Value};
use crate::with_array;

/// A value that the column's type can't hold.
#[derive(Debug)]
pub(super) struct Unfit;

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

/// Lists, their items one after another in one column.
pub(super) struct ListBuilder {
    field: Arc<Field>,
    items: Box<Builder>,
    /// Where each list ends in `items`; the first is where none has begun.
    offsets: Vec<i32>,
    present: NullBufferBuilder,
}

/// Dicts, a column for each key.
pub(super) struct DictBuilder {
    fields: Fields,
    keys: Vec<Column>,
    entries: Vec<Builder>,
    present: NullBufferBuilder,
}

impl Builder {
    /// An empty column of type `ty`.
    pub(super) fn new(ty: &ColumnType) -> Self {
        match ty {
            ColumnType::Null => Self::Null(0),
            ColumnType::Bool => Self::Bool(BooleanBuilder::new()),
            ColumnType::Int => Self::Int(Int64Builder::new()),
            ColumnType::UInt => Self::UInt(UInt64Builder::new()),
            ColumnType::Float => Self::Float(Float64Builder::new()),
            ColumnType::Text => Self::Text(StringBuilder::new()),
            ColumnType::Json => Self::Json(StringBuilder::new()),
            ColumnType::List(items) => Self::List(ListBuilder::new(items)),
            ColumnType::Dict(entries) => Self::Dict(DictBuilder::new(entries)),
        }
    }

    /// Adds a value of the column's type, or null.
    pub(super) fn push(&mut self, value: &Value) -> Result<(), Unfit> {
        match (self, value) {
            (column, Value::Null) => column.push_null(),
            (Self::Json(column), value) => column.append_value(json::to_text(value)),
            (Self::Bool(column), Value::Bool(b)) => column.append_value(*b),
            (Self::Int(column), Value::Int(i)) => column.append_value(*i),
            (Self::Int(column), Value::UInt(u)) => {
                column.append_value(i64::try_from(*u).map_err(|_| Unfit)?);
            }
            (Self::UInt(column), Value::Int(i)) => {
                column.append_value(u64::try_from(*i).map_err(|_| Unfit)?);
            }
            (Self::UInt(column), Value::UInt(u)) => column.append_value(*u),
            (Self::Float(column), Value::F64(f)) => column.append_value(*f),
            (Self::Float(column), Value::F32(f)) => column.append_value((*f).into()),
            (Self::Float(column), Value::Int(i)) => column.append_value(*i as f64),
            (Self::Float(column), Value::UInt(u)) => column.append_value(*u as f64),
            (Self::Text(column), Value::Text(text)) => column.append_value(text),
            (Self::Text(column), Value::Bytes(bytes)) => column.append_value(BASE64.encode(bytes)),
            (Self::List(column), Value::Array(array)) => column.push_array(array)?,
            (Self::List(column), Value::List(items)) => {
                column.push(|column| items.iter().try_for_each(|item| column.push(item)))?;
            }
            (Self::Dict(column), Value::Map(entries)) => column.push(entries)?,
            _ => return Err(Unfit),
        }
        Ok(())
    }

    /// Adds nothing, where a row lacks the column.
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

    /// Values so far, nulls included.
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

    /// The values so far as an array; the column is empty again.
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
            offsets: vec![0],
            present: NullBufferBuilder::new(0),
        }
    }

    fn push_array(&mut self, array: &Array) -> Result<(), Unfit> {
        self.push(|items| match (items, array) {
            (Builder::Float(column), Array::F64(floats)) => {
                column.append_slice(floats);
                Ok(())
            }
            (Builder::Int(column), Array::I64(ints)) => {
                column.append_slice(ints);
                Ok(())
            }
            (column, other) => {
                with_array!(other, v => v.iter().try_for_each(|x| column.push(&(*x).into())))
            }
        })
    }

    fn push(&mut self, fill: impl FnOnce(&mut Builder) -> Result<(), Unfit>) -> Result<(), Unfit> {
        fill(&mut self.items)?;
        self.present.append_non_null();
        self.end_list()
    }

    fn push_null(&mut self) {
        self.present.append_null();
        let end = self.offsets.last().copied().unwrap_or_default();
        self.offsets.push(end);
    }

    fn end_list(&mut self) -> Result<(), Unfit> {
        self.offsets.push(i32::try_from(self.items.len()).map_err(|_| Unfit)?);
        Ok(())
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

    fn push(&mut self, dict: &[(Column, Value)]) -> Result<(), Unfit> {
        if dict.iter().any(|(key, _)| !self.keys.contains(key)) {
            return Err(Unfit);
        }
        for (key, column) in self.keys.iter().zip(&mut self.entries) {
            // Of a key given twice the later value counts, as in Python's dicts.
            match dict.iter().rev().find(|(k, _)| k == key) {
                Some((_, value)) => column.push(value)?,
                None => column.push_null(),
            }
        }
        self.present.append_non_null();
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
