//! Values of options that hold for all tracks or for one.

use std::str::FromStr;

use clap::builder::TypedValueParser;
use mldash_bridge::track::{AlignMethod, Missing};

use super::super::args::track_of;
use super::how::{METHODS, MISSING};

/// `VALUE`, or `TRACK=VALUE` for one track.
#[derive(Clone, Debug)]
pub(super) struct ForTrack<T> {
    pub(super) track: Option<String>,
    value: T,
}

/// `TRACK:COLUMN`.
#[derive(Clone, Debug)]
pub(super) struct OfTrack {
    pub(super) track: String,
    pub(super) column: String,
}

/// `TRACK:COLUMN=NAME`.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub(super) of: OfTrack,
    pub(super) name: String,
}

pub(super) fn method(word: &str) -> Result<AlignMethod, String> {
    choice(word, &METHODS)
}

pub(super) fn missing(word: &str) -> Result<Missing, String> {
    choice(word, &MISSING)
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("expected a number of seconds, got `{text}`"))
}

fn choice<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        format!("`{word}` is none of {}", words.join(", "))
    })
}

impl<T: Copy + Send + Sync + 'static> ForTrack<T> {
    /// Parses such a value, with `parse` for its second part.
    pub(super) fn parser(
        parse: fn(&str) -> Result<T, String>,
    ) -> impl TypedValueParser<Value = Self> {
        let parse = move |text: String| {
            // No value has a `=` in it; a track can.
            let (track, value) = match text.rsplit_once('=') {
                Some((track, value)) => (Some(track_of(track)), value),
                None => (None, &*text),
            };
            parse(value).map(|value| Self { track, value })
        };
        clap::builder::StringValueParser::new().try_map(parse)
    }

    /// The last value for all tracks.
    pub(super) fn all(values: &[Self]) -> Option<T> {
        values.iter().rev().find(|value| value.track.is_none()).map(|value| value.value)
    }

    /// The last value for this track.
    pub(super) fn of(values: &[Self], track: &str) -> Option<T> {
        let is_of = |value: &&Self| value.track.as_deref() == Some(track);
        values.iter().rev().find(is_of).map(|value| value.value)
    }
}

impl OfTrack {
    /// The columns of a track.
    pub(super) fn columns<'c>(columns: &'c [Self], track: &str) -> Vec<&'c str> {
        columns.iter().filter(|of| of.track == track).map(|of| &*of.column).collect()
    }
}

impl FromStr for OfTrack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once(':').filter(|(track, column)| !track.is_empty() && !column.is_empty());
        let (track, column) =
            parts.ok_or_else(|| format!("expected TRACK:COLUMN, got `{text}`"))?;
        Ok(Self { track: track_of(track), column: column.to_owned() })
    }
}

impl FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(_, name)| !name.is_empty());
        let (of, name) =
            parts.ok_or_else(|| format!("expected TRACK:COLUMN=NAME, got `{text}`"))?;
        Ok(Self { of: of.parse()?, name: name.to_owned() })
    }
}
