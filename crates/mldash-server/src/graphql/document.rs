//! A parsed query with its variables. Picks what it selects from JSON.

use std::cell::{Cell, RefCell};

use graphql_parser::query::{self, Definition, OperationDefinition, SelectionSet, parse_query};
use serde_json::{Map, Value};

use super::QueryError;
use crate::memory::Memory;

/// No real query is longer.
const MAX_QUERY_BYTES: usize = 64 << 10;
/// The limit on fields of one answer, before lists multiply them. Otherwise fragments within
/// fragments would make a short query long.
const MAX_FIELDS: usize = 1_000;
/// How deep selections and fragments may lie in each other: each level takes stack, and a fragment may contain itself.
const MAX_DEPTH: usize = 64;
/// The place of a field in an answer, with its share of the object.
const FIELD_BYTES: usize = 256;

/// A query to answer.
pub(super) struct Document<'a> {
    parsed: query::Document<'static, String>,
    variables: Map<String, Value>,
    fields_left: Cell<usize>,
    depth_left: Cell<usize>,
    /// For what is picked.
    memory: &'a RefCell<Memory>,
}

/// The selected fields of an object.
pub(super) struct Selection<'a> {
    document: &'a Document<'a>,
    set: Option<&'a SelectionSet<'static, String>>,
}

/// One field of a selection.
pub(super) struct Field<'a> {
    document: &'a Document<'a>,
    field: &'a query::Field<'static, String>,
}

impl<'a> Document<'a> {
    /// Parses a query.
    pub(super) fn parse(
        text: &str,
        variables: Map<String, Value>,
        memory: &'a RefCell<Memory>,
    ) -> Result<Self, String> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(format!("the query is longer than {MAX_QUERY_BYTES} bytes"));
        }
        let parsed = parse_query::<String>(text).map_err(|error| error.to_string())?.into_static();
        let document = Self {
            parsed,
            variables,
            fields_left: Cell::new(MAX_FIELDS),
            depth_left: Cell::new(MAX_DEPTH),
            memory,
        };
        match document.root_set() {
            Some(_) => Ok(document),
            None => Err("expected exactly one query".to_owned()),
        }
    }

    /// The selection at the top.
    pub(super) fn root(&self) -> Selection<'_> {
        Selection { document: self, set: self.root_set() }
    }

    fn root_set(&self) -> Option<&SelectionSet<'static, String>> {
        let mut operations =
            self.parsed.definitions.iter().filter_map(|definition| match definition {
                Definition::Operation(operation) => Some(operation),
                Definition::Fragment(_) => None,
            });
        match (operations.next(), operations.next()) {
            (Some(OperationDefinition::SelectionSet(set)), None) => Some(set),
            (Some(OperationDefinition::Query(query)), None) => Some(&query.selection_set),
            _ => None,
        }
    }

    fn fragment(&self, name: &str) -> Option<&SelectionSet<'static, String>> {
        self.parsed.definitions.iter().find_map(|definition| match definition {
            Definition::Fragment(fragment) if fragment.name == name => {
                Some(&fragment.selection_set)
            }
            _ => None,
        })
    }
}

impl<'a> Selection<'a> {
    /// Builds an object. `value` gives the value of each field.
    pub(super) fn object(
        &self,
        mut value: impl FnMut(&Field<'a>) -> Result<Value, QueryError>,
    ) -> Result<Value, QueryError> {
        let mut object = Map::new();
        let set = self.set.filter(|set| !set.items.is_empty());
        let set = set
            .ok_or_else(|| QueryError::Query("the fields of an object must be selected".into()))?;
        self.add_fields(set, &mut object, &mut value)?;
        Ok(Value::Object(object))
    }

    fn add_fields(
        &self,
        set: &'a SelectionSet<'static, String>,
        object: &mut Map<String, Value>,
        value: &mut impl FnMut(&Field<'a>) -> Result<Value, QueryError>,
    ) -> Result<(), QueryError> {
        let depth_left = &self.document.depth_left;
        let outer = depth_left.get();
        let inner = outer.checked_sub(1);
        // This also ends a fragment that contains itself.
        depth_left
            .set(inner.ok_or_else(|| QueryError::Query("the query nests too deeply".into()))?);
        for item in &set.items {
            let left = self.document.fields_left.get().checked_sub(1);
            let left =
                left.ok_or_else(|| QueryError::Query("the query selects too many fields".into()))?;
            self.document.fields_left.set(left);
            match item {
                query::Selection::Field(field) => {
                    let known = value(&Field { document: self.document, field })?;
                    let mut memory = self.document.memory.borrow_mut();
                    memory.hold(FIELD_BYTES).map_err(QueryError::Failed)?;
                    drop(memory);
                    object.insert(field.alias.as_ref().unwrap_or(&field.name).clone(), known);
                }
                query::Selection::FragmentSpread(spread) => {
                    let name = &spread.fragment_name;
                    let fragment = self.document.fragment(name).ok_or_else(|| {
                        QueryError::Query(format!("there is no fragment `{name}`"))
                    })?;
                    self.add_fields(fragment, object, value)?;
                }
                query::Selection::InlineFragment(fragment) => {
                    self.add_fields(&fragment.selection_set, object, value)?;
                }
            }
        }
        depth_left.set(outer);
        Ok(())
    }

    /// Picks the selection from `known`: an object, a list of objects or null. `of` is its name in
    /// errors.
    pub(super) fn of(&self, known: &Value, of: &'static str) -> Result<Value, QueryError> {
        match known {
            Value::Null => Ok(Value::Null),
            Value::Array(items) => self.list(items, of),
            known => self.object(|field| field.value_in(known, of)),
        }
    }

    /// Picks the selection from each of `items`.
    pub(super) fn list(&self, items: &[Value], of: &'static str) -> Result<Value, QueryError> {
        let fields_left = self.document.fields_left.get();
        let picked = items.iter().map(|item| {
            // The limit is on the query, not on the amount of data.
            self.document.fields_left.set(fields_left);
            self.of(item, of)
        });
        picked.collect()
    }
}

impl<'a> Field<'a> {
    /// Its name.
    pub(super) fn name(&self) -> &'a str {
        &self.field.name
    }

    /// Its selection.
    pub(super) fn selection(&self) -> Selection<'a> {
        Selection { document: self.document, set: Some(&self.field.selection_set) }
    }

    /// Its value in `known`. A field that is an object or a list of objects picks its selection
    /// from that.
    pub(super) fn value_in(&self, known: &Value, of: &'static str) -> Result<Value, QueryError> {
        let value = known.get(self.name()).ok_or_else(|| self.unknown(of))?;
        match self.field.selection_set.items.is_empty() {
            true => {
                let mut memory = self.document.memory.borrow_mut();
                memory.hold_value(Some(value)).map_err(QueryError::Failed)?;
                Ok(value.clone())
            }
            false => self.selection().of(value, of),
        }
    }

    /// The error for an unknown field.
    pub(super) fn unknown(&self, of: &'static str) -> QueryError {
        QueryError::UnknownField { of, field: self.name().to_owned() }
    }

    /// An argument that is a text.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, QueryError> {
        let text = match self.argument(name) {
            Some(query::Value::String(text)) => Some(text.as_str()),
            Some(query::Value::Variable(variable)) => {
                self.document.variables.get(variable).and_then(Value::as_str)
            }
            _ => None,
        };
        text.ok_or(QueryError::Argument(name))
    }

    /// An argument that is a count; `None` if it is not given.
    pub(super) fn count(&self, name: &'static str) -> Result<Option<usize>, QueryError> {
        let count = match self.argument(name) {
            None | Some(query::Value::Null) => return Ok(None),
            Some(query::Value::Int(number)) => number.as_i64(),
            Some(query::Value::Variable(variable)) => match self.document.variables.get(variable) {
                None | Some(Value::Null) => return Ok(None),
                Some(value) => value.as_i64(),
            },
            Some(_) => None,
        };
        let count = count.and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or(QueryError::Argument(name))
    }

    fn argument(&self, name: &str) -> Option<&'a query::Value<'static, String>> {
        self.field.arguments.iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }
}
