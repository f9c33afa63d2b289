//! Finds the word that was meant.

/// How similar two words must be, from 0 to 1, for one to be a typo of the other.
const SIMILAR: f64 = 0.8;
/// How long a part of a word must be to mean the word: `rate` for `max_rate`.
const MIN_PART_BYTES: usize = 3;

/// The known word of which `word` is a typo or a part.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let word = plain(word);
    let score = |known: &str| {
        let known = plain(known);
        let is_part = word.len() >= MIN_PART_BYTES && known.contains(&word);
        if is_part { 1.0 } else { strsim::jaro_winkler(&word, &known) }
    };
    let scored = known.into_iter().map(|known| (score(known), known));
    scored.filter(|(score, _)| *score >= SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|s| s.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_a_part_of_a_word_mean_it_and_anything_else_means_none() {
        let known = ["track", "max_rate", "on_change", "PoseStamped"];
        let meant = |word| nearest(word, known);
        assert_eq!(meant("trak"), Some("track"));
        assert_eq!(meant("rate"), Some("max_rate"));
        assert_eq!(meant("on-change"), Some("on_change"));
        assert_eq!(meant("posestampd"), Some("PoseStamped"));
        assert_eq!(meant("required"), None);
    }
}
