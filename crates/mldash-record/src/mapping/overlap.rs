//! Entries of a mapping that conflict.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Mapping;
use super::rule::Rule;
use super::topic_pattern::{Captures, Scope, TopicPattern};
use crate::yaml::{Placed, Problems};
use mldash_track::name::TrackName;

pub(super) fn check(mapping: &Mapping, problems: &mut Problems) {
    let mut entries: HashMap<(Scope, &str), Vec<&Rule>> = HashMap::new();
    let mut tracks: HashMap<(Scope, String), (&Rule, TrackName)> = HashMap::new();
    for rule in &mapping.rules {
        let before = entries.entry(identity(rule.topic())).or_default();
        match before.iter().find(|first| hides(first, rule)) {
            Some(first) => report_repeated_topic(first, rule, problems),
            None => check_track(mapping, rule, &mut tracks, problems),
        }
        before.push(rule);
    }
    for excluded in &mapping.exclude {
        if let Some(rules) = entries.get(&identity(&excluded.value)) {
            report_excluded(excluded, rules[0], problems);
        }
    }
}

/// Distinguishes topics before a node resolves them.
fn identity(topic: &TopicPattern) -> (Scope, &str) {
    (topic.scope(), topic.absolute())
}

/// Returns true if `first` leaves nothing for `later`, which has the same topic or glob. Entries of
/// one glob can differ in type.
fn hides(first: &Rule, later: &Rule) -> bool {
    first.takes_types_of(later) || !first.topic().is_glob()
}

fn report_repeated_topic(first: &Rule, later: &Rule, problems: &mut Problems) {
    let message =
        format!("`{}` has an entry in line {} already", later.topic(), first.place().line);
    let hint = if later.topic().is_glob() {
        "keep one of them, or give each another `type:`"
    } else {
        "keep one of them"
    };
    problems.add(&later.topic.spot, message, Some(hint.to_owned()));
}

fn report_excluded(excluded: &Placed<TopicPattern>, rule: &Rule, problems: &mut Problems) {
    let message = format!("`{}` is mapped in line {}", excluded.value, rule.place().line);
    problems.add(&excluded.spot, message, Some("remove one of the two".to_owned()));
}

/// Two topics in one track would be one stream, and `a/b` and `a_b` have the same folder.
fn check_track<'m>(
    mapping: &Mapping,
    rule: &'m Rule,
    tracks: &mut HashMap<(Scope, String), (&'m Rule, TrackName)>,
    problems: &mut Problems,
) {
    let Some((scope, track)) = fixed_track(mapping, rule) else {
        return;
    };
    match tracks.entry((scope, track.folder())) {
        Entry::Vacant(free) => {
            free.insert((rule, track));
        }
        Entry::Occupied(taken) => {
            let (first, first_track) = taken.get();
            report_shared_track((first, first_track), (rule, &track), problems);
        }
    }
}

fn report_shared_track(
    (first, first_track): (&Rule, &TrackName),
    (rule, track): (&Rule, &TrackName),
    problems: &mut Problems,
) {
    let line = first.place().line;
    let message = if track == first_track {
        format!("the track `{track}` is that of `{}` in line {line} already", first.topic())
    } else {
        format!("the track `{track}` would share its folder with `{first_track}` of line {line}")
    };
    let spot = rule.keys.track.as_ref().map_or(&rule.topic.spot, |track| &track.spot);
    let hint = format!("give one of them another `track:`, such as `{track}_2`");
    problems.add(spot, message, Some(hint));
}

/// The fixed track of a rule for one topic, and what that name depends on.
fn fixed_track(mapping: &Mapping, rule: &Rule) -> Option<(Scope, TrackName)> {
    let pattern = mapping.keys_of(rule, rule.message_type()).with_defaults().track;
    if rule.topic().is_glob() || !pattern.fields().is_empty() {
        return None;
    }
    let scope = if pattern.names_topic() { rule.topic().scope() } else { Scope::Root };
    let track = pattern.expand(rule.topic().absolute(), &Captures::default(), &[]).ok()?;
    Some((scope, track))
}
