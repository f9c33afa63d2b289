//! Writes a recipe for what was recorded. People edit it, so it explains itself; what is a guess says so.

use std::fmt::Write;

use mldash_track::{Experiment, Query, TrackError, Value};

const HEAD: &str = "\
# Made by `mldash_bridge dataset --init` from what was recorded. Guesses are marked; edit them, then run
#
#   mldash_bridge dataset EXPERIMENT… --recipe FILE -o DIR
#
# docs/learning.md explains every key.
format: lerobot
";
/// A value may be as old as so many of its periods before it counts as missing.
const PERIODS: f64 = 3.0;
/// Rates are taken for one of these, if they are near one.
const USUAL_HZ: [u32; 10] = [1, 5, 10, 15, 20, 25, 30, 50, 60, 100];
const NEAR: f64 = 0.1;
const MOST_HZ: f64 = 60.0;
/// A slower camera is looked at again and again.
const LEAST_HZ: f64 = 1.0;

/// A track that the recipe is for.
struct Draft {
    topic: String,
    hz: Option<f64>,
    /// Its first row's values.
    columns: Vec<(String, Value)>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Picture,
    Joints,
    Odometry,
    /// A twist, whose columns have this in front.
    Twist(&'static str),
    Other,
}

/// A recipe for what this experiment holds.
///
/// # Errors
/// Fails if the experiment can't be read.
pub fn draft(experiment: &Experiment) -> Result<String, TrackError> {
    let mut tracks = Vec::new();
    for track in experiment.list()? {
        let rows = experiment.tracks(&track.topic).read(&Query::all().limit(1))?;
        let Some(row) = rows.into_iter().next() else { continue };
        let span =
            track.first_timestamp.zip(track.last_timestamp).map(|(first, last)| last - first);
        let steps = track.total_entries.saturating_sub(1) as f64;
        let hz = span.filter(|span| *span > 0.0).map(|span| steps / span).filter(|hz| *hz > 0.0);
        let columns: Vec<_> = row.fields.into_iter().map(|(n, v)| (n.to_string(), v)).collect();
        let kind = kind(&columns);
        tracks.push(Draft { topic: track.topic, hz, columns, kind });
    }
    let task = experiment.notes()?.labels().task;
    Ok(recipe(&tracks, task.as_deref()))
}

fn kind(columns: &[(String, Value)]) -> Kind {
    let has = |name: &str| columns.iter().any(|(known, _)| known == name);
    let is_picture = has("path") && has("width") && has("height") && !has("points");
    match () {
        () if is_picture => Kind::Picture,
        () if has("name") && has("position") => Kind::Joints,
        () if has("pose.pose.position") && has("twist.twist.linear") => Kind::Odometry,
        () if has("linear") && has("angular") => Kind::Twist(""),
        () if has("twist.linear") && has("twist.angular") => Kind::Twist("twist."),
        () => Kind::Other,
    }
}

fn recipe(tracks: &[Draft], task: Option<&str>) -> String {
    let mut text = HEAD.to_owned();
    let fps = fps(tracks);
    line(&mut text, &format!("fps: {fps}  # a guess, from the slowest camera or other track"));
    line(&mut text, "# robot_type: rover");
    match task {
        Some(task) => line(&mut text, &format!("# task: the experiment's own: {}", quoted(task))),
        None => {
            line(&mut text, "task: \"what the robot does\"  # a guess; else each experiment's own")
        }
    }
    line(
        &mut text,
        "# A tick without a fresh value: drop (a new episode begins after it), hold, end_episode, error.",
    );
    line(&mut text, "missing: drop");
    line(&mut text, "features:");
    let mut names = Vec::new();
    for track in tracks {
        line(&mut text, &format!("  # {}{}", track.topic, rate(track.hz)));
        feature(&mut text, track, &mut names);
    }
    text
}

/// The slowest camera's rate, or else that of the slowest other track that becomes a feature.
fn fps(tracks: &[Draft]) -> u32 {
    let slowest = |is_wanted: fn(Kind) -> bool| {
        let wanted = tracks.iter().filter(|track| is_wanted(track.kind));
        let rates = wanted.filter_map(|track| track.hz).filter(|hz| *hz >= LEAST_HZ);
        rates.min_by(f64::total_cmp)
    };
    let hz = slowest(|kind| kind == Kind::Picture).or_else(|| slowest(|kind| kind != Kind::Other));
    let hz = hz.unwrap_or(10.0).clamp(LEAST_HZ, MOST_HZ);
    let usual = USUAL_HZ.iter().find(|usual| (f64::from(**usual) - hz).abs() < NEAR * hz);
    usual.copied().unwrap_or(hz.round() as u32)
}

fn feature(text: &mut String, track: &Draft, names: &mut Vec<String>) {
    let topic = &track.topic;
    let tolerance = track.hz.map(|hz| format!("tolerance: {}", rounded(PERIODS / hz)));
    // In a line with other keys.
    let and_tolerance =
        tolerance.as_ref().map(|tolerance| format!(", {tolerance}")).unwrap_or_default();
    match track.kind {
        Kind::Picture => {
            let own = topic.trim_end_matches("/compressed").trim_end_matches("/image_raw");
            let own = own.rsplit('/').find(|part| *part != "image").unwrap_or(own);
            let name = free(format!("observation.images.{own}"), names);
            line(text, &format!("  {name}: {{from: {}, as: image{and_tolerance}}}", quoted(topic)));
        }
        Kind::Joints => {
            let joints: Vec<String> =
                texts(track.column("name")).iter().map(|j| quoted(j)).collect();
            let name = free("observation.state".to_owned(), names);
            let source = quoted(&format!("{topic}:position"));
            let joints = joints.join(", ");
            line(text, &format!("  {name}:  # a guess"));
            line(text, &format!("    from: {source}"));
            line(
                text,
                &format!("    joints: [{joints}]  # in this order, whatever order messages have"),
            );
            line(text, "    unit: rad  # a guess");
            line(text, "    method: linear");
            if let Some(tolerance) = &tolerance {
                line(text, &format!("    {tolerance}"));
            }
        }
        Kind::Odometry => {
            let name = free("observation.state".to_owned(), names);
            let source = |column: &str| quoted(&format!("{topic}:{column}"));
            let sources = [
                source("pose.pose.position[0:2]"),
                source("twist.twist.linear[0]"),
                source("twist.twist.angular[2]"),
            ];
            line(text, &format!("  {name}:  # a guess"));
            line(text, &format!("    from: [{}]", sources.join(", ")));
            line(text, "    names: [x, y, v, w]");
            line(text, "    units: [m, m, m/s, rad/s]");
            line(text, "    method: linear");
            if let Some(tolerance) = &tolerance {
                line(text, &format!("    {tolerance}"));
            }
        }
        Kind::Twist(prefix) => {
            let name = free("action".to_owned(), names);
            let source = |column: &str| quoted(&format!("{topic}:{prefix}{column}"));
            line(text, &format!("  {name}:  # a guess"));
            line(text, &format!("    from: [{}, {}]", source("linear[0]"), source("angular[2]")));
            line(text, "    names: [v, w]");
            line(text, "    units: [m/s, rad/s]");
            line(text, "    method: floor  # what was commanded last");
        }
        Kind::Other => {
            for (column, value) in &track.columns {
                let Some(width) = width(value) else { continue };
                let name = format!("{}.{column}", topic.replace('/', "."));
                let source = quoted(&format!("{topic}:{column}"));
                let name = quoted(&name);
                line(text, &format!("  # {name}: {{from: {source}{and_tolerance}}}  # {width}"));
            }
        }
    }
}

impl Draft {
    fn column(&self, name: &str) -> Option<&Value> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// The name, or with a number if it is taken.
fn free(name: String, names: &mut Vec<String>) -> String {
    let mut numbered = (2..).map(|i| format!("{name}_{i}"));
    let mut name = name.clone();
    while names.contains(&name) {
        name = numbered.next().unwrap_or_default();
    }
    names.push(name.clone());
    name
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let Some(Value::List(items)) = value else { return Vec::new() };
    let text = |item: &Value| match item {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

/// What a column of numbers holds; `None` for other columns.
fn width(value: &Value) -> Option<String> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::F32(_) | Value::F64(_) => {
            Some("1 value".to_owned())
        }
        Value::Array(array) if !array.is_empty() => Some(format!("{} values", array.len())),
        _ => None,
    }
}

fn rate(hz: Option<f64>) -> String {
    hz.map_or(String::new(), |hz| format!(", {hz:.1} Hz"))
}

/// With two digits.
fn rounded(secs: f64) -> f64 {
    let scale = 10_f64.powi(1 - secs.log10().floor() as i32);
    (secs * scale).round() / scale
}

/// As a text of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn line(text: &mut String, line: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Content, Recipe};
    use mldash_track::{Options, fields};

    #[test]
    fn a_recipe_is_drafted_for_what_was_recorded_and_can_be_used() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
        let names = || Value::from(vec!["elbow", "wrist"]);
        for i in 0..91 {
            let t = 1e9 + f64::from(i) / 30.0;
            let file = fields! { "path": "camera/front/0.jpg", "width": 640, "height": 480 };
            exp.tracks("camera/front").append(file, t).unwrap();
            let joints = fields! { "name": names(), "position": [0.1, 0.2] };
            exp.tracks("joint_states").append(joints, t).unwrap();
            exp.tracks("cmd_vel")
                .append(fields! { "linear": [0.0; 3], "angular": [0.0; 3] }, t)
                .unwrap();
            exp.tracks("battery").append(fields! { "percentage": 0.5, "name": "main" }, t).unwrap();
        }
        exp.flush().unwrap();
        let text = draft(&exp).unwrap();
        let recipe = Recipe::parse(&text, "draft").unwrap();
        let names: Vec<&str> = recipe.features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["observation.images.front", "action", "observation.state"], "{text}");
        assert_eq!(recipe.fps, 30);
        assert!(text.contains(
            "# \"battery.percentage\": {from: \"battery:percentage\", tolerance: 0.1}  # 1 value"
        ));
        let Content::Numbers(state) = &recipe.features[2].content else { panic!() };
        assert_eq!(state.joints.as_deref(), Some(&["elbow".to_owned(), "wrist".to_owned()][..]));
        assert_eq!(recipe.features[2].tolerance_secs, 0.1);
    }

    #[test]
    fn names_that_are_taken_get_a_number() {
        let mut names = Vec::new();
        let mut name = || free("action".to_owned(), &mut names);
        assert_eq!([name(), name(), name()], ["action", "action_2", "action_3"]);
    }
}
