//! The texts in bags: a type's own definition and those that it needs, one after another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Language;
use super::error::{DefinitionError, Lack, Origin, SyntaxProblem};
use super::interface;
use crate::type_name::TypeName;

/// The definitions recorded with messages of the type `root`.
pub(super) struct Bundle<'a> {
    pub(super) root: &'a TypeName,
    parts: HashMap<TypeName, BundlePart<'a>>,
    /// Why `root` itself has none, if so.
    lack: Lack,
}

/// A definition within a bundle.
pub(super) struct BundlePart<'a> {
    pub(super) text: &'a str,
    pub(super) language: Language,
    pub(super) lines_before: usize,
}

/// The position where a part starts.
struct Start {
    name: TypeName,
    language: Language,
    at: usize,
    lines_before: usize,
}

impl<'a> Bundle<'a> {
    /// Nothing was recorded for the type, for this reason.
    pub(super) fn without(root: &'a TypeName, lack: Lack) -> Self {
        Self { root, parts: HashMap::new(), lack }
    }

    /// Splits a text that a recorder wrote. A recorder that has not found the definition of `root`
    /// leaves it empty, or writes the name.
    pub(super) fn recorded(
        root: &'a TypeName,
        language: Language,
        text: &'a str,
    ) -> Result<Self, DefinitionError> {
        Self::split_with(root, language, text, lack_of)
    }

    /// Splits a text: the definition of `root` in `language` comes first, then each of the others
    /// after a line of `=` and a line with its type and language.
    pub(super) fn split(
        root: &'a TypeName,
        language: Language,
        text: &'a str,
    ) -> Result<Self, DefinitionError> {
        Self::split_with(root, language, text, |_, _| None)
    }

    fn split_with(
        root: &'a TypeName,
        language: Language,
        text: &'a str,
        lack_of: fn(&TypeName, &str) -> Option<Lack>,
    ) -> Result<Self, DefinitionError> {
        let mut parts = HashMap::new();
        let mut lack = None;
        let mut start = Some(Start { name: root.clone(), language, at: 0, lines_before: 0 });
        let mut at = 0;
        let mut end_part = |start: Start, until: &'a str| {
            let text = &until[start.at..];
            if start.lines_before > 0 {
                keep(&mut parts, start, text);
            } else if let Some(lacking) = lack_of(root, text) {
                lack = Some(lacking);
            } else {
                keep(&mut parts, start, text);
            }
        };
        for (i, line) in text.split_inclusive('\n').enumerate() {
            let trimmed = line.trim();
            let is_separator = trimmed.len() >= 3 && trimmed.bytes().all(|b| b == b'=');
            if is_separator {
                if let Some(start) = start.take() {
                    end_part(start, &text[..at]);
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
            end_part(start, text);
        }
        let lack = lack.unwrap_or_else(|| Lack::Part(root.clone()));
        Ok(Self { root, parts, lack })
    }

    pub(super) fn get(&self, name: &TypeName) -> Option<&BundlePart<'a>> {
        self.parts.get(name)
    }

    /// What is there instead of the definition of `name`.
    pub(super) fn lack(&self, name: &TypeName) -> Lack {
        // If nothing was recorded for a service, nothing was recorded for its event either.
        let is_of_root = name == self.root || self.parts.is_empty();
        if is_of_root { self.lack.clone() } else { Lack::Part(self.root.clone()) }
    }
}

/// What a recorder wrote instead of a definition. The definition of a type without fields has at
/// least a head or a comment.
fn lack_of(root: &TypeName, text: &str) -> Option<Lack> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Some(Lack::Empty);
    }
    let is_name = text == root.name() || text.parse::<TypeName>().is_ok_and(|name| name == *root);
    is_name.then(|| Lack::OnlyName(text.to_owned()))
}

/// `MSG: std_msgs/Header`, `IDL: std_msgs/msg/Header`, `SRV: std_srvs/srv/SetBool`
fn head(line: &str) -> Option<(TypeName, Language)> {
    let (word, name) = line.split_once(':')?;
    let name: TypeName = name.trim().parse().ok()?;
    Some(match word {
        "MSG" => (name, Language::Msg),
        "IDL" => (name, Language::Idl),
        "SRV" => (name.of_kind("srv"), Language::Srv),
        "ACTION" => (name.of_kind("action"), Language::Action),
        _ => return None,
    })
}

/// The first definition of a type counts, unless it is blank: some writers put a head before the
/// root's own.
fn keep<'a>(parts: &mut HashMap<TypeName, BundlePart<'a>>, start: Start, text: &'a str) {
    let Start { mut name, mut language, lines_before, .. } = start;
    // The message of a service, with the text of the whole service.
    if language == Language::Msg
        && let Some(of_interface) = interface::language(&name)
        && interface::has_sections(text)
    {
        language = of_interface;
        name = interface::derived(&name).map_or(name, |derived| derived.base);
    }
    let part = BundlePart { text, language, lines_before };
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
