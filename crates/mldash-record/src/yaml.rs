//! YAML that people write, such as mappings and recipes: parsed into a tree whose nodes know their places, read with types,
//! and everything that is wrong is told at once, with line, column and a hint. Knows nothing of what keys mean.

mod key;
mod problem;
mod reader;
mod reference;
mod schema;
mod tree;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use key::{Key, KeyTable, Range, Shape, joined, words};
pub use problem::{Place, Placed, Problem, Problems, Spot, YamlErrors};
pub use reader::{Entry, Item, Section};
pub use tree::{Node, parse, texts_at};

/// People write such files; none is larger.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// The text of a file, which messages call a `what`.
///
/// # Errors
/// Fails if the file can't be read, is not UTF-8 or is larger than 1 MiB.
pub fn read_file(what: &'static str, path: &Path) -> Result<String, YamlErrors> {
    let unreadable = |source| YamlErrors::Unreadable { what, path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        let message = format!("it is larger than 1 MiB, too large for a {what}");
        return Err(unreadable(io::Error::other(message)));
    }
    Ok(text)
}
