//! The texts that bags carry: a type's own definition and those that it needs, one after another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Language;
use super::error::{DefinitionError, Origin, SyntaxProblem};
use crate::message::type_name::TypeName;

/// A definition within a bundle.
pub(super) struct BundlePart<'a> {
    pub(super) text: &'a str,
    pub(super) language: Language,
    pub(super) lines_before: usize,
}

/// Where a part begins.
struct Start {
    name: TypeName,
    language: Language,
    at: usize,
    lines_before: usize,
}

/// The definitions by their types: first that of `root`, in `language`, then each after a line of `=`
/// and one that names its type and language.
pub(super) fn split<'a>(
    root: &TypeName,
    language: Language,
    text: &'a str,
) -> Result<HashMap<TypeName, BundlePart<'a>>, DefinitionError> {
    let mut parts = HashMap::new();
    let mut start = Some(Start { name: root.clone(), language, at: 0, lines_before: 0 });
    let mut at = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim();
        let is_separator = trimmed.len() >= 3 && trimmed.bytes().all(|b| b == b'=');
        if is_separator {
            if let Some(start) = start.take() {
                keep(&mut parts, start, &text[..at]);
            }
        } else if start.is_none() && !trimmed.is_empty() {
            let Some((name, language)) = head(trimmed) else {
                return Err(DefinitionError::Syntax {
                    type_name: root.clone(),
                    origin: Box::new(Origin::Bundle(root.clone())),
                    line: i + 1,
                    problem: SyntaxProblem::BundleHead { found: trimmed.to_owned() },
                });
            };
            start = Some(Start { name, language, at: at + line.len(), lines_before: i + 1 });
        }
        at += line.len();
    }
    if let Some(start) = start {
        keep(&mut parts, start, text);
    }
    Ok(parts)
}

/// `MSG: std_msgs/Header`, `IDL: std_msgs/msg/Header`
fn head(line: &str) -> Option<(TypeName, Language)> {
    let (word, name) = line.split_once(':')?;
    let language = match word {
        "MSG" => Language::Msg,
        "IDL" => Language::Idl,
        _ => return None,
    };
    Some((name.trim().parse().ok()?, language))
}

/// The first definition of a type counts, unless it is blank: some writers head the root's own.
fn keep<'a>(parts: &mut HashMap<TypeName, BundlePart<'a>>, start: Start, until: &'a str) {
    let Start { name, language, at, lines_before } = start;
    let part = BundlePart { text: &until[at..], language, lines_before };
    match parts.entry(name) {
        Entry::Vacant(free) => {
            free.insert(part);
        }
        Entry::Occupied(mut taken) if taken.get().text.trim().is_empty() => {
            taken.insert(part);
        }
        Entry::Occupied(_) => {}
    }
}
