//! `meta/tasks.parquet`: a table of pandas, whose index is the task's text.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, LargeStringArray};
use arrow_schema::{DataType, Field, Schema};

use crate::error::ExportError;
use crate::parquet_file::{TableWriter, read_columns};

const TASK_INDEX: &str = "task_index";
/// What pandas calls an index without a name.
const TASK: &str = "__index_level_0__";
/// How pandas finds the index again.
const PANDAS: &str = concat!(
    r#"{"index_columns": ["__index_level_0__"], "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "str", "metadata": {"encoding": "UTF-8"}}], "columns": [{"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": null}, {"name": null, "field_name": "__index_level_0__", "pandas_type": "object", "numpy_type": "str", "metadata": null}], "attributes": {}, "creator": {"library": "mldash_bridge", "version": ""#,
    env!("CARGO_PKG_VERSION"),
    r#""}, "pandas_version": "3.1.1"}"#,
);

/// Writes the tasks, by number.
pub(super) fn write(path: &Path, tasks: &[String]) -> Result<(), ExportError> {
    let fields = vec![
        Field::new(TASK_INDEX, DataType::Int64, true),
        Field::new(TASK, DataType::LargeUtf8, true),
    ];
    let metadata = HashMap::from([("pandas".to_owned(), PANDAS.to_owned())]);
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    super::remove(path)?;
    let mut table = TableWriter::create(path.to_owned(), schema)?;
    let numbers = Int64Array::from_iter_values((0..).take(tasks.len()));
    table.write(vec![Arc::new(numbers), Arc::new(LargeStringArray::from_iter_values(tasks))])?;
    table.finish().map(|_| ())
}

/// Reads the tasks, by number. Those that are not written as above are left out: whoever reads compares their number.
pub(super) fn read(path: &Path) -> Result<Vec<String>, ExportError> {
    let mut tasks: Vec<(i64, String)> = Vec::new();
    for batch in read_columns(path, &[TASK_INDEX, TASK])? {
        let batch = batch?;
        let (Some(numbers), Some(texts)) =
            (batch.column_by_name(TASK_INDEX), batch.column_by_name(TASK))
        else {
            continue;
        };
        let Some(numbers) = numbers.as_primitive_opt::<Int64Type>() else { continue };
        let text = |i: usize| match texts.data_type() {
            DataType::LargeUtf8 => Some(texts.as_string::<i64>().value(i).to_owned()),
            DataType::Utf8 => Some(texts.as_string::<i32>().value(i).to_owned()),
            _ => None,
        };
        tasks.extend((0..batch.num_rows()).filter_map(|i| Some((numbers.value(i), text(i)?))));
    }
    tasks.sort();
    // A task's number is its place.
    tasks = (0..)
        .zip(tasks)
        .take_while(|(place, (number, _))| place == number)
        .map(|(_, task)| task)
        .collect();
    Ok(tasks.into_iter().map(|(_, task)| task).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.parquet");
        let tasks = ["turn".to_owned(), "drive".to_owned()];
        write(&path, &tasks).unwrap();
        assert_eq!(read(&path).unwrap(), tasks);
    }

    #[test]
    fn the_metadata_for_pandas_is_json() {
        let metadata: serde_json::Value = serde_json::from_str(PANDAS).unwrap();
        assert_eq!(metadata["index_columns"][0], TASK);
    }
}
