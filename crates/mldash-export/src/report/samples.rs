//! Some rows of a track, from all over it, in bounded memory.

use mldash_track::{Experiment, Query, Row, TrackError, TrackInfo};

use super::limits::SAMPLED_BYTES;

/// Rows that are looked at to see what columns hold.
const SAMPLES: usize = 24;

/// Rows from the beginning, and from all over the track.
pub(crate) fn samples(experiment: &Experiment, info: &TrackInfo) -> Result<Vec<Row>, TrackError> {
    let mut rows = first_rows(experiment, &info.topic, SAMPLES as u64 / 3)?;
    if let Some((first, last)) = info.first_timestamp.zip(info.last_timestamp)
        && info.total_entries > rows.len() as u64
    {
        let span = (first, last);
        rows.extend(spread_rows(experiment, &info.topic, info.total_entries, span, SAMPLES)?);
    }
    Ok(rows)
}

/// Rows that are held together, up to [`SAMPLED_BYTES`] and one more.
#[derive(Default)]
struct Held {
    rows: Vec<Row>,
    bytes: usize,
}

impl Held {
    /// Takes a row. Returns false if no more can be held.
    fn take(&mut self, row: Row) -> bool {
        self.bytes += row.size_bytes();
        self.rows.push(row);
        self.bytes < SAMPLED_BYTES
    }
}

/// The first `count` rows of a track, or fewer if they are very large.
fn first_rows(experiment: &Experiment, topic: &str, count: u64) -> Result<Vec<Row>, TrackError> {
    let mut held = Held::default();
    for row in experiment.tracks(topic).rows(&Query::all().limit(count))? {
        if !held.take(row?) {
            break;
        }
    }
    Ok(held.rows)
}

/// Up to `count` of a track's `rows`: all, or those at times that are evenly spread over `span`, each once. Fewer if they are
/// very large.
pub(crate) fn spread_rows(
    experiment: &Experiment,
    topic: &str,
    rows: u64,
    (first, last): (f64, f64),
    count: usize,
) -> Result<Vec<Row>, TrackError> {
    if rows <= count as u64 {
        return first_rows(experiment, topic, count as u64);
    }
    let slice = experiment.tracks(topic).slice(..)?;
    let steps = count.saturating_sub(1).max(1) as f64;
    let mut held = Held::default();
    for step in 0..count {
        // Exactly the last row, whatever rounding says.
        let secs =
            if step + 1 == count { last } else { first + (last - first) * step as f64 / steps };
        // Nothing before it, or another process took the rows away: there is nothing to show.
        let Ok(row) = slice.find_by_time(secs) else { continue };
        if held.rows.last().is_none_or(|before| before.ts < row.ts) && !held.take(row) {
            break;
        }
    }
    Ok(held.rows)
}

#[cfg(test)]
mod tests {
    use mldash_track::{Options, fields};

    use super::*;

    #[test]
    fn of_very_large_rows_fewer_are_held() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("a/b/c", Options::local(root.path())).unwrap();
        for i in 0..8_u32 {
            exp.tracks("large")
                .append(fields! { "text": "x".repeat(SAMPLED_BYTES / 3) }, f64::from(i))
                .unwrap();
            exp.tracks("small").append(fields! { "text": "x" }, f64::from(i)).unwrap();
        }
        exp.flush().unwrap();
        let rows =
            |topic: &str, count| spread_rows(&exp, topic, 8, (0.0, 7.0), count).unwrap().len();
        assert_eq!(
            [rows("large", 8), rows("large", 4), rows("small", 8), rows("small", 4)],
            [3, 3, 8, 4]
        );
    }
}
