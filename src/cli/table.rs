//! Tables for people. On a terminal, a table fits the width: columns get narrower or are left out,
//! and no word is broken. In a pipe or a file it has its full width.

use std::io::{self, Write};
use std::os::fd::AsFd;

use comfy_table::{CellAlignment, presets};
use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthStr;

/// Spaces around each cell.
const PADDING: usize = 2;
/// The least that is shown of a name.
const MIN_NAME_WIDTH: usize = 20;
/// The least that is shown of examples.
const MIN_EXAMPLES_WIDTH: usize = 12;
const ELLIPSIS: &str = "…";

/// How a column gives way when the table is too wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Not at all.
    Keep,
    /// Its names lose their middles.
    Shorten,
    /// Its lists go on in the next line. Items end with this separator.
    Wrap(&'static str),
    /// Its lists end early.
    Cut(&'static str),
}

/// Whether a column may be left out of a table that is too wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayGo {
    Never,
    /// If no row has more than `0` or `-` in it.
    IfEmpty,
    Always,
}

/// A column's header and how it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    header: &'static str,
    alignment: CellAlignment,
    fit: Fit,
    may_go: MayGo,
}

impl Column {
    const fn new(header: &'static str, fit: Fit) -> Self {
        Self { header, alignment: CellAlignment::Left, fit, may_go: MayGo::Never }
    }

    /// A word.
    pub(super) const fn word(header: &'static str) -> Self {
        Self::new(header, Fit::Keep)
    }

    /// A number.
    pub(super) const fn number(header: &'static str) -> Self {
        Self { alignment: CellAlignment::Right, ..Self::word(header) }
    }

    /// A name such as a topic's.
    pub(super) const fn name(header: &'static str) -> Self {
        Self::new(header, Fit::Shorten)
    }

    /// A list, all of which is shown. `separator` ends each item but the last.
    pub(super) const fn list(header: &'static str, separator: &'static str) -> Self {
        Self::new(header, Fit::Wrap(separator))
    }

    /// A list whose end may be left out.
    pub(super) const fn examples(header: &'static str, separator: &'static str) -> Self {
        Self::new(header, Fit::Cut(separator))
    }

    /// Makes it a column that is left out where there is no room, the last one first.
    pub(super) const fn if_room(self) -> Self {
        Self { may_go: MayGo::Always, ..self }
    }

    /// Makes it a column that is left out where there is no room and no row has anything in it.
    pub(super) const fn if_any(self) -> Self {
        Self { may_go: MayGo::IfEmpty, ..self }
    }

    /// The narrowest that it may get.
    fn min_width(&self, cells: &[String]) -> usize {
        let widest = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let min = match self.fit {
            Fit::Keep => widest,
            Fit::Shorten => widest.min(MIN_NAME_WIDTH),
            Fit::Wrap(separator) => {
                let items = cells.iter().flat_map(|cell| cell.split_inclusive(separator));
                items.map(|item| item.trim_end().width()).max().unwrap_or(0)
            }
            Fit::Cut(_) => widest.min(MIN_EXAMPLES_WIDTH),
        };
        min.max(self.header.width())
    }

    fn fitted(&self, cell: &str, width: usize) -> String {
        if cell.width() <= width {
            return cell.to_owned();
        }
        match self.fit {
            Fit::Keep => cell.to_owned(),
            Fit::Shorten => without_middle(cell, width),
            Fit::Wrap(separator) => wrapped(cell, separator, width),
            Fit::Cut(separator) => cut(cell, separator, width),
        }
    }
}

/// A table to be filled and printed.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// The cells of each column.
    cells: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(
        columns: [Column; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        let mut cells = vec![Vec::new(); N];
        for row in rows {
            for (column, cell) in cells.iter_mut().zip(row) {
                column.push(printable(&cell));
            }
        }
        Self { columns: columns.into(), cells }
    }

    /// Writes the table, and what was left out of it, within `width`. `None` is any width.
    pub(super) fn write(mut self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let left_out = width.map(|width| self.fit(width)).unwrap_or_default();
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(self.columns.iter().map(|column| column.header));
        for row in 0..self.cells.first().map_or(0, Vec::len) {
            table.add_row(self.cells.iter().map(|column| &column[row]));
        }
        for (number, column) in self.columns.iter().enumerate() {
            if let Some(shown) = table.column_mut(number) {
                shown.set_cell_alignment(column.alignment);
            }
        }
        writeln!(out, "{}", table.trim_fmt())?;
        if !left_out.is_empty() {
            writeln!(out, "(left out to fit the terminal: {})", left_out.join(", "))?;
        }
        Ok(())
    }

    /// Makes it as narrow as `width` if that can be. Returns the headers of the columns that had
    /// something to show and are left out.
    fn fit(&mut self, width: usize) -> Vec<&'static str> {
        let mut left_out = Vec::new();
        for number in (0..self.columns.len()).rev() {
            if self.width() > width
                && self.columns[number].may_go != MayGo::Never
                && self.is_empty(number)
            {
                self.remove(number);
            }
        }
        for number in (0..self.columns.len()).rev() {
            if self.min_width() > width && self.columns[number].may_go == MayGo::Always {
                left_out.push(self.remove(number).header);
            }
        }
        // What is too wide is taken from the last column that can give it, then from the one before.
        for number in (0..self.columns.len()).rev() {
            let excess = self.width().saturating_sub(width);
            let column = self.columns[number];
            let (now, min) = (self.width_of(number), column.min_width(&self.cells[number]));
            let width = now.saturating_sub(excess).max(min);
            for cell in &mut self.cells[number] {
                *cell = column.fitted(cell, width);
            }
        }
        left_out.reverse();
        left_out
    }

    fn is_empty(&self, number: usize) -> bool {
        self.cells[number].iter().all(|cell| matches!(&**cell, "" | "0" | "-"))
    }

    fn remove(&mut self, number: usize) -> Column {
        self.cells.remove(number);
        self.columns.remove(number)
    }

    fn width(&self) -> usize {
        (0..self.columns.len()).map(|number| self.width_of(number) + PADDING).sum()
    }

    fn width_of(&self, number: usize) -> usize {
        let lines = self.cells[number].iter().flat_map(|cell| cell.lines());
        lines.chain([self.columns[number].header]).map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    fn min_width(&self) -> usize {
        let columns = self.columns.iter().zip(&self.cells);
        columns.map(|(column, cells)| column.min_width(cells) + PADDING).sum()
    }
}

/// The width of the terminal that `out` is; `None` if it is something else.
pub(super) fn width_of(out: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(out).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0)?;
    Some(usize::from(size.ws_col))
}

/// Text for a terminal. A bag may contain any name, escape codes too.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Keeps a third of the width for the start, and the rest for the end, which tells topics apart.
fn without_middle(text: &str, width: usize) -> String {
    let room = width.saturating_sub(ELLIPSIS.width());
    let start = prefix(text.chars(), room / 3);
    let end = prefix(text.chars().rev(), room - room / 3);
    start.into_iter().collect::<String>() + ELLIPSIS + &end.into_iter().rev().collect::<String>()
}

/// As many of the characters as fit.
fn prefix(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.encode_utf8(&mut [0; 4]).width();
        used <= width
    };
    chars.take_while(fits).collect()
}

fn wrapped(list: &str, separator: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for item in list.split_inclusive(separator) {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.width() + item.trim_end().width() <= width => {
                line.push_str(item);
            }
            _ => lines.push(item.to_owned()),
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}

fn cut(list: &str, separator: &str, width: usize) -> String {
    let mut shown = String::new();
    for item in list.split_inclusive(separator) {
        if shown.width() + item.width() + ELLIPSIS.width() > width {
            break;
        }
        shown.push_str(item);
    }
    shown + ELLIPSIS
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::name("TOPIC"),
        Column::number("ROWS"),
        Column::number("LOST").if_any(),
        Column::number("BYTES").if_room(),
        Column::list("NOTES", ", "),
    ];

    fn printed(lost: &str, width: Option<usize>) -> String {
        let row =
            |topic: &str, notes: &str| [topic, "12345", lost, "1000000", notes].map(str::to_owned);
        let rows = [
            row("/camera/left/image_raw/compressed", "stamp_moved 3, text_repaired 7"),
            row("/imu", ""),
        ];
        let mut out = Vec::new();
        Table::new(COLUMNS, rows).write(&mut out, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn in_a_pipe_and_on_a_wide_terminal_a_table_has_its_full_width() {
        let full = printed("0", None);
        assert_eq!(full, printed("0", Some(200)));
        assert!(full.contains("LOST") && full.contains("stamp_moved 3, text_repaired 7"), "{full}");
    }

    #[test]
    fn every_line_fits_and_no_word_is_broken() {
        for width in 52..120 {
            let table = printed("2", Some(width));
            for line in table.lines() {
                assert!(line.width() <= width, "{width}: {table}");
            }
            for word in ["stamp_moved 3", "text_repaired 7", "12345", "/imu", "TOPIC"] {
                assert!(table.contains(word), "{width}: {word}: {table}");
            }
        }
    }

    #[test]
    fn what_says_nothing_goes_first_and_what_says_something_is_named() {
        let narrow = printed("0", Some(85));
        assert!(!narrow.contains("LOST") && narrow.contains("BYTES"), "{narrow}");
        let narrower = printed("2", Some(55));
        assert!(narrower.ends_with("(left out to fit the terminal: BYTES)\n"), "{narrower}");
        assert!(narrower.contains("LOST"), "{narrower}");
        assert!(narrower.contains("/camera…_raw/compressed"), "{narrower}");
    }

    #[test]
    fn a_list_of_examples_ends_early() {
        assert_eq!(cut("a bb ccc dddd", " ", 8), "a bb …");
        assert_eq!(without_middle("/camera/left/image_raw", 13), "/cam…mage_raw");
    }

    #[test]
    fn escape_codes_do_not_reach_the_terminal() {
        assert_eq!(printable("/a\u{1b}[31m"), "/a\\u{1b}[31m");
    }
}
