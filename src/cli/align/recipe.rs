//! A recipe for `align`: what to join and how, in YAML. All problems are told at once.

use std::path::Path;

use mldash_bridge::record::yaml::{self, Item, Problems, Section, YamlErrors};
use mldash_bridge::track::{Align, Join, Missing};

use super::super::args::track_of;
use super::how::{How, METHODS, MISSING};
use super::keys::{self, JOINS};

const WHAT: &str = "recipe";
const ON_OR_RATE: &str = "write `on: camera/front` for its rows, or `rate: 20` for ticks a second";
const JOIN: &str = "write `join:` and below it lines such as `  - track: arm/joints`";
const SECONDS: &str = "a number of seconds from 0 up";

/// The joins that the recipe at `path` asks for.
///
/// # Errors
/// Fails if the file can't be read, with everything that is wrong with it.
pub(super) fn load(path: &Path) -> Result<Align, YamlErrors> {
    let text = yaml::read_file(WHAT, path)?;
    let mut problems = Problems::default();
    let align = read(&text, &mut problems);
    problems.none_or_all(WHAT, path, align)
}

/// The recipe in `text`; `None` only with a problem.
fn read(text: &str, problems: &mut Problems) -> Option<Align> {
    let root = yaml::parse(WHAT, text, ON_OR_RATE, problems)?;
    let section = Item::root(&root).section(&JOINS, problems)?;
    let align = base(&section, problems);
    let start = seconds("start", &section, problems);
    let end = seconds("end", &section, problems);
    let how = how(&section, problems);
    let columns = section.get("columns").and_then(|item| texts(item, problems));
    let renames = section.get("rename").and_then(|item| renames(item, problems));
    let joins = joins(&section, problems);
    let mut align = how.for_all(align?);
    if let Some(secs) = start {
        align = align.since(secs);
    }
    if let Some(secs) = end {
        align = align.until(secs);
    }
    if let Some(columns) = columns {
        align = align.columns(columns);
    }
    let renames = renames.unwrap_or_default().into_iter();
    let align = renames.fold(align, |align, (own, name)| align.rename(own, name));
    Some(joins.into_iter().fold(align, Align::join))
}

/// When there is a row.
fn base(section: &Section<'_>, problems: &mut Problems) -> Option<Align> {
    match (section.get("on"), section.get("rate")) {
        (Some(_), Some(rate)) => {
            let hint = "keep `on` for the rows of a track, or `rate` for a grid";
            problems.add(&rate.spot, "`rate` beside `on`", Some(hint.to_owned()));
            None
        }
        (Some(on), None) => track(on, problems).map(Align::on),
        (None, Some(rate)) => {
            for key in ["columns", "rename"] {
                if let Some(item) = section.get(key) {
                    let hint = "put it below a track in `join`";
                    let message = format!("`{key}` without `on`: a grid has no columns of its own");
                    problems.add(&item.spot, message, Some(hint.to_owned()));
                }
            }
            let accept = |hz: f64| (hz.is_finite() && hz > 0.0).then_some(hz);
            rate.number("a number of ticks per second, above 0", accept, problems)
                .map(Align::at_rate)
        }
        (None, None) => {
            problems.add(&section.spot, "`on` or `rate` is missing", Some(ON_OR_RATE.to_owned()));
            None
        }
    }
}

fn seconds(key: &str, section: &Section<'_>, problems: &mut Problems) -> Option<f64> {
    let accept = |secs: f64| secs.is_finite().then_some(secs);
    section.get(key)?.number("a number of seconds", accept, problems)
}

fn how(section: &Section<'_>, problems: &mut Problems) -> How {
    let accept = |secs: f64| (secs >= 0.0).then_some(secs);
    let tolerance = section.get("tolerance");
    How {
        method: section.get("method").and_then(|item| item.choice(&METHODS, problems)),
        tolerance_secs: tolerance.and_then(|item| item.number(SECONDS, accept, problems)),
        missing: section.get("missing").and_then(|item| missing(item, problems)),
    }
}

/// `null` is a word here, not the absence of one.
fn missing(item: &Item<'_>, problems: &mut Problems) -> Option<Missing> {
    if item.is_word("null") {
        return Some(Missing::Null);
    }
    item.choice(&MISSING, problems)
}

fn joins(section: &Section<'_>, problems: &mut Problems) -> Vec<Join> {
    let Some(item) = section.get("join") else {
        problems.add(&section.spot, "`join` is missing", Some(JOIN.to_owned()));
        return Vec::new();
    };
    let items = item.list(problems).unwrap_or_default();
    if item.is_empty() {
        problems.add(&item.spot, "no track is joined", Some(JOIN.to_owned()));
    }
    items.iter().filter_map(|item| join(item, problems)).collect()
}

/// A track's name alone, or with how to join it.
fn join(item: &Item<'_>, problems: &mut Problems) -> Option<Join> {
    if item.is_scalar() {
        return track(item, problems).map(Join::track);
    }
    let section = item.section(&keys::JOIN, problems)?;
    let how = how(&section, problems);
    let columns = section.get("columns").and_then(|item| texts(item, problems));
    let renames = section.get("rename").and_then(|item| renames(item, problems));
    let quaternions = section.get("quaternions").and_then(|item| texts(item, problems));
    let Some(name) = section.get("track") else {
        let hint = "write `track: arm/joints`";
        problems.add(&section.spot, "`track` is missing", Some(hint.to_owned()));
        return None;
    };
    let topic = track(name, problems)?;
    let age = match section.get("age") {
        Some(item) if item.is_word("true") => Some(format!("{topic}.age")),
        Some(item) if item.is_word("false") => None,
        Some(item) => item.text(problems).map(str::to_owned),
        None => None,
    };
    let mut join = how.of_one(Join::track(topic));
    if let Some(columns) = columns {
        join = join.columns(columns);
    }
    if let Some(age) = age {
        join = join.age(age);
    }
    let renames = renames.unwrap_or_default().into_iter();
    let join = renames.fold(join, |join, (own, name)| join.rename(own, name));
    Some(join.quaternions(quaternions.unwrap_or_default()))
}

/// A track's name, or the topic that was recorded into it.
fn track(item: &Item<'_>, problems: &mut Problems) -> Option<String> {
    item.text(problems).map(track_of)
}

fn texts(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let items = item.list(problems)?;
    Some(items.iter().filter_map(|item| item.text(problems).map(str::to_owned)).collect())
}

fn renames(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<(String, String)>> {
    let entries = item.entries(problems)?;
    let rename = |entry: &yaml::Entry<'_>, problems: &mut Problems| {
        Some((entry.key.value.to_owned(), entry.value.text(problems)?.to_owned()))
    };
    Some(entries.iter().filter_map(|entry| rename(entry, problems)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mldash_bridge::track::AlignMethod;

    fn recipe(text: &str) -> Result<Align, Vec<String>> {
        let mut problems = Problems::default();
        let align = read(text, &mut problems);
        let read = problems.none_or_all(WHAT, Path::new("r.yaml"), align);
        read.map_err(|error| error.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn everything_that_the_library_can_join_can_be_written_down() {
        let text = "\
on: /camera/front
start: 10
end: 20.5
columns: [frame]
rename: {frame: file}
method: nearest
tolerance: 0.02
missing: null
join:
  - imu
  - track: arm/joints
    method: linear
    tolerance: 0.05
    missing: drop
    columns: [position, orientation]
    rename: {position: q}
    age: true
    quaternions: [orientation]
";
        let joints = Join::track("arm/joints")
            .method(AlignMethod::Linear)
            .tolerance(0.05)
            .missing(Missing::Drop)
            .columns(["position", "orientation"])
            .rename("position", "q")
            .age("arm/joints.age")
            .quaternions(["orientation"]);
        let expected = Align::on("camera/front")
            .range(10.0..=20.5)
            .columns(["frame"])
            .rename("frame", "file")
            .method(AlignMethod::Nearest)
            .tolerance(0.02)
            .missing(Missing::Null)
            .join("imu")
            .join(joints);
        assert_eq!(recipe(text), Ok(expected));
        assert_eq!(recipe("rate: 20\njoin: [imu]"), Ok(Align::at_rate(20.0).range(..).join("imu")));
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        let text = "\
rate: 0
tolerance: -1
colums: [a]
join:
  - track: arm
    method: liner
    missing: nul
  - method: floor
";
        let problems = recipe(text).unwrap_err();
        let starts = [
            "1:7: rate: expected a number of ticks per second, above 0, found `0`",
            "2:12: tolerance: expected a number of seconds from 0 up, found `-1`",
            "3:1: colums: unknown key `colums`\n  hint: did you mean `columns`?",
            "6:13: join[0].method: expected floor or nearest or",
            "7:14: join[0].missing: expected null or hold or drop or error, found `nul`",
            "8:5: join[1]: `track` is missing",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
        assert_eq!(recipe("").unwrap_err().len(), 1);
        assert_eq!(recipe("on: a\nrate: 2\njoin: []").unwrap_err().len(), 2);
    }
}
