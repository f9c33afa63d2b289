//! Typed reading of the YAML tree. Every value that does not fit is reported at its place, and
//! reading continues. Knows nothing of what the keys mean.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use super::key::KeyTable;
use super::problem::{Placed, Problems, Spot};
use super::tree::{Kind, Node};
use mldash_message::nearest;

const OPEN: &str = "write a value, or leave the key out";
const QUOTE: &str = "quote a text with braces or brackets: `\"{topic}\"`";

/// A value and the keys that lead to it.
#[derive(Clone, Debug)]
pub struct Item<'n> {
    node: &'n Node,
    /// Its place and the keys.
    pub spot: Spot,
}

/// A mapping whose keys are all known, each present once.
#[derive(Debug)]
pub struct Section<'n> {
    /// Where it starts.
    pub spot: Spot,
    table: &'static KeyTable,
    entries: Vec<Entry<'n>>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry<'n> {
    /// The key.
    pub key: Placed<&'n str>,
    /// The value.
    pub value: Item<'n>,
}

impl<'n> Item<'n> {
    /// The value of the whole text.
    pub fn root(node: &'n Node) -> Self {
        Self { node, spot: Spot::of_text(node.place) }
    }

    /// The keys and values of a mapping, each key once.
    pub fn entries(&self, problems: &mut Problems) -> Option<Vec<Entry<'n>>> {
        let Kind::Map(nodes) = &self.node.kind else {
            self.mismatch("a mapping", None, problems);
            return None;
        };
        let mut entries: Vec<Entry<'n>> = Vec::new();
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for (key, value) in nodes {
            let Some(text) = key.text() else {
                let spot = Spot { place: key.place, ..self.spot.clone() };
                problems.add(&spot, "a key must be a text", Some(QUOTE.to_owned()));
                continue;
            };
            let key_path = join(&self.spot.key_path, text);
            let key = Placed { value: text, spot: Spot { place: key.place, key_path } };
            if let Some(line) = lines.get(text) {
                let message = format!("`{text}` is there twice, first in line {line}");
                problems.add(&key.spot, message, Some("keep one of them".to_owned()));
                continue;
            }
            lines.insert(text, key.spot.place.line);
            let spot = Spot { place: value.place, ..key.spot.clone() };
            entries.push(Entry { key, value: Item { node: value, spot } });
        }
        Some(entries)
    }

    /// A mapping that has only the keys of `table`.
    pub fn section(
        &self,
        table: &'static KeyTable,
        problems: &mut Problems,
    ) -> Option<Section<'n>> {
        let mut entries = self.entries(problems)?;
        let known = table.names();
        entries.retain(|entry| {
            let name = entry.key.value;
            let is_known = known.contains(&name);
            if !is_known {
                let message = format!("unknown key `{}`", shorten(name));
                problems.add(&entry.key.spot, message, Some(suggest(name, &known)));
            }
            is_known
        });
        Some(Section { spot: self.spot.clone(), table, entries })
    }

    /// The items of a list.
    pub fn list(&self, problems: &mut Problems) -> Option<Vec<Item<'n>>> {
        let Kind::List(nodes) = &self.node.kind else {
            let hint = self.as_list();
            self.mismatch("a list", hint.as_deref(), problems);
            return None;
        };
        let item = |(i, node): (usize, &'n Node)| {
            let key_path = format!("{}[{i}]", self.spot.key_path);
            Item { node, spot: Spot { place: node.place, key_path } }
        };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// The items of a list, or this value alone.
    pub fn one_or_list(&self, problems: &mut Problems) -> Option<Vec<Item<'n>>> {
        if self.is_list() { self.list(problems) } else { Some(vec![self.clone()]) }
    }

    /// How this value would be written as a list.
    fn as_list(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Scalar(scalar) if !self.is_null() => {
                Some(format!("write a list of one: `[{}]`", shorten(&scalar.text)))
            }
            Kind::Map(entries) => {
                let name = entries.first().and_then(|(key, _)| key.text())?;
                let is_topic = name.starts_with('/');
                is_topic.then(|| {
                    format!("write each in a line of its own: `- topic: {}`", shorten(name))
                })
            }
            _ => None,
        }
    }

    /// A text that is not empty.
    pub fn text(&self, problems: &mut Problems) -> Option<&'n str> {
        match self.node.text() {
            Some(text) if text.starts_with(['“', '”', '‘', '’']) => {
                let message =
                    format!("`{}` has typographic quotes, which are part of it", shorten(text));
                problems.add(
                    &self.spot,
                    message,
                    Some("write straight quotes, or none".to_owned()),
                );
                None
            }
            Some(text) if !self.is_null() && !text.is_empty() => Some(text),
            _ => {
                let is_nested = matches!(self.node.kind, Kind::Map(_) | Kind::List(_));
                self.mismatch("a text", is_nested.then_some(QUOTE), problems);
                None
            }
        }
    }

    /// Parses the text as a `T`. `hint` tells how to write one.
    pub fn parse<T>(&self, hint: &str, problems: &mut Problems) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        match self.text(problems)?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                problems.add(&self.spot, error.to_string(), Some(hint.to_owned()));
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let text = self.text(problems)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let hint =
            nearest(text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        self.mismatch(&words.join(" or "), hint.as_deref(), problems);
        None
    }

    /// `true` or `false`.
    pub fn truth(&self, problems: &mut Problems) -> Option<bool> {
        match self.node.plain_text() {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            _ => {
                self.mismatch("true or false", None, problems);
                None
            }
        }
    }

    /// A number that `accept` accepts. `expected` describes such numbers.
    pub fn number<N: FromStr, T>(
        &self,
        expected: &str,
        accept: impl FnOnce(N) -> Option<T>,
        problems: &mut Problems,
    ) -> Option<T> {
        let number = self.node.plain_text().and_then(|text| text.parse().ok()).and_then(accept);
        if number.is_none() {
            self.mismatch(expected, None, problems);
        }
        number
    }

    /// A text without quotes, which can be a number or a truth.
    pub fn plain_text(&self) -> Option<&'n str> {
        self.node.plain_text()
    }

    /// Returns true if it is exactly this word.
    pub fn is_word(&self, word: &str) -> bool {
        self.node.plain_text() == Some(word)
    }

    /// Returns true if it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Returns true if it is neither a list nor a mapping.
    pub fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(_))
    }

    /// `value` at this item's place.
    pub fn place<T>(&self, value: T) -> Placed<T> {
        Placed { value, spot: self.spot.clone() }
    }

    /// Returns true if there is no value after the key.
    pub fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Returns true if it is an empty list or mapping.
    pub fn is_empty(&self) -> bool {
        match &self.node.kind {
            Kind::Scalar(_) => false,
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
        }
    }

    /// Reports that something else was expected.
    pub fn mismatch(&self, expected: &str, hint: Option<&str>, problems: &mut Problems) {
        let found = match &self.node.kind {
            Kind::Scalar(_) if self.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) if scalar.text.is_empty() => "an empty text".to_owned(),
            Kind::Scalar(scalar) if scalar.is_plain => format!("`{}`", shorten(&scalar.text)),
            Kind::Scalar(scalar) => format!("the text \"{}\"", shorten(&scalar.text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        };
        let message = format!("expected {expected}, found {found}");
        let hint = hint.or(self.is_null().then_some(OPEN));
        problems.add(&self.spot, message, hint.map(str::to_owned));
    }
}

impl<'n> Section<'n> {
    /// The value of a key of its table.
    pub fn get(&self, key: &str) -> Option<&Item<'n>> {
        debug_assert!(
            self.table.keys.iter().any(|known| known.name == key),
            "`{key}` is read, and the table `{}` lacks it",
            self.table.name
        );
        self.entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }
}

fn join(key_path: &str, key: &str) -> String {
    if key_path.is_empty() { key.to_owned() } else { format!("{key_path}.{key}") }
}

fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Shortens a text for a message.
fn shorten(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.escape_debug().take(SHOWN_CHARS).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
