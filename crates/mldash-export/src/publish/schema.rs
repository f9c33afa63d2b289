//! The columns of a topic: one schema for all its experiments, which only grows.
//!
//! A column keeps its name and its type forever. A column that an experiment adds is null in older files. If an experiment has
//! values under a name that the column's type does not hold, they go into a column of their own whose name says its type:
//! `position__string`. So does a column whose name is taken otherwise: by the time, by a partition, or by one that differs
//! in case only, which SQL takes for the same.

use std::collections::{HashMap, HashSet};

use mldash_track::{Column, ColumnType, StoredColumn, SurveyedRows, TIMESTAMP_COLUMN};
use serde::{Deserialize, Serialize};

use super::layout::PARTITIONS;
use super::manifest::FORMAT;

/// Columns of a topic at most, counting each one within dicts. Each one that is written takes some tens of kilobytes of memory, also those that an experiment does not
/// have.
pub(super) const MAX_COLUMNS: usize = 2048;

/// The row's time as a timestamp.
pub(super) const STAMP: &str = "stamp";

/// The columns of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TopicSchema {
    /// The layout's version.
    pub(super) format: u32,
    /// The topic.
    pub(super) topic: String,
    /// The columns, after `timestamp` and `stamp`, in the order in which they came.
    pub(super) columns: Vec<TopicColumn>,
}

/// A column of a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TopicColumn {
    /// Its name in Parquet.
    pub(super) name: String,
    /// The column of the rows that it comes from.
    pub(super) own: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(super) ty: ColumnType,
    /// What it has of that column.
    #[serde(default, skip_serializing_if = "Holds::is_values")]
    pub(super) holds: Holds,
}

/// What a column has of a column of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Holds {
    /// Its values.
    #[default]
    Values,
    /// The URLs of the files that its values name.
    Url,
    /// The bytes of the files that its values name.
    Data,
}

impl Holds {
    fn is_values(&self) -> bool {
        *self == Self::Values
    }
}

/// How the rows of an experiment come into a topic's columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settled {
    /// The rows' columns, each with its column of the topic. What only ever is null has the type of nulls, and no column there.
    pub(super) stored: Vec<StoredColumn>,
    /// Columns that did not get their own name, in words.
    pub(super) renamed: Vec<String>,
}

impl TopicSchema {
    /// A topic without columns.
    pub(super) fn new(topic: &str) -> Self {
        Self { format: FORMAT, topic: topic.to_owned(), columns: Vec::new() }
    }

    /// Finds a column for each of the rows' columns, and adds those that are missing. `is_file` says which ones name files, and
    /// how those are held.
    pub(super) fn settle(
        &mut self,
        survey: &SurveyedRows,
        is_file: impl Fn(&str) -> bool,
        files_as: &[Holds],
    ) -> Settled {
        let mut settled = Settled::default();
        let mut index = Index::of(&self.columns);
        for column in survey.columns() {
            let own = column.name();
            let known = index
                .columns_of(own, &self.columns)
                .find(|known| known.holds == Holds::Values && column.fits(&known.ty));
            let (name, ty) = match known {
                Some(known) => (known.name.clone(), known.ty.clone()),
                None => match column.own_type() {
                    ColumnType::Null => (own.to_string(), ColumnType::Null),
                    ty => {
                        let name = self.add(&mut index, own, own, ty.clone(), Holds::Values);
                        if name != **own {
                            settled.renamed.push(format!(
                                "topic `{}`: `{own}` is {ty} here, which the column of that name can't hold; it is \
                                 published as `{name}`",
                                self.topic
                            ));
                        }
                        (name, ty)
                    }
                },
            };
            settled.stored.push(StoredColumn { own: own.clone(), name: name.into(), ty });
            if is_file(own) {
                for holds in files_as {
                    let is_known = |known: &TopicColumn| known.holds == *holds;
                    if !index.columns_of(own, &self.columns).any(is_known) {
                        let wanted = holds.name_for(own);
                        self.add(&mut index, own, &wanted, ColumnType::Text, *holds);
                    }
                }
            }
        }
        settled
    }

    /// Adds a column under this name, or one that says its type.
    fn add(
        &mut self,
        index: &mut Index,
        own: &Column,
        wanted: &str,
        ty: ColumnType,
        holds: Holds,
    ) -> String {
        let typed = || format!("{wanted}__{}", word(&ty));
        let numbered = (2..).map(|number| format!("{}_{number}", typed()));
        let mut names = [wanted.to_owned(), typed()].into_iter().chain(numbered);
        let name = names.find(|name| !index.is_taken(name)).unwrap_or_default();
        let column = TopicColumn { name: name.clone(), own: own.to_string(), ty, holds };
        index.add(self.columns.len(), &column);
        self.columns.push(column);
        name
    }

    /// How many columns Parquet has of these: each one within a dict is one.
    pub(super) fn width(&self) -> usize {
        self.columns.iter().map(|column| leaves(&column.ty)).sum()
    }
}

/// What is asked for each column of the rows: there may be many.
struct Index {
    /// Names in lower case.
    taken: HashSet<String>,
    /// The places of columns, by the column of the rows that they come from.
    by_own: HashMap<String, Vec<usize>>,
}

impl Index {
    fn of(columns: &[TopicColumn]) -> Self {
        let fixed = [TIMESTAMP_COLUMN, STAMP].into_iter().chain(PARTITIONS).map(str::to_owned);
        let mut index = Self { taken: fixed.collect(), by_own: HashMap::new() };
        for (place, column) in columns.iter().enumerate() {
            index.add(place, column);
        }
        index
    }

    fn add(&mut self, place: usize, column: &TopicColumn) {
        self.taken.insert(column.name.to_lowercase());
        self.by_own.entry(column.own.clone()).or_default().push(place);
    }

    fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(&name.to_lowercase())
    }

    fn columns_of<'c>(
        &self,
        own: &str,
        columns: &'c [TopicColumn],
    ) -> impl Iterator<Item = &'c TopicColumn> {
        let places = self.by_own.get(own).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| columns.get(*place))
    }
}

fn leaves(ty: &ColumnType) -> usize {
    match ty {
        ColumnType::List(items) => leaves(items),
        ColumnType::Dict(columns) => columns.iter().map(|(_, ty)| leaves(ty)).sum(),
        _ => 1,
    }
}

impl Holds {
    /// The name of such a column: `path` gets `path_url`.
    fn name_for(self, own: &str) -> String {
        match self {
            Self::Values => own.to_owned(),
            Self::Url => format!("{own}_url"),
            Self::Data => format!("{own}_data"),
        }
    }
}

/// A type as a part of a name.
fn word(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Null => "null".to_owned(),
        ColumnType::Bool => "bool".to_owned(),
        ColumnType::Int => "int64".to_owned(),
        ColumnType::UInt => "uint64".to_owned(),
        ColumnType::Float => "float64".to_owned(),
        ColumnType::Text => "string".to_owned(),
        ColumnType::Json => "json".to_owned(),
        ColumnType::List(items) => format!("list_{}", word(items)),
        ColumnType::Dict(_) => "struct".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mldash_track::{Experiment, Fields, Options, fields};

    use super::*;

    /// Settles rows of these fields.
    fn settle(schema: &mut TopicSchema, rows: &[Fields]) -> Vec<(String, String)> {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        for (i, row) in rows.iter().enumerate() {
            exp.tracks("t").append(row.clone(), i as f64).unwrap();
        }
        let survey = exp.tracks("t").slice(..).unwrap().survey().unwrap();
        let settled = schema.settle(&survey, |name| name == "path", &[Holds::Url]);
        settled
            .stored
            .iter()
            .map(|column| (column.own.to_string(), column.name.to_string()))
            .collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
    }

    #[test]
    fn a_type_that_changes_gets_a_column_of_its_own_and_finds_it_again() {
        let mut schema = TopicSchema::new("t");
        assert_eq!(settle(&mut schema, &[fields! { "x": 1.5 }]), pairs([("x", "x")]));
        // Integers fit a column of floats.
        assert_eq!(settle(&mut schema, &[fields! { "x": 2 }]), pairs([("x", "x")]));
        assert_eq!(settle(&mut schema, &[fields! { "x": "a" }]), pairs([("x", "x__string")]));
        let before = schema.clone();
        assert_eq!(settle(&mut schema, &[fields! { "x": "b" }]), pairs([("x", "x__string")]));
        assert_eq!(schema, before);
        assert_eq!(settle(&mut schema, &[fields! { "x": [1] }]), pairs([("x", "x__list_int64")]));
    }

    #[test]
    fn names_that_engines_take_for_others_are_not_given_twice() {
        let mut schema = TopicSchema::new("t");
        let rows = [
            fields! { "stamp": 1, "owner": "a", "Path": "x", "path": "y", "n": Option::<f64>::None },
        ];
        let settled = settle(&mut schema, &rows);
        let expected = [
            ("stamp", "stamp__int64"),
            ("owner", "owner__string"),
            ("Path", "Path"),
            ("path", "path__string"),
            ("n", "n"),
        ];
        assert_eq!(settled, pairs(expected));
        let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["stamp__int64", "owner__string", "Path", "path__string", "path_url"]);
    }

    #[test]
    fn a_schema_is_stored_as_people_read_types() {
        let mut schema = TopicSchema::new("arm");
        settle(&mut schema, &[fields! { "q": [0.5] }]);
        let text = serde_json::to_string(&schema).unwrap();
        assert_eq!(
            text,
            r#"{"format":1,"topic":"arm","columns":[{"name":"q","own":"q","type":{"list":"double"}}]}"#
        );
        assert_eq!(serde_json::from_str::<TopicSchema>(&text).unwrap(), schema);
    }
}
