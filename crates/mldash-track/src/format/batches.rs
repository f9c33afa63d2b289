//! Rows as Arrow batches with columns that the caller names and types, for whoever keeps one schema over many recordings:
//! what the rows hold is looked at first ([`Slice::survey`]), then each column is asked whether it fits a type that is there
//! already, and the rows come with the columns as they were settled ([`Slice::for_each_batch`]).

use std::sync::Arc;

use ::parquet::file::properties::WriterPropertiesBuilder;
use arrow_array::RecordBatch;
use arrow_schema::Field;

use super::kind::Kind;
use super::parquet::{self, RecordBatchBuilder};
use super::survey::Survey;
use super::{Place, RowForm, RowSource, RowStream, Table, typed};
use crate::error::TrackError;
use crate::row::{Column, ColumnType};
use crate::slice::Slice;

/// What a look through rows found of their columns.
#[derive(Debug, Default)]
pub struct SurveyedRows {
    form: RowForm,
    rows: u64,
    columns: Vec<SurveyedColumn>,
}

/// A column, and what it holds over all rows.
#[derive(Debug)]
pub struct SurveyedColumn {
    name: Column,
    kind: Kind,
    declared: Option<ColumnType>,
}

/// A column of the rows, and what it is called and stored as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredColumn {
    /// The column of the rows.
    pub own: Column,
    /// What it is called.
    pub name: Column,
    /// What it is stored as. Values that do not fit are an error.
    pub ty: ColumnType,
}

impl SurveyedRows {
    /// The columns: the declared ones first, whether a row has them or not, then the others in order of appearance.
    pub fn columns(&self) -> &[SurveyedColumn] {
        &self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl SurveyedColumn {
    /// Its name in the rows.
    pub fn name(&self) -> &Column {
        &self.name
    }

    /// The type that typed formats give it: the declared one if the values fit it, else one that holds them all.
    pub fn own_type(&self) -> ColumnType {
        let ty = match &self.declared {
            Some(declared) => typed::fitting_type(&self.kind, declared),
            None => Some(self.kind.column_type()),
        };
        typed::bounded(ty.unwrap_or(ColumnType::Json))
    }

    /// Returns true if a column of type `ty` holds all its values without loss.
    pub fn fits(&self, ty: &ColumnType) -> bool {
        match typed::fitting_type(&self.kind, ty) {
            Some(fitting) => fitting == *ty,
            // Everything has a JSON text.
            None => *ty == ColumnType::Json,
        }
    }
}

impl Slice {
    /// Looks through all rows for their columns.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn survey(&self) -> Result<SurveyedRows, TrackError> {
        Ok(self.survey_while(&|| true)?.unwrap_or_default())
    }

    /// Like [`survey`](Self::survey), for who may have to stop: `goes_on` is asked now and then, from several threads. `None` once it
    /// returns false.
    ///
    /// # Errors
    /// As [`survey`](Self::survey).
    pub fn survey_while(
        &self,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<SurveyedRows>, TrackError> {
        let Some(survey) = Survey::of_while(&self.selection, goes_on)? else { return Ok(None) };
        let column = |(name, ty): (Column, ColumnType)| SurveyedColumn {
            name,
            kind: Kind::default(),
            declared: Some(ty),
        };
        let mut columns: Vec<SurveyedColumn> =
            self.selection.declared().into_iter().map(column).collect();
        let declared = columns.len();
        for (name, kind) in survey.kinds() {
            match columns[..declared].iter_mut().find(|known| known.name == *name) {
                Some(known) => known.kind = kind.clone(),
                None => columns.push(SurveyedColumn {
                    name: name.clone(),
                    kind: kind.clone(),
                    declared: None,
                }),
            }
        }
        Ok(Some(SurveyedRows { form: survey.form(), rows: survey.rows(), columns }))
    }

    /// Passes the rows to `take` in batches that fit into memory, in order of time: `timestamp` first, then `columns`. `survey`
    /// is of these rows or of more of the same track.
    ///
    /// # Errors
    /// Fails if the store can't be read, a row has a column or a value that was not there when they were surveyed, there are too
    /// many columns, or `take` fails.
    pub fn for_each_batch<E: From<TrackError>>(
        &self,
        survey: &SurveyedRows,
        columns: &[StoredColumn],
        mut take: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let leaves = columns.iter().map(|column| column.ty.leaves()).sum();
        parquet::check_width(self.topic(), leaves, survey.rows)?;
        let mut table = Table { rows: survey.rows, ..Table::default() };
        let stored = columns
            .iter()
            .map(|StoredColumn { own, name, ty }| (own.clone(), (name.clone(), ty.clone())));
        table.push_section(survey.form, &self.selection, Some(Place::Time), stored);
        let schema = Arc::new(parquet::schema(&table.columns));
        let mut rows = self.selection.rows();
        let mut batch = RecordBatchBuilder::new(schema, &table);
        let mut is_begun = false;
        while let Some(read) = rows.next_into(&table, &mut batch) {
            read?;
            is_begun = !batch.is_full();
            if !is_begun {
                take(batch.take()?)?;
            }
        }
        if is_begun {
            take(batch.take()?)?;
        }
        Ok(())
    }
}

/// How columns of these types are best stored as Parquet: zstd, floats split by bytes.
pub fn parquet_properties(columns: &[(Column, ColumnType)]) -> WriterPropertiesBuilder {
    parquet::properties(columns).into_builder()
}

/// A column of this type as Arrow has it.
pub fn arrow_field(name: &str, ty: &ColumnType) -> Field {
    Field::new(name, parquet::data_type(ty), true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Experiment, Options, RowSchema, fields};

    #[test]
    fn rows_come_under_the_names_and_types_that_the_caller_settled() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path())).unwrap();
        let schema = RowSchema::new("/arm").column("q", ColumnType::list(ColumnType::Float));
        let arm = exp.tracks("arm").with_schema(schema);
        arm.append(fields! { "mode": 1, "q": [1] }, 1.0).unwrap();
        arm.append(fields! { "mode": 2 }, 2.0).unwrap();
        let slice = arm.slice(..).unwrap();
        assert!(slice.survey_while(&|| false).unwrap().is_none());
        let survey = slice.survey().unwrap();
        let found: Vec<(&str, String)> =
            survey.columns().iter().map(|c| (&**c.name(), c.own_type().to_string())).collect();
        assert_eq!(found, [("q", "list<double>".to_owned()), ("mode", "int64".to_owned())]);
        let mode = &survey.columns()[1];
        assert!(mode.fits(&ColumnType::Float) && mode.fits(&ColumnType::Json));
        assert!(!mode.fits(&ColumnType::Text));

        let stored =
            |own: &str, name: &str, ty| StoredColumn { own: own.into(), name: name.into(), ty };
        let columns = [
            stored("mode", "mode__float64", ColumnType::Float),
            stored("q", "q", ColumnType::list(ColumnType::Float)),
        ];
        let mut batches = Vec::new();
        slice
            .for_each_batch(&survey, &columns, |batch| {
                batches.push(batch);
                Ok::<_, TrackError>(())
            })
            .unwrap();
        let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!((names, batch.num_rows()), (vec!["timestamp", "mode__float64", "q"], 2));

        let misfit = [stored("mode", "mode", ColumnType::Text), columns[1].clone()];
        let failed = slice.for_each_batch(&survey, &misfit, |_| Ok::<_, TrackError>(()));
        assert!(failed.is_err());
    }
}
