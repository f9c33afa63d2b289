//! Parquet files as plain values, read with the parquet crate's own reader.

use std::io::{Seek, Write};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, SchemaRef};
use mldash_bridge::track::{Row, Value};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A whole file.
pub struct ParquetTable {
    schema: SchemaRef,
    /// Columns of cells, in the schema's order.
    columns: Vec<Vec<Cell>>,
}

/// What stands in a column for one row.
#[derive(Clone, Debug)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Cell>),
    Dict(Vec<(String, Cell)>),
}

impl ParquetTable {
    pub fn read(file: &[u8]) -> Self {
        let mut on_disk = tempfile::tempfile().unwrap();
        on_disk.write_all(file).unwrap();
        on_disk.rewind().unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(on_disk).unwrap();
        let schema = builder.schema().clone();
        let mut columns = vec![Vec::new(); schema.fields().len()];
        for batch in builder.build().unwrap() {
            for (column, array) in columns.iter_mut().zip(batch.unwrap().columns()) {
                column.extend((0..array.len()).map(|at| cell(array, at)));
            }
        }
        Self { schema, columns }
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> &[Cell] {
        &self.columns[self.schema.index_of(name).unwrap()]
    }

    /// Column names with their types, in order.
    pub fn types(&self) -> Vec<(String, String)> {
        let fields = self.schema.fields().iter();
        fields.map(|f| (f.name().clone(), type_name(f.data_type()))).collect()
    }

    /// Whether these are the cells of `rows`: absent columns null, integers possibly widened, and
    /// in columns without a common type each value's JSON text.
    pub fn assert_holds(&self, rows: &[Row]) {
        let times: Vec<f64> = rows.iter().map(|row| row.ts.as_secs()).collect();
        let stored = self.column("timestamp").iter().map(|cell| match cell {
            Cell::Float(secs) => *secs,
            other => unreachable!("{other:?} is no time"),
        });
        assert_eq!(stored.collect::<Vec<_>>(), times);
        for field in &self.schema.fields()[1..] {
            let values: Vec<&Value> = rows
                .iter()
                .map(|row| row.fields.get(field.name()).unwrap_or(&Value::Null))
                .collect();
            let typed = have_a_common_type(&values);
            for (value, cell) in values.iter().zip(self.column(field.name())) {
                let fits = if typed { is_same(value, cell) } else { is_text_of(value, cell) };
                assert!(fits, "{}: {cell:?} for {value:?}, typed {typed}", field.name());
            }
        }
        let names = self.schema.fields()[1..].iter().map(|f| f.name().as_str());
        let all = rows.iter().flat_map(|row| row.fields.iter().map(|(name, _)| &**name));
        assert_eq!(
            names.collect::<std::collections::BTreeSet<_>>(),
            all.collect::<std::collections::BTreeSet<_>>()
        );
    }
}

fn cell(array: &ArrayRef, at: usize) -> Cell {
    if array.is_null(at) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Null => Cell::Null,
        DataType::Boolean => Cell::Bool(array.as_boolean().value(at)),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(at).into()),
        DataType::UInt64 => Cell::Int(array.as_primitive::<UInt64Type>().value(at).into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(at)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(at).to_owned()),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(at);
            Cell::List((0..items.len()).map(|at| cell(&items, at)).collect())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter();
            let entries = fields.iter().zip(columns);
            Cell::Dict(entries.map(|(f, column)| (f.name().clone(), cell(column, at))).collect())
        }
        other => unreachable!("no column is {other}"),
    }
}

fn type_name(ty: &DataType) -> String {
    match ty {
        DataType::List(items) => format!("[{}]", type_name(items.data_type())),
        DataType::Struct(fields) => {
            let entry =
                |f: &arrow_schema::FieldRef| format!("{}: {}", f.name(), type_name(f.data_type()));
            format!("{{{}}}", fields.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::List(items) => Some(items.clone()),
        Value::Array(array) => Some(mldash_bridge::with_array!(array, v => {
            v.iter().map(|x| Value::from(*x)).collect()
        })),
        _ => None,
    }
}

/// Said once more, in other words than the writer's.
fn have_a_common_type(values: &[&Value]) -> bool {
    let values: Vec<&Value> = values.iter().copied().filter(|v| **v != Value::Null).collect();
    let all = |is: fn(&Value) -> bool| values.iter().all(|v| is(v));
    if all(|v| matches!(v, Value::Bool(_))) || all(|v| matches!(v, Value::Text(_))) {
        return true;
    }
    if all(|v| matches!(v, Value::Int(_) | Value::UInt(_) | Value::F64(_))) {
        let any_float = values.iter().any(|v| matches!(v, Value::F64(_)));
        let ints: Vec<i128> = values.iter().filter_map(|v| integer(v)).collect();
        let within = |low: i128, high: i128| ints.iter().all(|i| (low..=high).contains(i));
        return if any_float {
            within(-(1 << 53), 1 << 53)
        } else {
            within(i64::MIN.into(), i64::MAX.into()) || within(0, u64::MAX.into())
        };
    }
    if all(|v| items(v).is_some()) {
        let items: Vec<Value> = values.iter().filter_map(|v| items(v)).flatten().collect();
        return have_a_common_type(&items.iter().collect::<Vec<_>>());
    }
    let dicts = values.iter().map(|v| match v {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    let Some(dicts) = dicts.collect::<Option<Vec<_>>>() else {
        return false;
    };
    let mut keys = dicts.iter().flat_map(|d| d.iter().map(|(key, _)| key)).peekable();
    keys.peek().is_some()
        && keys.all(|key| {
            let of_key = dicts.iter().flat_map(|d| d.iter().filter(|(k, _)| k == key));
            have_a_common_type(&of_key.map(|(_, v)| v).collect::<Vec<_>>())
        })
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(i) => Some((*i).into()),
        Value::UInt(u) => Some((*u).into()),
        _ => None,
    }
}

/// Whether a cell holds this value, an integer possibly widened.
pub fn is_same(value: &Value, cell: &Cell) -> bool {
    match (value, cell) {
        (Value::Null, Cell::Null) => true,
        (Value::Bool(a), Cell::Bool(b)) => a == b,
        (Value::Text(a), Cell::Text(b)) => a == b,
        (Value::F64(a), Cell::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (number, Cell::Int(b)) => integer(number) == Some(*b),
        (number, Cell::Float(b)) => integer(number).is_some_and(|a| a as f64 == *b),
        (Value::Map(dict), Cell::Dict(cells)) => cells.iter().all(|(key, cell)| {
            let value = dict.iter().find(|(k, _)| **k == **key).map_or(&Value::Null, |(_, v)| v);
            is_same(value, cell)
        }),
        (list, Cell::List(cells)) => items(list).is_some_and(|items| {
            items.len() == cells.len() && items.iter().zip(cells).all(|(v, c)| is_same(v, c))
        }),
        _ => false,
    }
}

fn is_text_of(value: &Value, cell: &Cell) -> bool {
    use mldash_bridge::track::json::{JsonWriter, NonFinite};
    let mut text = Vec::new();
    JsonWriter::new(&mut text, NonFinite::Tokens).value(value);
    match cell {
        Cell::Null => *value == Value::Null,
        Cell::Text(cell) => cell.as_bytes() == text,
        _ => false,
    }
}
