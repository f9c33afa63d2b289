//! Draws columns over time as text, of braille dots: two by four in each character. Pure.
//!
//! Our own, since what there is does not fit: textplots draws in f32, in which seconds since 1970 are
//! minutes apart; ratatui's chart joins all points, also across gaps, and wants a terminal's buffer.

use unicode_width::UnicodeWidthStr;

use super::bins::{Bin, Bins};
use super::ticks::{self, Tick};

const DOTS_WIDE: usize = 2;
const DOTS_HIGH: usize = 4;
/// The dots of a braille character, from the top left down, then from the top right down.
const DOTS: [[u32; DOTS_HIGH]; DOTS_WIDE] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
const NO_DOTS: u32 = 0x2800;
/// SGR codes of colours, by series; they stand out on dark and light.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 31, 34];
/// Characters for a mark of the time axis and the space before the next.
const TIME_LABEL_WIDTH: usize = 16;
const MIN_PLOT_WIDTH: usize = 10;
/// Rows of a panel for a mark of the value axis.
const ROWS_A_MARK: usize = 4;

/// A column to draw.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) bins: Bins,
}

/// Where and how to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// In characters, with all labels.
    pub(super) width: usize,
    /// In lines, without the axis of time and what is below it.
    pub(super) height: usize,
    /// Without colour, each column has a panel of its own.
    pub(super) in_colour: bool,
    /// The range of times, in seconds.
    pub(super) start: f64,
    pub(super) end: f64,
}

/// How many steps of the time axis a chart of this width has.
pub(super) fn steps(width: usize) -> usize {
    plot_width(width) * DOTS_WIDE
}

/// The labels of values take up to this many characters.
const LABEL_WIDTH: usize = 10;

fn plot_width(width: usize) -> usize {
    width.saturating_sub(LABEL_WIDTH + 2).max(MIN_PLOT_WIDTH)
}

/// The chart, in lines.
pub(super) fn draw(series: &[Series], frame: Frame) -> String {
    let mut lines = Vec::new();
    if frame.in_colour {
        let numbered: Vec<_> = series.iter().enumerate().collect();
        panel(&numbered, frame, frame.height, &mut lines);
    } else {
        let height = (frame.height / series.len().max(1)).max(2);
        for one in series {
            let text = legend(one);
            lines.push(format!("{:LABEL_WIDTH$}  {text}", ""));
            panel(&[(0, one)], frame, height, &mut lines);
        }
    }
    time_axis(frame, &mut lines);
    lines.push(format!("{:LABEL_WIDTH$}  {}", "", ticks::range(frame.start, frame.end)));
    if frame.in_colour {
        for (i, one) in series.iter().enumerate() {
            let mark = coloured("⣿", Some(i));
            lines.push(format!("{:LABEL_WIDTH$}  {mark} {}", "", legend(one)));
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A column's name and what is in it.
fn legend(series: &Series) -> String {
    let Series { name, bins } = series;
    let values = match bins.span() {
        Some((min, max)) => format!("{min} to {max}"),
        None => "no values".to_owned(),
    };
    match bins.not_finite() {
        0 => format!("{name}: {values}"),
        gaps => format!("{name}: {values}, {gaps} NaN or infinite"),
    }
}

/// The lines of an area with its axis of values.
fn panel(series: &[(usize, &Series)], frame: Frame, height: usize, lines: &mut Vec<String>) {
    let width = plot_width(frame.width);
    let spans = series.iter().filter_map(|(_, series)| series.bins.span());
    let span = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (min, max) = widened(span.unwrap_or((0.0, 1.0)));
    let mut canvas = Canvas::new(width, height);
    for (i, series) in series {
        canvas.draw(*i, series.bins.steps(), min, max);
    }
    let marks = ticks::of_values(min, max, (height / ROWS_A_MARK).max(3));
    for row in 0..height {
        let is_here = |tick: &&Tick| canvas.dot_of(tick.at, min, max) / DOTS_HIGH == row;
        let mark = marks.iter().find(is_here);
        let label = mark.map_or("", |mark| mark.label.as_str());
        let axis = if mark.is_some() { '┤' } else { '│' };
        lines.push(format!("{label:>LABEL_WIDTH$} {axis}{}", canvas.row(row, frame.in_colour)));
    }
}

/// A range that is no single value, which would have no place between others.
fn widened((min, max): (f64, f64)) -> (f64, f64) {
    if max > min {
        return (min, max);
    }
    let by = if min == 0.0 { 1.0 } else { min.abs() * 0.1 };
    (min - by, max + by)
}

fn time_axis(frame: Frame, lines: &mut Vec<String>) {
    let Frame { start, end, .. } = frame;
    let width = plot_width(frame.width);
    let marks = ticks::of_times(start, end, (width / TIME_LABEL_WIDTH).max(1));
    let place = |at: f64| match end > start {
        true => ((at - start) / (end - start) * (width - 1) as f64).round() as usize,
        false => 0,
    };
    let mut axis = vec!['─'; width];
    let mut labels = String::new();
    for mark in &marks {
        axis[place(mark.at).min(width - 1)] = '┬';
        // Below its mark, if there is room.
        let from = place(mark.at).saturating_sub(mark.label.width() / 2);
        let used = labels.width();
        if (used == 0 || from > used) && from + mark.label.width() <= width {
            labels += &" ".repeat(from - used.min(from));
            labels += &mark.label;
        }
    }
    lines.push(format!("{:LABEL_WIDTH$} └{}", "", axis.iter().collect::<String>()));
    lines.push(format!("{:LABEL_WIDTH$}  {labels}", ""));
}

/// Dots, and which series each character is of.
struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<u32>,
    series: Vec<usize>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        let cells = width * height;
        Self { width, height, dots: vec![0; cells], series: vec![0; cells] }
    }

    fn draw(&mut self, series: usize, steps: &[Option<Bin>], min: f64, max: f64) {
        let mut before: Option<(usize, usize)> = None;
        for (x, step) in steps.iter().enumerate() {
            let Some(bin) = step else { continue };
            let dot = |value: f64| self.dot_of(value, min, max);
            let (low, high) = (dot(bin.min), dot(bin.max));
            let (first, last) = (dot(bin.first), dot(bin.last));
            if let Some(from) = before.filter(|_| bin.is_joined) {
                self.line(series, from, (x, first));
            }
            (high..=low).for_each(|y| self.set(series, x, y));
            before = Some((x, last));
        }
    }

    /// The row of dots, from the top, for a value.
    fn dot_of(&self, value: f64, min: f64, max: f64) -> usize {
        let last = self.height * DOTS_HIGH - 1;
        // Halves first: the difference of the largest floats is no float.
        let part = (max / 2.0 - value / 2.0) / (max / 2.0 - min / 2.0);
        ((part * last as f64).round() as usize).min(last)
    }

    /// The dots between two, both included.
    fn line(&mut self, series: usize, from: (usize, usize), to: (usize, usize)) {
        let (wide, high) = (to.0.abs_diff(from.0), to.1.abs_diff(from.1));
        let count = wide.max(high).max(1);
        let between = |a: usize, b: usize, i: usize| {
            let (a, b) = (a as f64, b as f64);
            (a + (b - a) * i as f64 / count as f64).round() as usize
        };
        for i in 0..=count {
            self.set(series, between(from.0, to.0, i), between(from.1, to.1, i));
        }
    }

    fn set(&mut self, series: usize, x: usize, y: usize) {
        let cell = y / DOTS_HIGH * self.width + x / DOTS_WIDE;
        if x / DOTS_WIDE < self.width && cell < self.dots.len() {
            self.dots[cell] |= DOTS[x % DOTS_WIDE][y % DOTS_HIGH];
            self.series[cell] = series;
        }
    }

    /// A line of characters. Only what has dots is coloured.
    fn row(&self, row: usize, in_colour: bool) -> String {
        let cells: Vec<usize> = (row * self.width..(row + 1) * self.width).collect();
        let colour = |cell: usize| (in_colour && self.dots[cell] != 0).then_some(self.series[cell]);
        let runs = cells.chunk_by(|a, b| colour(*a) == colour(*b));
        let text = |run: &[usize]| run.iter().map(|cell| self.character(*cell)).collect::<String>();
        runs.map(|run| coloured(&text(run), run.first().and_then(|cell| colour(*cell)))).collect()
    }

    fn character(&self, cell: usize) -> char {
        match self.dots[cell] {
            0 => ' ',
            dots => char::from_u32(NO_DOTS + dots).unwrap_or(' '),
        }
    }
}

fn coloured(text: &str, series: Option<usize>) -> String {
    match series {
        Some(series) => format!("\x1b[{}m{text}\x1b[0m", COLOURS[series % COLOURS.len()]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, frame: Frame, values: impl Fn(f64) -> f64) -> Series {
        let mut bins = Bins::new(frame.start, frame.end, steps(frame.width));
        let rows = 500;
        for i in 0..=rows {
            let ts = frame.start + (frame.end - frame.start) * f64::from(i) / f64::from(rows);
            bins.push(ts, values(ts - frame.start));
        }
        Series { name: name.to_owned(), bins }
    }

    const FRAME: Frame = Frame { width: 52, height: 6, in_colour: false, start: 0.0, end: 10.0 };

    #[test]
    fn a_column_is_drawn_with_its_axes_and_a_gap_where_it_has_no_number() {
        let values = |t: f64| if (4.0..6.0).contains(&t) { f64::NAN } else { t };
        let drawn = draw(&[series("q", FRAME, values)], FRAME);
        let body: Vec<&str> = drawn.lines().collect();
        assert_eq!(body.len(), 1 + 6 + 3, "{drawn}");
        assert_eq!(body[0].trim(), "q: 0 to 10, 100 NaN or infinite");
        assert!(
            body[1].starts_with("        10 ┤") && body[6].starts_with("         0 ┤"),
            "{drawn}"
        );
        assert!(body[7].contains('┬') && body[8].trim().starts_with('0'), "{drawn}");
        // From 4 s to 6 s of 10, which are 40 characters.
        let has_dots = |column: usize| {
            body[1..7].iter().any(|line| line.chars().nth(12 + column).is_some_and(|c| c > '⠀'))
        };
        assert!((0..16).chain(24..40).all(has_dots) && !(17..23).any(has_dots), "{drawn}");
    }

    #[test]
    fn a_spike_of_one_row_reaches_its_height() {
        let mut spiky = series("q", FRAME, |_| 0.0);
        spiky.bins.push(10.0, 1.0);
        let drawn = draw(&[spiky], FRAME);
        assert!(drawn.lines().nth(1).unwrap().ends_with(['⡇', '⢸', '⣿', '⡏', '⢹']), "{drawn}");
    }

    #[test]
    fn columns_share_an_area_in_colours_or_have_one_each_without() {
        let two = || [series("a", FRAME, f64::sin), series("b", FRAME, |t| t.cos() * 2.0)];
        let plain = draw(&two(), FRAME);
        assert!(!plain.contains('\x1b'));
        assert_eq!(plain.matches(": ").count(), 2);
        assert_eq!(plain.lines().count(), 2 * (1 + 3) + 3);
        let coloured = draw(&two(), Frame { in_colour: true, ..FRAME });
        assert!(coloured.contains("\x1b[36m") && coloured.contains("\x1b[33m"));
        assert_eq!(coloured.lines().count(), 6 + 3 + 2);
    }

    #[test]
    fn a_line_is_as_wide_as_was_asked_for_at_most() {
        for width in [30, 52, 80, 200] {
            let frame = Frame { width, start: 1.7e9, end: 1.7e9 + 100.0, ..FRAME };
            let drawn = draw(&[series("q", frame, f64::sin)], frame);
            let legend =
                drawn.lines().filter(|line| !line.contains(": ") && !line.contains(" to "));
            assert!(legend.clone().all(|line| line.width() <= width), "{width}: {drawn}");
            assert!(legend.clone().any(|line| line.width() == width), "{width}: {drawn}");
        }
    }

    #[test]
    fn nothing_and_one_value_are_drawn_too() {
        let none = Series { name: "q".into(), bins: Bins::new(0.0, 10.0, steps(52)) };
        assert!(draw(&[none], FRAME).contains("q: no values"));
        let same = draw(&[series("q", FRAME, |_| 5.0)], FRAME);
        assert!(same.contains("5.0 ┤") || same.contains("5 ┤"), "{same}");
        let extremes =
            draw(&[series("q", FRAME, |t| if t < 5.0 { f64::MIN } else { f64::MAX })], FRAME);
        assert!(extremes.contains("e308"), "{extremes}");
    }
}
