//! Reads the mapping's keys, from the YAML tree to a [`Mapping`].

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::experiment::{ExperimentTemplate, is_variable};
use super::keys::{self, MAPPING};
use super::labels::{self, LabelKeys};
use super::rule::Rule;
use super::settings::{self, Keys};
use super::topic_pattern::TopicPattern;
use super::{
    ClockJump, Flush, Mapping, Remote, TypeDefaults, WHAT, calls, overlap, publish, required,
    snapshot, split, split_on,
};
use crate::yaml::{self, Item, Placed, Problems, Section};
use mldash_message::TypeName;
use mldash_track::{Compression, Keep, Options, WhenLocalFull};

/// What a mapping and the command line call each [`Compression`].
pub const COMPRESSIONS: [(&str, Compression); 2] =
    [("zstd", Compression::Zstd), ("none", Compression::None)];
pub(super) const CLOCK_JUMPS: [(&str, ClockJump); 2] =
    [("sort", ClockJump::Sort), ("split", ClockJump::Split)];
pub(super) const KEEPS: [(&str, Keep); 2] = [("all", Keep::All), ("unsynced", Keep::Unsynced)];
pub(super) const WHEN_FULL: [(&str, WhenLocalFull); 2] =
    [("stop", WhenLocalFull::Stop), ("drop_synced", WhenLocalFull::DropSynced)];
const NO_TOPICS: &str = "write `topics:` and below it lines such as `  - topic: /robot/pose`";
const EXPERIMENT: &str =
    "write `owner/project/name`; `{date}`, `{time}`, `{host}` and `{env:NAME}` fill in";
const TOPIC: &str =
    "write a name such as `/robot/pose` or a glob such as `/camera/*/camera_info` or `/**/imu`";
const REGEX: &str = "write one such as `^/camera/`; it is looked for anywhere in a topic's name";
pub(super) const SIZE: &str = "write a number and a unit: B, kB, KiB, MB, MiB, GB, GiB, TB or TiB";
const TYPE: &str = "write a type such as `geometry_msgs/msg/PoseStamped`";

/// The mapping in `text`; `None` only with a problem.
pub(super) fn mapping(text: &str, problems: &mut Problems) -> Option<Mapping> {
    let root = yaml::parse(WHAT, text, NO_TOPICS, problems)?;
    let section = Item::root(&root).section(&MAPPING, problems)?;
    let mapping = Mapping {
        experiment: section.get("experiment").and_then(|item| experiment(item, problems)),
        root: section.get("root").and_then(|item| root_folder(item, problems)),
        remote: section.get("remote").and_then(|item| remote(item, problems)),
        publish: section.get(publish::PUBLISH).and_then(|item| publish::read(item, problems)),
        flush: section.get("flush").and_then(|item| flush(item, problems)).unwrap_or_default(),
        compression: section
            .get("compress")
            .and_then(|item| item.choice(&COMPRESSIONS, problems))
            .unwrap_or_default(),
        min_free: section.get("min_free").and_then(|item| item.parse(SIZE, problems)),
        rules: rules(&section, problems),
        calls: calls::read(&section, problems),
        types: section.get("types").and_then(|item| types(item, problems)).unwrap_or_default(),
        exclude: section
            .get("exclude")
            .and_then(|item| exclude(item, problems))
            .unwrap_or_default(),
        exclude_types: section
            .get("exclude_types")
            .and_then(|item| exclude_types(item, problems))
            .unwrap_or_default(),
        required: section
            .get("required")
            .and_then(|item| required::read(item, problems))
            .unwrap_or_default(),
        start_paused: section
            .get("start_paused")
            .and_then(|item| item.truth(problems))
            .unwrap_or_default(),
        clock_jump: section
            .get("clock_jump")
            .and_then(|item| item.choice(&CLOCK_JUMPS, problems))
            .unwrap_or_default(),
        split: section
            .get("split")
            .and_then(|item| split::read(item, problems))
            .unwrap_or_default(),
        split_on: split_on::read(&section, problems),
        snapshot: section.get(snapshot::SNAPSHOT).and_then(|item| snapshot::read(item, problems)),
        labels: labels(&section, problems),
        gather: section.get("gather").and_then(|item| gather(item, problems)),
        defaults: Keys::read_defaults(&section, problems),
        text: text.to_owned(),
        path: PathBuf::new(),
        is_of_options: false,
    };
    overlap::check(&mapping, problems);
    required::check(&mapping, problems);
    snapshot::check(&mapping, problems);
    Some(mapping)
}

fn experiment(item: &Item<'_>, problems: &mut Problems) -> Option<Placed<ExperimentTemplate>> {
    let template: ExperimentTemplate = item.parse(EXPERIMENT, problems)?;
    if let Err(error) = template.check() {
        problems.add(&item.spot, error.to_string(), Some(EXPERIMENT.to_owned()));
    }
    Some(item.place(template))
}

fn labels(section: &Section<'_>, problems: &mut Problems) -> LabelKeys {
    let mut keys = LabelKeys::default();
    if let Some(item) = section.get("tags") {
        labels::read_tags(item, &mut keys, problems);
    }
    if let Some(item) = section.get("metadata") {
        labels::read_metadata(item, &mut keys, problems);
    }
    keys
}

fn root_folder(item: &Item<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let text = item.text(problems)?;
    // No shell expands it.
    match (text.strip_prefix("~/"), env::home_dir()) {
        (Some(below), Some(home)) => Some(home.join(below)),
        _ => Some(PathBuf::from(text)),
    }
}

fn remote(item: &Item<'_>, problems: &mut Problems) -> Option<Remote> {
    if item.is_scalar() && !item.is_null() {
        let hint = format!("write `remote: {{url: {}}}`", item.text(problems)?);
        item.mismatch("a mapping", Some(&hint), problems);
        return None;
    }
    let section = item.section(&keys::REMOTE, problems)?;
    let token_env = section.get("token_env").and_then(|item| variable(item, problems));
    let keep = section.get("keep").and_then(|item| item.choice(&KEEPS, problems));
    let max_local = section.get("max_local").and_then(|item| item.parse(SIZE, problems));
    let when_full = section.get("when_full").map(|item| {
        if section.get("max_local").is_none() {
            let hint = "write `max_local: 20GiB` beside it";
            problems.add(&item.spot, "`when_full` without `max_local`", Some(hint.to_owned()));
        }
        item.choice(&WHEN_FULL, problems).unwrap_or_default()
    });
    let Some(url) = section.get("url") else {
        let hint = "write `url: https://api.example.org`";
        problems.add(&section.spot, "`url` is missing", Some(hint.to_owned()));
        return None;
    };
    Some(Remote {
        url: self::url(url, problems)?,
        token_env,
        keep: keep.unwrap_or_default(),
        max_local,
        when_full: when_full.unwrap_or_default(),
    })
}

fn url(item: &Item<'_>, problems: &mut Problems) -> Option<String> {
    let text = item.text(problems)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let has_host = host.is_some_and(|host| !host.is_empty() && !host.starts_with(':'));
    if !has_host || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        item.mismatch("an address such as https://api.example.org", None, problems);
        return None;
    }
    Some(text.to_owned())
}

fn variable(item: &Item<'_>, problems: &mut Problems) -> Option<String> {
    let name = item.text(problems)?;
    if !is_variable(name) {
        // It could be the token itself, so it is not shown.
        let hint = "write the name of the variable that holds the token, not the token";
        problems.add(&item.spot, "not an environment variable's name", Some(hint.to_owned()));
        return None;
    }
    Some(name.to_owned())
}

fn flush(item: &Item<'_>, problems: &mut Problems) -> Option<Flush> {
    let section = item.section(&keys::FLUSH, problems)?;
    let mut seconds =
        |key: &str| section.get(key)?.number(Options::INTERVALS, Options::interval, problems);
    let (interval, fsync) = (seconds("interval"), seconds("fsync"));
    let batch = section.get("batch").and_then(|item| {
        item.number("a number of rows, at least 1", |n: usize| (n > 0).then_some(n), problems)
    });
    Some(Flush { interval, batch, fsync })
}

/// With longer times, a subscription of small depth could overflow before its messages are taken.
pub(super) const LONGEST_GATHER_SECS: f64 = 0.005;

fn gather(item: &Item<'_>, problems: &mut Problems) -> Option<Duration> {
    let accept = |secs: f64| {
        let fits = (0.0..=LONGEST_GATHER_SECS).contains(&secs);
        fits.then(|| Duration::try_from_secs_f64(secs).ok()).flatten()
    };
    item.number("a number of seconds from 0 to 0.005", accept, problems)
}

fn rules(section: &Section<'_>, problems: &mut Problems) -> Vec<Rule> {
    let Some(item) = section.get("topics") else {
        if section.get("services").or(section.get("actions")).is_some() {
            return Vec::new();
        }
        problems.add(&section.spot, "`topics` is missing", Some(NO_TOPICS.to_owned()));
        return Vec::new();
    };
    let entries = item.list(problems).unwrap_or_default();
    if item.is_empty() {
        problems.add(&item.spot, "no topic is mapped", Some(NO_TOPICS.to_owned()));
    }
    entries.iter().filter_map(|entry| rule(entry, problems)).collect()
}

fn rule(item: &Item<'_>, problems: &mut Problems) -> Option<Rule> {
    if item.is_scalar() {
        let hint = "write `- topic: /name`";
        item.mismatch("an entry of `topics`", Some(hint), problems);
        return None;
    }
    let section = item.section(&keys::ENTRY, problems)?;
    let keys = Keys::read(&section, problems);
    let message_type = section
        .get("type")
        .and_then(|item| item.parse(TYPE, problems).map(|message_type| item.place(message_type)));
    let topic = match (section.get("topic"), section.get("regex")) {
        (Some(topic), None) => topic.place(topic.parse(TOPIC, problems)?),
        (None, Some(item)) => regex(item, problems)?,
        (Some(_), Some(item)) => {
            let hint = "keep one of them: a name or a glob, or a regular expression";
            problems.add(
                &item.spot,
                "`topic` and `regex` exclude each other",
                Some(hint.to_owned()),
            );
            return None;
        }
        (None, None) => {
            let hint = "write `topic: /name` or a glob such as `topic: /camera/*/camera_info`";
            problems.add(&section.spot, "`topic` is missing", Some(hint.to_owned()));
            return None;
        }
    };
    check_track(&keys, topic.value.wildcards(), problems);
    Some(Rule { topic, message_type, keys, calls: None })
}

fn regex(item: &Item<'_>, problems: &mut Problems) -> Option<Placed<TopicPattern>> {
    match TopicPattern::regex(item.text(problems)?) {
        Ok(pattern) => Some(item.place(pattern)),
        Err(error) => {
            problems.add(&item.spot, error.to_string(), Some(REGEX.to_owned()));
            None
        }
    }
}

fn types(item: &Item<'_>, problems: &mut Problems) -> Option<TypeDefaults> {
    let mut types: TypeDefaults = BTreeMap::new();
    for entry in item.entries(problems)? {
        let keys = entry.value.section(&keys::SETTINGS, problems).map(|section| {
            let keys = Keys::read(&section, problems);
            check_track(&keys, 0, problems);
            check_shared_track(&keys, problems);
            keys
        });
        match entry.key.value.parse::<TypeName>() {
            Err(error) => problems.add(&entry.key.spot, error.to_string(), Some(TYPE.to_owned())),
            Ok(name) if types.contains_key(&name) => {
                let message = format!("{name} is there twice");
                problems.add(&entry.key.spot, message, Some("keep one of them".to_owned()));
            }
            Ok(name) => {
                let keys = keys.unwrap_or_default();
                types.insert(name, Placed { value: keys, spot: entry.key.spot });
            }
        }
    }
    Some(types)
}

fn check_track(keys: &Keys, wildcards: usize, problems: &mut Problems) {
    if let Some(track) = &keys.track
        && let Err(error) = track.value.check(wildcards)
    {
        problems.add(&track.spot, error.to_string(), Some(settings::TRACK.to_owned()));
    }
}

fn check_shared_track(keys: &Keys, problems: &mut Problems) {
    if let Some(track) = &keys.track
        && !track.value.names_topic()
    {
        let message = format!("all topics of this type would share the track `{}`", track.value);
        let hint = format!("write the topic into it: `{{topic}}/{}`", track.value);
        problems.add(&track.spot, message, Some(hint));
    }
}

fn exclude(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<Placed<TopicPattern>>> {
    let items = item.list(problems)?;
    let pattern = |item: &Item<'_>| {
        if item.is_scalar() {
            return item.parse(TOPIC, problems).map(|pattern| item.place(pattern));
        }
        let section = item.section(&keys::EXCLUDED, problems)?;
        let Some(item) = section.get("regex") else {
            item.mismatch("a topic", Some(TOPIC), problems);
            return None;
        };
        regex(item, problems)
    };
    Some(items.iter().filter_map(pattern).collect())
}

fn exclude_types(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<Placed<TypeName>>> {
    let items = item.list(problems)?;
    let ty = |item: &Item<'_>| item.parse(TYPE, problems).map(|ty| item.place(ty));
    Some(items.iter().filter_map(ty).collect())
}
