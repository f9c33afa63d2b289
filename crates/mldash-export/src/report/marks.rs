//! What cuts a recording's time: where it was split, where another run begins. Pure.

use super::summary::ExperimentSummary;
use super::times::clock_text;

/// A time at which something begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// In seconds.
    pub(crate) at: f64,
    /// A sentence.
    pub(crate) text: String,
}

/// The marks on an experiment's axis, by time.
pub(crate) fn marks(summary: &ExperimentSummary) -> Vec<Mark> {
    let (about, (start, end)) = (&summary.about, summary.axis);
    let before = about
        .continues
        .iter()
        .map(|before| Mark { at: start, text: format!("It goes on where {before} ended.") });
    let runs = about.later_runs.iter().filter(|at| (start..=end).contains(*at));
    let runs = runs
        .map(|at| Mark { at: *at, text: format!("Another run begins at {}.", clock_text(*at)) });
    let after = about.continued_in.iter();
    let after = after.map(|after| Mark { at: end, text: format!("It goes on in {after}.") });
    before.chain(runs).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::super::about::About;
    use super::*;

    #[test]
    fn parts_cut_at_their_ends_and_runs_where_they_begin() {
        let about = About {
            continues: Some("a/b/1".to_owned()),
            continued_in: Some("a/b/3".to_owned()),
            later_runs: vec![1_750_075_447.0, 1_750_079_999.0],
            ..Default::default()
        };
        let axis = (1_750_075_440.0, 1_750_075_500.0);
        let summary = ExperimentSummary { about, axis, ..Default::default() };
        let found = marks(&summary).into_iter().map(|mark| (mark.at - axis.0, mark.text));
        let expected = [
            (0.0, "It goes on where a/b/1 ended."),
            (7.0, "Another run begins at 12:04:07."),
            (60.0, "It goes on in a/b/3."),
        ];
        assert_eq!(
            found.collect::<Vec<_>>(),
            expected.map(|(at, text)| (at, text.to_owned())),
            "what began after the last row has no place"
        );
    }
}
