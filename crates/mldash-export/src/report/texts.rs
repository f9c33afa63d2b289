//! Columns of text: which text was in effect when. Only changes are kept, and of very many some. Pure.

/// Changes that are kept of a column; at least half as many if there are so many.
const MAX_CHANGES: usize = 400;
/// Of very many columns, fewer are kept of each …
const MIN_CHANGES: usize = 2;
/// … so that those of a page take about so much.
const TEXTS_BYTES: usize = 3_000_000;
/// Longer texts are cut.
const MAX_CHARS: usize = 160;

/// The changes of a text.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    max_changes: usize,
    last: Option<String>,
    changes: u64,
    /// Of how many changes one is kept.
    every: u64,
    /// When a text came, and what it was.
    pub(crate) kept: Vec<(f64, String)>,
}

/// How many changes may be kept of each of so many columns.
pub(crate) fn max_changes(columns: usize) -> usize {
    (TEXTS_BYTES / MAX_CHARS / columns.max(1)).clamp(MIN_CHANGES, MAX_CHANGES)
}

impl Texts {
    /// No text yet.
    pub(crate) fn new(max_changes: usize) -> Self {
        Self { max_changes, last: None, changes: 0, every: 1, kept: Vec::new() }
    }

    /// After the last row: what it was compared with is no longer needed.
    pub(crate) fn finish(&mut self) {
        self.last = None;
    }

    /// Takes the text of the next row.
    pub(crate) fn put(&mut self, ts: f64, text: &str) {
        if self.last.as_deref() == Some(text) {
            return;
        }
        self.last = Some(text.to_owned());
        if self.changes.is_multiple_of(self.every) {
            if self.kept.len() == self.max_changes {
                let mut is_kept = false;
                self.kept.retain(|_| {
                    is_kept = !is_kept;
                    is_kept
                });
                self.every *= 2;
            }
            if self.changes.is_multiple_of(self.every) {
                self.kept.push((ts, cut(text)));
            }
        }
        self.changes += 1;
    }

    /// How many texts came that differ from the one before.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }
}

/// The beginning of a text: at most 160 characters of it.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_kept() {
        let mut texts = Texts::new(MAX_CHANGES);
        for (ts, text) in [(0.0, "idle"), (1.0, "idle"), (2.0, "move"), (3.0, "idle")] {
            texts.put(ts, text);
        }
        let kept: Vec<_> = texts.kept.iter().map(|(ts, text)| (*ts, text.as_str())).collect();
        assert_eq!(kept, [(0.0, "idle"), (2.0, "move"), (3.0, "idle")]);
    }

    #[test]
    fn of_very_many_changes_some_are_kept_evenly() {
        let mut texts = Texts::new(MAX_CHANGES);
        for i in 0..100_000 {
            texts.put(f64::from(i), &i.to_string());
        }
        assert_eq!(texts.changes(), 100_000);
        assert!((MAX_CHANGES / 2..=MAX_CHANGES).contains(&texts.kept.len()));
        let step = texts.kept[1].0;
        assert!(texts.kept.iter().zip(0_u32..).all(|((ts, _), i)| *ts == step * f64::from(i)));
    }

    #[test]
    fn of_very_many_columns_fewer_changes_are_kept() {
        assert_eq!([1, 8, 50_000].map(max_changes), [400, 400, MIN_CHANGES]);
        assert!(100 * max_changes(100) * MAX_CHARS <= TEXTS_BYTES);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(&"手".repeat(1000)).chars().count(), MAX_CHARS + 1);
        assert_eq!(cut("short"), "short");
    }
}
