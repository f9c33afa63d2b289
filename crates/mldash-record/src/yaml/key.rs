//! What keys a section has and what their values may be: one table for the reader, which refuses other keys, for editors
//! (a JSON Schema) and for people (a reference). Knows nothing of what the values do.

use std::fmt;

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What its value may be.
    pub value: Shape,
    /// A value for it, as YAML.
    pub example: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What holds without it, as YAML, if that is a value.
    pub default: Option<&'static str>,
    /// Whether the section is wrong without it.
    pub is_required: bool,
}

/// The keys of a section.
#[derive(Clone, Copy, Debug)]
pub struct KeyTable {
    /// What the section is called; tables of one name are one.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The keys.
    pub keys: &'static [Key],
    /// At least one of these is there.
    pub any_of: &'static [&'static str],
    /// At most one of these is there.
    pub apart: &'static [&'static str],
}

/// What a value may be. The reader can ask for more, such as that a text is a topic's name.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A text; without quotes it may look like a number.
    Text,
    /// A text that a regular expression matches, and what such a text is. One that looks like a number is not matched.
    Pattern(&'static str, &'static str),
    /// `null`, as a word.
    Null,
    /// `true` or `false`.
    Truth,
    /// A number.
    Number(Range),
    /// A whole number.
    Whole(Range),
    /// One of a few words.
    Words(&'static [&'static str]),
    /// A number of bytes, with or without a unit.
    Size,
    /// The same, so many MiB at most.
    SizeUpTo(u64),
    /// A time with units, or a number of seconds.
    Span,
    /// A list that is not empty.
    List(&'static Shape),
    /// A list that may be empty.
    ListOrNone(&'static Shape),
    /// Any of these.
    AnyOf(&'static [Shape]),
    /// A section with keys of its own.
    Section(&'static KeyTable),
    /// Names, each with a value.
    Map(&'static Shape),
}

/// Which numbers fit.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The least, if there is one.
    pub least: Option<f64>,
    /// Whether the least itself fits.
    pub is_least_in: bool,
    /// The most, if there is one.
    pub most: Option<f64>,
}

impl Key {
    /// A key that can be left out.
    pub const fn new(
        name: &'static str,
        value: Shape,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, value, example, about, default: None, is_required: false }
    }

    /// The same, which has this value where it is left out.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, which can't be left out.
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }
}

impl KeyTable {
    /// A table of keys that stand in no relation.
    pub const fn new(name: &'static str, about: &'static str, keys: &'static [Key]) -> Self {
        Self { name, about, keys, any_of: &[], apart: &[] }
    }

    /// The same, of which at least one of these is there.
    pub const fn any_of(self, names: &'static [&'static str]) -> Self {
        Self { any_of: names, ..self }
    }

    /// The same, of which at most one of these is there.
    pub const fn apart(self, names: &'static [&'static str]) -> Self {
        Self { apart: names, ..self }
    }

    /// The names of its keys.
    pub fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }

    /// All tables that it leads to, each once, itself first.
    pub fn with_inner(&'static self) -> Vec<&'static Self> {
        let mut tables = Vec::new();
        self.collect(&mut tables);
        tables
    }

    fn collect(&'static self, tables: &mut Vec<&'static Self>) {
        if tables.iter().any(|table| table.name == self.name) {
            return;
        }
        tables.push(self);
        for key in self.keys {
            key.value.collect(tables);
        }
    }
}

impl Shape {
    fn collect(&'static self, tables: &mut Vec<&'static KeyTable>) {
        match self {
            Self::Section(table) => table.collect(tables),
            Self::List(of) | Self::ListOrNone(of) | Self::Map(of) => of.collect(tables),
            Self::AnyOf(shapes) => shapes.iter().for_each(|shape| shape.collect(tables)),
            _ => {}
        }
    }
}

impl Range {
    /// All numbers.
    pub const ANY: Self = Self { least: None, is_least_in: true, most: None };

    /// Those above this one.
    pub const fn above(least: f64) -> Self {
        Self { least: Some(least), is_least_in: false, most: None }
    }

    /// Those from this one up.
    pub const fn from(least: f64) -> Self {
        Self { least: Some(least), is_least_in: true, most: None }
    }

    /// Those of them up to this one.
    pub const fn to(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }
}

/// The words of choices, as [`Item::choice`](super::Item::choice) takes them.
pub const fn words<T, const N: usize>(choices: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut i = 0;
    while i < N {
        words[i] = choices[i].0;
        i += 1;
    }
    words
}

/// These keys and those; `N` is how many they are together.
pub const fn joined<const N: usize>(first: &[Key], second: &[Key]) -> [Key; N] {
    assert!(first.len() + second.len() == N && !first.is_empty(), "N counts both");
    let mut keys = [first[0]; N];
    let mut i = 0;
    while i < N {
        keys[i] = if i < first.len() { first[i] } else { second[i - first.len()] };
        i += 1;
    }
    keys
}

impl fmt::Display for Shape {
    /// In words, with links to the sections of the reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Pattern(_, what) => f.write_str(what),
            Self::Null => f.write_str("`null`"),
            Self::Truth => f.write_str("`true` or `false`"),
            Self::Number(range) => write!(f, "a number{range}"),
            Self::Whole(range) => write!(f, "a whole number{range}"),
            Self::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&words.join(", "))
            }
            Self::Size => f.write_str("a size"),
            Self::SizeUpTo(mib) => write!(f, "a size up to {mib} MiB"),
            Self::Span => f.write_str("a time"),
            Self::List(of) | Self::ListOrNone(of) => write!(f, "a list: {of}"),
            Self::AnyOf(shapes) => {
                let shapes: Vec<String> = shapes.iter().map(ToString::to_string).collect();
                f.write_str(&shapes.join("; or "))
            }
            Self::Section(table) => write!(f, "[{0}](#{0})", table.name),
            Self::Map(of) => write!(f, "names, each with {of}"),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (None, None) => Ok(()),
            (Some(least), None) if self.is_least_in => write!(f, ", at least {least}"),
            (Some(least), None) => write!(f, " above {least}"),
            (None, Some(most)) => write!(f, ", at most {most}"),
            (Some(least), Some(most)) => write!(f, " from {least} to {most}"),
        }
    }
}
