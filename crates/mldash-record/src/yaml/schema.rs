//! A table of keys as a JSON Schema, by which editors complete keys, explain them and mark mistakes. Draft 7, the newest
//! that yaml-language-server takes.

use serde_json::{Map, Number, Value, json};

use super::key::{Key, KeyTable, Range, Shape};

/// A number with or without a unit.
const SIZE: &str = "^[0-9]*\\.?[0-9]*\\s*([KMGT]i?B|kB|B)?$";

impl KeyTable {
    /// The JSON Schema of a text whose keys these are. It lets through what the reader refuses for more than a key, a word or
    /// a bound, and refuses nothing that the reader takes.
    pub fn schema(&'static self) -> Value {
        let mut schema = section(self);
        schema.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
        schema.insert("title".to_owned(), self.name.into());
        let inner = self.with_inner().into_iter().skip(1);
        let definitions: Map<String, Value> =
            inner.map(|table| (table.name.to_owned(), section(table).into())).collect();
        schema.insert("definitions".to_owned(), definitions.into());
        schema.into()
    }
}

fn section(table: &KeyTable) -> Map<String, Value> {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("description".to_owned(), table.about.into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("additionalProperties".to_owned(), false.into());
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !table.any_of.is_empty() {
        let one = |name: &&str| json!({"required": [name]});
        schema.insert("anyOf".to_owned(), table.any_of.iter().map(one).collect());
    }
    if !table.apart.is_empty() {
        schema.insert("not".to_owned(), json!({"required": table.apart}));
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.value);
    // What stands beside a reference is not looked at.
    if schema.contains_key("$ref") {
        schema = Map::from_iter([("allOf".to_owned(), json!([schema]))]);
    }
    schema.insert("description".to_owned(), key.about.into());
    if let Some(default) = key.default {
        schema.insert("default".to_owned(), plain(default));
    }
    schema.into()
}

/// A plain YAML scalar.
fn plain(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse().ok().and_then(number).unwrap_or_else(|| text.into()),
    }
}

fn number(number: f64) -> Option<Value> {
    let whole = number as i64;
    match whole as f64 == number {
        true => Some(whole.into()),
        false => Number::from_f64(number).map(Value::Number),
    }
}

fn shape(of: &Shape) -> Map<String, Value> {
    let schema = match of {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Pattern(pattern, _) => {
            json!({"type": ["string", "number", "boolean"], "pattern": pattern})
        }
        Shape::Null => json!({"type": "null"}),
        Shape::Truth => json!({"type": "boolean"}),
        Shape::Number(range) => bounded("number", range),
        Shape::Whole(range) => bounded("integer", range),
        Shape::Words(words) => json!({"enum": words}),
        Shape::Size => json!({"type": ["string", "number"], "minimum": 0, "pattern": SIZE}),
        // A text's size is for the reader to see.
        Shape::SizeUpTo(mib) => json!({"type": ["string", "number"], "minimum": 0,
            "maximum": mib << 20, "pattern": SIZE}),
        Shape::Span => json!({"type": ["string", "number"], "minimum": 0}),
        Shape::List(of) => json!({"type": "array", "items": shape(of), "minItems": 1}),
        Shape::ListOrNone(of) => json!({"type": "array", "items": shape(of)}),
        Shape::AnyOf(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(|one| shape(one).into()).collect();
            json!({"anyOf": shapes})
        }
        Shape::Section(table) => json!({"$ref": format!("#/definitions/{}", table.name)}),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": shape(of)}),
    };
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn bounded(kind: &str, range: &Range) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), kind.into())]);
    let least = if range.is_least_in { "minimum" } else { "exclusiveMinimum" };
    for (key, bound) in [(least, range.least), ("maximum", range.most)] {
        if let Some(bound) = bound.and_then(number) {
            schema.insert(key.to_owned(), bound);
        }
    }
    schema.into()
}
