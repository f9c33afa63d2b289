//! Entries of a mapping that get in each other's way.

use super::Mapping;
use super::problem::{Placed, Problems};
use super::rule::Rule;
use super::topic::{Captures, Scope, TopicPattern};
use super::track_pattern::TrackPattern;
use crate::track::name::TrackName;

pub(super) fn check(mapping: &Mapping, problems: &mut Problems) {
    for (i, rule) in mapping.rules.iter().enumerate() {
        let before = &mapping.rules[..i];
        match before.iter().find(|first| hides(first, rule)) {
            Some(first) => report_repeated_topic(first, rule, problems),
            None => check_track(mapping, before, rule, problems),
        }
        if let Some(excluded) = mapping.exclude.iter().find(|e| is_same(&e.value, rule.topic())) {
            report_excluded(excluded, rule, problems);
        }
    }
}

fn is_same(one: &TopicPattern, other: &TopicPattern) -> bool {
    (one.scope(), one.absolute()) == (other.scope(), other.absolute())
}

/// Whether nothing is left for `later` to be used for. Globs of one text can differ in the type
/// they are for.
fn hides(first: &Rule, later: &Rule) -> bool {
    let takes_all = first.message_type().is_none_or(|t| later.message_type() == Some(t));
    is_same(first.topic(), later.topic()) && (takes_all || !first.topic().is_glob())
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

/// Two topics with one track would be one stream; `a/b` and `a_b` are one folder.
fn check_track(mapping: &Mapping, before: &[Rule], rule: &Rule, problems: &mut Problems) {
    let Some((scope, track)) = fixed_track(mapping, rule) else {
        return;
    };
    for first in before {
        let Some((first_scope, first_track)) = fixed_track(mapping, first) else {
            continue;
        };
        if scope != first_scope || track.folder() != first_track.folder() {
            continue;
        }
        let line = first.place().line;
        let message = if track == first_track {
            format!("the track `{track}` is that of `{}` in line {line} already", first.topic())
        } else {
            format!(
                "the track `{track}` would share its folder with `{first_track}` of line {line}"
            )
        };
        let spot = rule.keys.track.as_ref().map_or(&rule.topic.spot, |track| &track.spot);
        let hint = format!("give one of them another `track:`, such as `{track}_2`");
        problems.add(spot, message, Some(hint));
        return;
    }
}

/// The one track that a rule for one topic has, and what that name depends on.
fn fixed_track(mapping: &Mapping, rule: &Rule) -> Option<(Scope, TrackName)> {
    if rule.topic().is_glob() {
        return None;
    }
    let keys = mapping.keys_of(rule, rule.message_type());
    let track: TrackPattern = keys.settle().track;
    let scope = if track.names_topic() { rule.topic().scope() } else { Scope::Root };
    let is_static = track.fields().is_empty();
    let expanded =
        is_static.then(|| track.expand(rule.topic().absolute(), &Captures::default(), &[]));
    Some((scope, expanded?.ok()?))
}
