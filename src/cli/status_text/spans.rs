//! A line of text of which some is in red, cut to a width.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// ANSI for red, and for the usual colour.
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";
const CUT: char = '…';

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) is_red: bool,
}

/// Pieces in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<Span>);

impl Span {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_red: false }
    }

    pub(super) fn red(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_red: true }
    }

    pub(super) fn width(&self) -> usize {
        self.text.width()
    }
}

impl Line {
    pub(super) fn push(&mut self, span: Span) {
        self.0.push(span);
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(Span::width).sum()
    }

    /// The text, at most so wide. In colour, escape sequences take no room.
    pub(super) fn render(&self, columns: usize, is_coloured: bool) -> String {
        let is_cut = self.width() > columns;
        let mut room = if is_cut { columns.saturating_sub(1) } else { columns };
        let mut out = String::new();
        for span in &self.0 {
            let (taken, whole) = start_of(&span.text, room);
            room -= taken.width();
            let _ = match span.is_red && is_coloured && !taken.is_empty() {
                true => write!(out, "{RED}{taken}{PLAIN}"),
                false => write!(out, "{taken}"),
            };
            if !whole {
                break;
            }
        }
        if is_cut && columns > 0 {
            out.push(CUT);
        }
        out
    }
}

impl From<Vec<Span>> for Line {
    fn from(spans: Vec<Span>) -> Self {
        Self(spans)
    }
}

/// As much of a text as fits, and whether that is all of it.
fn start_of(text: &str, columns: usize) -> (&str, bool) {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        width += c.width().unwrap_or(0);
        if width > columns {
            return (&text[..at], false);
        }
    }
    (text, true)
}

/// The end of a name that is too long, since names of one robot begin alike; padded to the width.
pub(super) fn name(text: &str, columns: usize) -> String {
    let width = text.width();
    if width <= columns {
        return format!("{text}{}", " ".repeat(columns - width));
    }
    let mut cut = String::new();
    for c in text.chars().rev() {
        if cut.width() + c.width().unwrap_or(0) > columns.saturating_sub(1) {
            break;
        }
        cut.insert(0, c);
    }
    let padding = " ".repeat(columns.saturating_sub(cut.width() + 1));
    format!("{CUT}{cut}{padding}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_its_width_whatever_its_colours() {
        let line = Line::from(vec![Span::plain("ab "), Span::red("3 LOST"), Span::plain(" end")]);
        assert_eq!(line.width(), 13);
        assert_eq!(line.render(13, false), "ab 3 LOST end");
        assert_eq!(line.render(13, true), "ab \u{1b}[31m3 LOST\u{1b}[0m end");
        assert_eq!(line.render(6, true), "ab \u{1b}[31m3 \u{1b}[0m…");
        assert_eq!(line.render(3, true), "ab…");
        assert_eq!((line.render(1, true).as_str(), line.render(0, true).as_str()), ("…", ""));
        let wide = Line::from(vec![Span::plain("画面x")]);
        assert_eq!((wide.width(), wide.render(4, false)), (5, "画…".to_owned()));
    }

    #[test]
    fn of_a_long_name_the_end_is_shown() {
        assert_eq!(name("/imu", 6), "/imu  ");
        assert_eq!(name("/camera/left/image_raw", 10), "…image_raw");
        assert_eq!(name("/a/画面", 4), "…面 ");
        assert_eq!(name("/imu", 1), "…");
    }
}
