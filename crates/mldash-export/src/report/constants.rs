//! Columns that have one value in all rows. A plot of them would hide those that tell something. Pure.

use super::envelope::Series;
use super::track::TrackSummary;

/// Digits of a number.
const DIGITS: usize = 6;

/// A column that never changes, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) column: String,
    pub(crate) text: String,
}

impl TrackSummary {
    /// Returns true if no element of a column of numbers ever changes, from the first row to the last.
    pub(crate) fn is_constant(&self, column: &str) -> bool {
        let mut elements = self.series.iter().zip(&self.points.series);
        let is_there = |series: &Series| series.values == self.rows && series.non_finite == 0;
        self.rows > 0
            && elements.all(|(name, series)| {
                name.column != column || (is_there(series) && single(series).is_some())
            })
    }

    /// The columns of numbers and texts that never change.
    pub(crate) fn constants(&self) -> Vec<Constant> {
        let mut found: Vec<Constant> = Vec::new();
        for (name, series) in self.series.iter().zip(&self.points.series) {
            let (true, Some(value)) = (self.is_constant(&name.column), single(series)) else {
                continue;
            };
            let text = number(value);
            match found.iter_mut().find(|constant| constant.column == name.column) {
                Some(constant) => constant.text = format!("{}, {text}", constant.text),
                None => found.push(Constant { column: name.column.clone(), text }),
            }
        }
        let single_text = |texts: &super::texts::Texts| match texts.kept.as_slice() {
            [(_, text)] if texts.changes() == 1 => Some(text.clone()),
            _ => None,
        };
        let texts = self.texts.iter().filter_map(|(column, texts)| {
            Some(Constant { column: column.clone(), text: single_text(texts)? })
        });
        found.extend(texts);
        found
    }
}

/// The only value of a series.
fn single(series: &Series) -> Option<f64> {
    let first = *series.first.first()?;
    let is_same = |values: &[f64]| values.iter().all(|value| *value == first);
    (is_same(&series.low) && is_same(&series.high)).then_some(first)
}

/// With six digits.
fn number(value: f64) -> String {
    let short: f64 = format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value);
    short.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::envelope::Envelope;
    use super::super::texts::Texts;
    use super::super::track::SeriesName;
    use super::*;

    fn track(rows: &[[f64; 3]]) -> TrackSummary {
        let mut envelope = Envelope::new(8);
        for _ in 0..3 {
            envelope.add_series();
        }
        for (ts, row) in rows.iter().enumerate() {
            envelope.begin_row(ts as f64);
            row.iter().enumerate().for_each(|(place, value)| envelope.put(place, *value));
        }
        let name = |column: &str| SeriesName { column: column.to_owned(), element: None };
        let series = vec![name("a"), name("k"), name("k")];
        TrackSummary {
            rows: rows.len() as u64,
            points: envelope.finish(),
            series,
            ..Default::default()
        }
    }

    #[test]
    fn a_column_that_never_changes_is_one_value() {
        let mut still = track(&[[1.0, 0.1 + 0.2, 7.0], [2.0, 0.1 + 0.2, 7.0]]);
        let mut texts = Texts::new(8);
        texts.put(0.0, "jpeg");
        still.texts = vec![("format".to_owned(), texts)];
        let of = |column: &str, text: &str| Constant {
            column: column.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(still.constants(), [of("k", "0.3, 7"), of("format", "jpeg")]);
        assert!(still.is_constant("k") && !still.is_constant("a"));
    }

    #[test]
    fn a_single_element_that_changes_or_is_missing_once_makes_a_curve() {
        assert!(!track(&[[1.0, 0.3, 7.0], [2.0, 0.3, 7.5]]).is_constant("k"));
        assert!(!track(&[[1.0, 0.3, f64::NAN], [2.0, 0.3, 7.0]]).is_constant("k"));
        assert!(track(&[[1.0, 0.3, 7.0]]).is_constant("a"), "a single row");
    }
}
