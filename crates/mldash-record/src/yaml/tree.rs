//! Parses YAML text into a tree whose every node knows its place. Knows nothing of what keys mean.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::{Place, Problems, Spot};

/// The limit on what aliases may add to a tree: they can repeat a small text without end.
const MAX_COPIED_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 32;
/// The key that inherits another mapping's entries.
const MERGE_KEY: &str = "<<";

/// A value and where it starts.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// The content of a value.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    /// As written: a key can be there twice.
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Without quotes, so that it can be a number, a bool or null.
    pub(super) is_plain: bool,
}

/// The single document in `text`, which messages call a `what`; `None` only with a problem. `hint` says what to write if there is
/// nothing.
pub fn parse(what: &str, text: &str, hint: &str, problems: &mut Problems) -> Option<Node> {
    let root = document(text, problems).filter(|root| !root.is_null());
    if root.is_none() && problems.is_empty() {
        let spot = Spot::of_text(Place::START);
        problems.add(&spot, format!("the {what} is empty"), Some(hint.to_owned()));
    }
    root
}

/// `None` if it is empty or has a problem.
fn document(text: &str, problems: &mut Problems) -> Option<Node> {
    match Builder::default().build(text) {
        Ok(root) => root,
        Err(error) => {
            let spot = Spot::of_text(error.place);
            problems.add(&spot, error.message, error.hint);
            None
        }
    }
}

/// The texts in the list at these keys; `None` if there is no list.
pub fn texts_at(text: &str, keys: &[&str]) -> Option<Vec<String>> {
    let mut node = document(text, &mut Problems::default())?;
    for key in keys {
        let Kind::Map(entries) = node.kind else { return None };
        node = entries.into_iter().find(|(name, _)| name.text() == Some(key))?.1;
    }
    let Kind::List(items) = node.kind else { return None };
    Some(items.iter().filter_map(|item| item.text().map(str::to_owned)).collect())
}

/// Why the rest of a text can't be parsed.
struct SyntaxError {
    place: Place,
    message: String,
    hint: Option<String>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    copied_bytes: usize,
}

/// A list or a map that is not complete yet.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, key: Option<Node> },
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Option<Node>, SyntaxError> {
        for event in Parser::new_from_str(text) {
            let (event, span) =
                event.map_err(|error| SyntaxError::scan(&error, text, self.open.last()))?;
            self.take(event, span)?;
        }
        Ok(self.root)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let place = place_of(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                let is_plain = style == ScalarStyle::Plain;
                let scalar = Scalar { text: text.into_owned(), is_plain };
                let node = Node { place, kind: Kind::Scalar(scalar) };
                self.add(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                self.start(Open { place, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                let content = Content::Map { entries: Vec::new(), key: None };
                self.start(Open { place, anchor, content })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = node.clone();
                    self.charge_copy(&node, place)?;
                    self.add(node, 0)
                }
                None => Err(SyntaxError::new(place, "this alias stands for what it is part of")),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(SyntaxError::new(place, "a second document starts here")
                    .hint("a mapping is one document: remove the `---`"))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(&mut self, open: Open) -> Result<(), SyntaxError> {
        if self.open.len() == MAX_DEPTH {
            return Err(SyntaxError::new(open.place, "nested too deeply"));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        let Some(Open { place, anchor, content }) = self.open.pop() else {
            return Ok(());
        };
        let kind = match content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(merge_in(entries)?),
        };
        self.add(Node { place, kind }, anchor)
    }

    /// Adds a node at the current position; `anchor` is 0 if it has none.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor != 0 {
            self.charge_copy(&node, node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
        }
        Ok(())
    }

    /// Counts what an anchor or an alias copies. The text itself is limited by its file.
    fn charge_copy(&mut self, node: &Node, place: Place) -> Result<(), SyntaxError> {
        self.copied_bytes += node.size_bytes();
        if self.copied_bytes > MAX_COPIED_BYTES {
            return Err(SyntaxError::new(place, "the aliases repeat more than 16 MiB"));
        }
        Ok(())
    }
}

/// Resolves `<<: *defaults`: adds another mapping's entries for keys that are missing.
fn merge_in(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, SyntaxError> {
    let (merges, mut own): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(key, _)| key.plain_text() == Some(MERGE_KEY));
    for (_, value) in merges {
        let sources = match value.kind {
            Kind::List(sources) => sources,
            _ => vec![value],
        };
        for source in sources {
            let Kind::Map(inherited) = source.kind else {
                return Err(SyntaxError::new(source.place, "`<<` takes over a mapping's entries")
                    .hint("write `<<: *anchor`, the anchor being at a mapping"));
            };
            for entry in inherited {
                let is_own = own.iter().any(|(key, _)| key.text() == entry.0.text());
                if !is_own {
                    own.push(entry);
                }
            }
        }
    }
    Ok(own)
}

fn refuse_tag(tag: Option<&Tag>, place: Place) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => {
            let message = format!("the tag `{}{}` has no meaning here", tag.handle, tag.suffix);
            Err(SyntaxError::new(place, message).hint("quote a text that starts with `!`"))
        }
        _ => Ok(()),
    }
}

fn place_of(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

impl Node {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The text, if it is one without quotes.
    pub fn plain_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_plain => Some(&scalar.text),
            _ => None,
        }
    }

    /// Returns true if there is no value after the key.
    pub fn is_null(&self) -> bool {
        matches!(self.plain_text(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    fn size_bytes(&self) -> usize {
        let content = match &self.kind {
            Kind::Scalar(scalar) => scalar.text.len(),
            Kind::List(items) => items.iter().map(Self::size_bytes).sum(),
            Kind::Map(entries) => {
                entries.iter().map(|(k, v)| k.size_bytes() + v.size_bytes()).sum()
            }
        };
        size_of::<Self>() + content
    }
}

/// `track: {1}/x`: a value that starts with a brace is a mapping, and nothing may follow it.
fn braces_in_text(line: &str) -> Option<String> {
    let (_, value) = line.split_once(": ")?;
    let value = value.trim();
    let (_, behind) = value.strip_prefix('{')?.split_once('}')?;
    let is_text = behind.starts_with(|c: char| !c.is_whitespace() && !",]}#".contains(c));
    is_text.then(|| format!("quote a text that starts with a brace: `\"{value}\"`"))
}

/// A brace or bracket on an earlier line that the error shows to be unclosed.
fn not_closed(text: &str, error: Place, open: Place) -> Option<String> {
    let line = text.lines().nth(open.line.checked_sub(1)?)?;
    let bracket = line.chars().nth(open.column.checked_sub(1)?)?;
    let close = match bracket {
        '{' => '}',
        '[' => ']',
        _ => return None,
    };
    let line = open.line;
    (line < error.line)
        .then(|| format!("the `{bracket}` in line {line} is not closed; write `{close}` there"))
}

impl SyntaxError {
    fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: None }
    }

    /// `open`: the list or mapping that contains the error.
    fn scan(error: &ScanError, text: &str, open: Option<&Open>) -> Self {
        let place = place_of(error.marker());
        let hint = if error.info().contains("tab") {
            Some("indent with spaces".to_owned())
        } else if error.info().contains("anchor") || error.info().contains("alias") {
            Some("quote a text that starts with `*` or `&`".to_owned())
        } else {
            let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
            braces_in_text(line).or_else(|| not_closed(text, place, open?.place))
        };
        let message = format!("this is not YAML: {}", error.info());
        Self { place, message, hint }
    }

    fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}
