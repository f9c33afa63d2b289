//! Messages to rows: real bytes, real definitions, real bags.

mod bag;
mod captured;
pub mod encoder;
mod encoding;
mod faults;
mod messages;
mod model;
mod rules;
mod wrong_bytes;

use std::sync::Arc;

use mldash_bridge::message::{
    ByteArrays, Decoder, Element, FieldSelection, Layout, MessageType, SelectedField, StampSource,
};

/// A type from its name and the text that a bag carries.
fn message(ty: &str, definition: &str) -> Arc<MessageType> {
    MessageType::from_bundle(&ty.parse().unwrap(), definition).unwrap()
}

/// Everything of a message, its bytes included.
fn everything() -> Layout {
    Layout::default()
}

/// These columns, each `column=path` or a path that is the column's name too.
fn only(columns: &[&str]) -> Layout {
    let field = |text: &&str| {
        let (column, path) = text.split_once('=').unwrap_or((text, text));
        SelectedField { column: column.to_owned(), path: path.parse().unwrap() }
    };
    Layout { fields: FieldSelection::Only(columns.iter().map(field).collect()), ..everything() }
}

fn each(path: &str, layout: Layout) -> Layout {
    Layout { each: Some(path.parse().unwrap()), ..layout }
}

fn stamp(path: &str, layout: Layout) -> Layout {
    Layout { stamp: StampSource::Field(path.parse().unwrap()), ..layout }
}

fn names(paths: &[&str], layout: Layout) -> Layout {
    Layout { names: paths.iter().map(|p| p.parse().unwrap()).collect(), ..layout }
}

fn byte_arrays(byte_arrays: ByteArrays, layout: Layout) -> Layout {
    Layout { byte_arrays, ..layout }
}

fn decode(ty: &Arc<MessageType>, layout: &Layout, cdr: &[u8]) -> Vec<Element> {
    let decoder = Decoder::compile(ty, layout).unwrap();
    let mut elements = Vec::new();
    decoder.decode(cdr, &mut elements).unwrap();
    elements
}

/// The columns of a row in order, as text.
fn columns(element: &Element) -> Vec<&str> {
    element.fields.iter().map(|(name, _)| &**name).collect()
}
