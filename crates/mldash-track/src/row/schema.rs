//! The columns of rows, as far as a message definition declares them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::column_type::ColumnType;
use super::fields::Column;
use super::origin::Origin;
use crate::buffer::MAX_COLUMNS;

/// The columns that rows of one source, such as a ROS topic, can have, with their types.
///
/// A declared type is the column's type in Parquet even if no value shows it. Lists of doubles stay
/// lists of doubles in a recording in which all of them were empty. See
/// [`Track::with_schema`](crate::Track::with_schema).
///
/// ```
/// use mldash_track::{ColumnType, RowSchema};
/// let schema = RowSchema::new("/joint_states")
///     .type_name("sensor_msgs/msg/JointState")
///     .column("name", ColumnType::list(ColumnType::Text))
///     .column("velocity", ColumnType::list(ColumnType::Float));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSchema {
    source: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    columns: Vec<(Column, ColumnType)>,
    /// Columns whose lists stand for a message, and its type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<(Column, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

impl RowSchema {
    /// Creates a schema without columns, for rows from `source`.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            type_name: None,
            columns: Vec::new(),
            messages: Vec::new(),
            origin: None,
        }
    }

    /// Names the definition that the columns come from.
    pub fn type_name(mut self, name: impl Into<String>) -> Self {
        self.type_name = Some(name.into());
        self
    }

    /// Appends a column. A name that exists keeps its place and takes the later type.
    pub fn column(mut self, name: impl Into<Column>, ty: ColumnType) -> Self {
        let name = name.into();
        match self.columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = ty,
            None => self.columns.push((name, ty)),
        }
        self
    }

    /// Notes that the lists in a column stand for messages of a type, such as `[x, y, z, w]` for
    /// `geometry_msgs/msg/Quaternion`.
    pub fn message(mut self, column: impl Into<Column>, type_name: impl Into<String>) -> Self {
        self.messages.push((column.into(), type_name.into()));
        self
    }

    /// Notes how the rows came about, for whoever turns them back into what the source sent.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Who declares it: a topic.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The definition that the columns come from, such as `nav_msgs/msg/Odometry`.
    pub fn of_type(&self) -> Option<&str> {
        self.type_name.as_deref()
    }

    /// The columns whose lists stand for a message, and its type.
    pub fn messages(&self) -> &[(Column, String)] {
        &self.messages
    }

    /// The columns in order.
    pub fn columns(&self) -> &[(Column, ColumnType)] {
        &self.columns
    }

    /// How the rows came about, if it was noted.
    pub fn noted_origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }
}

/// More definitions than a track ever has.
pub(crate) const MAX_DECLARATIONS: usize = 256;
/// The most bytes that a track's declarations can have together, as JSON.
const MAX_DECLARED_BYTES: usize = 16 << 20;

/// There is no room for what is declared of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the track would have more than {MAX_DECLARATIONS} declarations of its columns, or more than {MAX_COLUMNS} columns or \
     {MAX_DECLARED_BYTES} bytes in them; declare only what rows have, or use another track"
)]
pub struct TooManyDeclarations;

/// What all sources of a track declared.
///
/// Every declaration is kept. A definition that changes between runs leaves both versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrackSchema {
    /// Sorted by source, then by arrival. So the same topics give the same column order, whichever
    /// was heard first.
    rows: Vec<RowSchema>,
    size: Size,
}

/// What declarations take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    declarations: usize,
    columns: usize,
    bytes: usize,
}

impl Size {
    fn of(rows: &RowSchema) -> Self {
        let mut text = Counted(0);
        // Counting can't fail.
        let _ = serde_json::to_writer(&mut text, rows);
        let columns = rows.columns.len().saturating_add(rows.messages.len());
        Self { declarations: 1, columns, bytes: text.0 }
    }

    fn and(self, other: Self) -> Self {
        Self {
            declarations: self.declarations.saturating_add(other.declarations),
            columns: self.columns.saturating_add(other.columns),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn fits(self) -> bool {
        self.declarations <= MAX_DECLARATIONS
            && self.columns <= MAX_COLUMNS
            && self.bytes <= MAX_DECLARED_BYTES
    }
}

/// Counts what is written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TrackSchema {
    /// Adds a declaration. Returns true if it, or the text of its definition, is new and there is
    /// room for it.
    pub(crate) fn declare(&mut self, rows: &RowSchema) -> bool {
        if let Some(known) = self.rows.iter_mut().find(|known| *known == rows) {
            // The text of a definition may have been lost since it was stored.
            let text =
                |rows: &RowSchema| rows.origin.as_ref().and_then(Origin::declared_text).is_some();
            let is_news = text(rows) && !text(known);
            if is_news {
                *known = rows.clone();
            }
            return is_news;
        }
        let size = self.size.and(Size::of(rows));
        if !size.fits() {
            return false;
        }
        self.size = size;
        let place = self.rows.partition_point(|known| known.source <= rows.source);
        self.rows.insert(place, rows.clone());
        true
    }

    /// Checks that there is room for all of these together.
    pub(crate) fn check_room(&self, rows: &[RowSchema]) -> Result<(), TooManyDeclarations> {
        if rows.len() > MAX_DECLARATIONS {
            return Err(TooManyDeclarations);
        }
        let new = rows.iter().filter(|rows| !self.rows.contains(rows));
        let size = new.map(Size::of).fold(self.size, Size::and);
        if size.fits() { Ok(()) } else { Err(TooManyDeclarations) }
    }

    /// Their size as JSON.
    pub(crate) fn bytes(&self) -> usize {
        self.size.bytes
    }

    /// The declarations.
    pub(crate) fn rows(&self) -> &[RowSchema] {
        &self.rows
    }

    /// The columns in order, each once. A column declared twice gets the type that holds the values
    /// of both. If there is none, the column counts as undeclared and its values decide.
    pub(crate) fn columns(&self) -> Vec<(Column, ColumnType)> {
        let mut columns: Vec<(Column, Option<ColumnType>)> = Vec::new();
        let mut places: HashMap<&Column, usize> = HashMap::new();
        for (name, ty) in self.rows.iter().flat_map(|rows| &rows.columns) {
            match places.entry(name) {
                Entry::Occupied(place) => {
                    let (_, known) = &mut columns[*place.get()];
                    *known = known.take().and_then(|known| known.join(ty));
                }
                Entry::Vacant(place) => {
                    place.insert(columns.len());
                    columns.push((name.clone(), Some(ty.clone())));
                }
            }
        }
        let typed = |(name, ty): (Column, Option<ColumnType>)| Some((name, ty?.writable()));
        columns.into_iter().filter_map(typed).collect()
    }

    /// The columns whose lists stand for a message of this type, as far as all sources that say
    /// anything agree.
    pub(crate) fn columns_of_message(&self, type_name: &str) -> Vec<Column> {
        let said = || self.rows.iter().flat_map(|rows| &rows.messages);
        let others: HashSet<&Column> =
            said().filter(|(_, ty)| ty != type_name).map(|(name, _)| name).collect();
        let mut seen = HashSet::new();
        let agreed = said()
            .map(|(name, _)| name)
            .filter(|name| !others.contains(name) && seen.insert(*name));
        agreed.cloned().collect()
    }
}

impl FromIterator<RowSchema> for TrackSchema {
    fn from_iter<I: IntoIterator<Item = RowSchema>>(rows: I) -> Self {
        let mut schema = Self::default();
        rows.into_iter().for_each(|rows| {
            schema.declare(&rows);
        });
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(source: &str, columns: &[(&str, ColumnType)]) -> RowSchema {
        columns.iter().fold(RowSchema::new(source), |s, (name, ty)| s.column(*name, ty.clone()))
    }

    fn columns(schemas: &[RowSchema]) -> Vec<(String, String)> {
        let schema: TrackSchema = schemas.iter().cloned().collect();
        schema.columns().iter().map(|(name, ty)| (name.to_string(), ty.to_string())).collect()
    }

    #[test]
    fn the_order_of_columns_is_that_of_the_sources_names_and_not_of_who_came_first() {
        let (a, b) = (arm("/a", &[("x", ColumnType::Int)]), arm("/b", &[("y", ColumnType::Text)]));
        assert_eq!(columns(&[b.clone(), a.clone()]), columns(&[a, b]));
    }

    #[test]
    fn a_definition_that_widens_a_field_keeps_both_and_one_that_turns_it_over_leaves_it_to_the_values()
     {
        let first = arm("/a", &[("x", ColumnType::Int), ("y", ColumnType::Text)]);
        let second = arm("/a", &[("x", ColumnType::Float), ("y", ColumnType::Bool)]);
        assert_eq!(columns(&[first.clone(), second.clone()]), [("x".into(), "double".into())]);
        // Declaring the first one again does not bring back the dropped column.
        assert_eq!(columns(&[first.clone(), second, first]).len(), 1);
    }

    #[test]
    fn dicts_of_two_definitions_have_the_keys_of_both() {
        let items = |key: &str| {
            let dict = ColumnType::Dict(vec![(key.into(), ColumnType::Int)]);
            arm("/a", &[("seen", ColumnType::list(dict))])
        };
        let expected = ("seen".into(), "list<struct<id: int64, age: int64>>".into());
        assert_eq!(columns(&[items("id"), items("age")]), [expected]);
    }

    #[test]
    fn a_column_stands_for_a_message_if_no_source_says_otherwise() {
        const QUATERNION: &str = "geometry_msgs/msg/Quaternion";
        let turned = arm("/a", &[("q", list()), ("p", list())]).message("q", QUATERNION);
        let point = turned.clone().message("p", "geometry_msgs/msg/Point");
        let older = arm("/b", &[("q", list())]);
        let other = arm("/c", &[("q", list())]).message("q", "geometry_msgs/msg/Point");
        let quaternions = |rows: &[&RowSchema]| {
            let schema: TrackSchema = rows.iter().map(|rows| (*rows).clone()).collect();
            schema.columns_of_message(QUATERNION).len()
        };
        assert_eq!(quaternions(&[&turned, &point, &older]), 1);
        assert_eq!(quaternions(&[&turned, &other]), 0);
        assert_eq!(quaternions(&[&older]), 0);
    }

    fn list() -> ColumnType {
        ColumnType::list(ColumnType::Float)
    }

    #[test]
    fn a_schema_that_was_stored_without_messages_is_read() {
        let text = r#"{"source":"/a","columns":[["q",{"list":"double"}]]}"#;
        let rows: RowSchema = serde_json::from_str(text).unwrap();
        assert_eq!(rows, arm("/a", &[("q", list())]));
        assert_eq!(serde_json::to_string(&rows).unwrap(), text);
    }

    #[test]
    fn there_is_room_for_so_many_declarations_columns_and_bytes() {
        let sources = |range: std::ops::Range<usize>| -> Vec<RowSchema> {
            range.map(|i| arm(&format!("/{i}"), &[("x", ColumnType::Int)])).collect()
        };
        let mut schema: TrackSchema = sources(0..MAX_DECLARATIONS - 1).into_iter().collect();
        schema.check_room(&sources(0..MAX_DECLARATIONS)).unwrap();
        schema.check_room(&sources(0..MAX_DECLARATIONS + 1)).unwrap_err();
        assert!(schema.declare(&sources(300..301)[0]) && !schema.declare(&sources(301..302)[0]));
        schema.check_room(&sources(301..302)).unwrap_err();
        schema.check_room(&sources(0..9)).unwrap();

        let wide = |source: &str, columns: usize| RowSchema {
            columns: (0..columns).map(|i| (format!("{i}").into(), ColumnType::Int)).collect(),
            ..RowSchema::new(source)
        };
        let mut schema = TrackSchema::default();
        assert!(schema.declare(&wide("/a", MAX_COLUMNS)));
        assert_eq!(schema.columns().len(), MAX_COLUMNS);
        assert!(!schema.declare(&wide("/b", 1)));
        schema.check_room(&[wide("/b", 1)]).unwrap_err();

        let long = RowSchema::new("/a").type_name("x".repeat(MAX_DECLARED_BYTES / 2));
        let other = RowSchema::new("/b").type_name("x".repeat(MAX_DECLARED_BYTES / 2));
        let mut schema = TrackSchema::default();
        assert!(schema.declare(&long) && !schema.declare(&other));
        TrackSchema::default().check_room(&[long, other]).unwrap_err();
    }

    #[test]
    fn a_declaration_is_added_once() {
        let mut schema = TrackSchema::default();
        let rows = arm("/a", &[("x", ColumnType::Int)]);
        assert!(schema.declare(&rows));
        assert!(!schema.declare(&rows.clone()));
    }
}
