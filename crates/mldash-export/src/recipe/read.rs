//! Reads the recipe's keys, from the YAML tree to a [`Recipe`].

use mldash_record::yaml::{self, Entry, Item, Problems, Section};

use crate::dataset_schema::{TABLE_EXPERIMENT, TABLE_TIME};

use super::keys::{self, RECIPE};
use super::{
    Content, Dtype, Feature, Format, Method, Missing, Numbers, Picture, PictureStorage, Recipe,
    Source, VideoSettings, WHAT, WindowValue,
};

pub(super) const FORMATS: [(&str, Format); 2] =
    [("lerobot", Format::LeRobot), ("parquet", Format::Parquet)];
pub(super) const MISSING: [(&str, Missing); 4] = [
    ("drop", Missing::Drop),
    ("hold", Missing::Hold),
    ("end_episode", Missing::EndEpisode),
    ("error", Missing::Error),
];
pub(super) const DTYPES: [(&str, Dtype); 4] = [
    ("float32", Dtype::Float32),
    ("float64", Dtype::Float64),
    ("int64", Dtype::Int64),
    ("bool", Dtype::Bool),
];
pub(super) const PICTURE_STORAGES: [(&str, PictureStorage); 2] =
    [("image", PictureStorage::Image), ("video", PictureStorage::Video)];
pub(super) const WINDOWS: [(&str, WindowValue); 5] = [
    ("mean", WindowValue::Mean),
    ("min", WindowValue::Min),
    ("max", WindowValue::Max),
    ("last", WindowValue::Last),
    ("count", WindowValue::Count),
];
/// A window takes its value from `window`.
pub(super) const METHODS: [(&str, Method); 5] = [
    ("floor", Method::Floor),
    ("nearest", Method::Nearest),
    ("linear", Method::Linear),
    ("slerp", Method::Slerp),
    ("window", Method::Window(WindowValue::Mean)),
];
/// LeRobot adds these columns itself.
const RESERVED: [&str; 6] =
    ["timestamp", "frame_index", "episode_index", "index", "task_index", "task"];
/// A plain table adds these, besides.
const RESERVED_IN_TABLE: [&str; 2] = [TABLE_TIME, TABLE_EXPERIMENT];
const NO_FEATURES: &str =
    "write `features:` and below it lines such as `  action: {from: \"cmd_vel:linear[0]\"}`";
const SOURCE: &str = "write `track:column`, `track:column[0:6]` or, for pictures, a track";
pub(super) const MAX_FPS: u32 = 10_000;
/// Of ffmpeg's numbers; beyond any that means something.
pub(super) const MAX_OF_VIDEO: u32 = 10_000;
pub(super) const MAX_SIDE: u32 = 16_384;

/// The recipe in `text`; `None` only with a problem.
pub(super) fn recipe(text: &str, problems: &mut Problems) -> Option<Recipe> {
    let root = yaml::parse(WHAT, text, NO_FEATURES, problems)?;
    let section = Item::root(&root).section(&RECIPE, problems)?;
    let format = section.get("format").and_then(|item| item.choice(&FORMATS, problems));
    let missing = section.get("missing").and_then(|item| item.choice(&MISSING, problems));
    let stamps = section.get("stamps").and_then(|item| item.truth(problems));
    let recipe = Recipe {
        format: format.unwrap_or_default(),
        fps: fps(&section, problems).unwrap_or(1),
        robot_type: text_at(&section, "robot_type", problems),
        task: text_at(&section, "task", problems),
        min_frames: section
            .get("min_frames")
            .and_then(|item| {
                let expected = "a number of frames, at least 1";
                item.number(expected, |n: u64| (n > 0).then_some(n), problems)
            })
            .unwrap_or(1),
        stamps: stamps.unwrap_or_default(),
        video: section.get("video").and_then(|item| video(item, problems)).unwrap_or_default(),
        features: features(&section, missing.unwrap_or_default(), problems),
    };
    check_stamp_names(&recipe, problems);
    if recipe.format == Format::Parquet {
        for (feature, message, hint) in no_table(&recipe) {
            problems.add(&feature.spot, message, Some(hint.to_owned()));
        }
    }
    Some(recipe)
}

/// What a plain table can't hold: the feature, what is wrong and what to do.
pub(super) fn no_table<'r>(recipe: &'r Recipe) -> Vec<(&'r Feature, String, &'static str)> {
    let wrong = |feature: &'r Feature| {
        let is_video =
            matches!(&feature.content, Content::Picture(p) if p.storage == PictureStorage::Video);
        if is_video {
            let hint = "write `as: image`, or `format: lerobot`";
            return Some((feature, "a plain table has no videos".to_owned(), hint));
        }
        let hint = "give it another name, or write `format: lerobot`";
        let is_taken = RESERVED_IN_TABLE.contains(&feature.name.as_str());
        is_taken.then(|| (feature, own_column(&feature.name), hint))
    };
    recipe.features.iter().filter_map(wrong).collect()
}

fn own_column(name: &str) -> String {
    format!("the dataset has a column `{name}` of its own")
}

fn fps(section: &Section<'_>, problems: &mut Problems) -> Option<u32> {
    let Some(item) = section.get("fps") else {
        let hint = "write how many ticks a second the dataset has, such as `fps: 30`";
        problems.add(&section.spot, "`fps` is missing", Some(hint.to_owned()));
        return None;
    };
    let expected = "a whole number of ticks a second from 1 to 10000";
    item.number(expected, |fps: u32| (1..=MAX_FPS).contains(&fps).then_some(fps), problems)
}

fn text_at(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    section.get(key).and_then(|item| item.text(problems)).map(str::to_owned)
}

fn video(item: &Item<'_>, problems: &mut Problems) -> Option<VideoSettings> {
    let section = item.section(&keys::VIDEO, problems)?;
    let mut settings = VideoSettings::default();
    if let Some(codec) = word_at(&section, "codec", problems) {
        // The preset is libsvtav1's own.
        settings.preset = settings.preset.filter(|_| codec == settings.codec);
        settings.codec = codec;
    }
    if let Some(preset) = word_at(&section, "preset", problems) {
        settings.preset = Some(preset);
    }
    if let Some(pix_fmt) = word_at(&section, "pix_fmt", problems) {
        settings.pix_fmt = pix_fmt;
    }
    let mut number = |key: &str, least: u32| {
        let accept = |n: u32| (least..=MAX_OF_VIDEO).contains(&n).then_some(n);
        section.get(key)?.number(&format!("a whole number from {least} up"), accept, problems)
    };
    settings.crf = number("crf", 0).unwrap_or(settings.crf);
    settings.gop = number("g", 1).unwrap_or(settings.gop);
    Some(settings)
}

/// A text that becomes an argument of ffmpeg's.
fn word_at(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    let item = section.get(key)?;
    let text = item.text(problems)?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.starts_with('-') || !text.chars().all(is_word) {
        item.mismatch("a name of ffmpeg's, such as libsvtav1", None, problems);
        return None;
    }
    Some(text.to_owned())
}

fn features(section: &Section<'_>, missing: Missing, problems: &mut Problems) -> Vec<Feature> {
    let Some(item) = section.get("features") else {
        problems.add(&section.spot, "`features` is missing", Some(NO_FEATURES.to_owned()));
        return Vec::new();
    };
    let entries = item.entries(problems).unwrap_or_default();
    if item.is_empty() {
        problems.add(&item.spot, "no feature is named", Some(NO_FEATURES.to_owned()));
    }
    entries.iter().filter_map(|entry| feature(entry, missing, problems)).collect()
}

fn feature(entry: &Entry<'_>, missing: Missing, problems: &mut Problems) -> Option<Feature> {
    let name = entry.key.value;
    if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
        let hint = "write a dot in place of the `/`: `observation.images.front`";
        let message = "LeRobot takes no `/` in a feature's name";
        problems.add(&entry.key.spot, message, Some(hint.to_owned()));
    }
    if [".", ".."].contains(&name) {
        let message = format!("`{name}` is no name: folders are named as features are");
        problems.add(&entry.key.spot, message, Some("give it another name".to_owned()));
    }
    if RESERVED.contains(&name) {
        problems.add(&entry.key.spot, own_column(name), Some("give it another name".to_owned()));
    }
    let section = entry.value.section(&keys::FEATURE, problems)?;
    let own = section.get("missing").and_then(|item| item.choice(&MISSING, problems));
    let tolerance = section.get("tolerance").and_then(|item| {
        let accept = |secs: f64| (secs >= 0.0 && secs.is_finite()).then_some(secs);
        item.number("a number of seconds from 0 up", accept, problems)
    });
    let method = method(&section, problems);
    let Some(from) = section.get("from") else {
        problems.add(&section.spot, "`from` is missing", Some(SOURCE.to_owned()));
        return None;
    };
    let content = match section.get("as") {
        Some(item) => {
            let storage = item.choice(&PICTURE_STORAGES, problems)?;
            Content::Picture(picture(&section, from, storage, method, problems)?)
        }
        None => Content::Numbers(numbers(&section, from, method, problems)?),
    };
    Some(Feature {
        name: name.to_owned(),
        content,
        method,
        tolerance_secs: tolerance.unwrap_or(f64::INFINITY),
        missing: own.unwrap_or(missing),
        spot: entry.key.spot.clone(),
    })
}

fn method(section: &Section<'_>, problems: &mut Problems) -> Method {
    let item = section.get("method");
    let method = item.and_then(|item| item.choice(&METHODS, problems)).unwrap_or_default();
    let window = section.get("window");
    match (method, window) {
        (Method::Window(default), Some(item)) => {
            Method::Window(item.choice(&WINDOWS, problems).unwrap_or(default))
        }
        (method, Some(item)) => {
            let hint = "write `method: window` beside it";
            problems.add(&item.spot, "`window` without `method: window`", Some(hint.to_owned()));
            method
        }
        (method, None) => method,
    }
}

fn picture(
    section: &Section<'_>,
    from: &Item<'_>,
    storage: PictureStorage,
    method: Method,
    problems: &mut Problems,
) -> Option<Picture> {
    for key in ["names", "units", "unit", "dtype", "joints"] {
        if let Some(item) = section.get(key) {
            let hint = format!("leave `{key}` out, or leave `as` out for numbers");
            problems.add(&item.spot, format!("a picture has no `{key}`"), Some(hint));
        }
    }
    if !matches!(method, Method::Floor | Method::Nearest)
        && let Some(item) = section.get("method")
    {
        item.mismatch("floor or nearest, since pictures can't be mixed", None, problems);
    }
    let source: Source = from.parse(SOURCE, problems)?;
    if source.elements.is_some() {
        let hint = format!("write `{}`", source.track);
        problems.add(&from.spot, "a picture is no slice of a list", Some(hint));
    }
    let size = section.get("size").and_then(|item| size(item, problems));
    if let (Some((height, width)), PictureStorage::Video, Some(item)) =
        (size, storage, section.get("size"))
        && (height % 2 != 0 || width % 2 != 0)
    {
        let hint = "make height and width even";
        problems.add(&item.spot, "videos need an even height and width", Some(hint.to_owned()));
    }
    Some(Picture { source, storage, size })
}

fn size(item: &Item<'_>, problems: &mut Problems) -> Option<(u32, u32)> {
    let sides = item.list(problems)?;
    let mut side = |item: &Item<'_>| {
        let accept = |n: u32| (1..=MAX_SIDE).contains(&n).then_some(n);
        item.number("a number of pixels from 1 to 16384", accept, problems)
    };
    if let [height, width] = sides.as_slice() {
        let (height, width) = (side(height), side(width));
        return Some((height?, width?));
    }
    item.mismatch("height and width: `[480, 640]`", None, problems);
    None
}

fn numbers(
    section: &Section<'_>,
    from: &Item<'_>,
    method: Method,
    problems: &mut Problems,
) -> Option<Numbers> {
    if let Some(item) = section.get("size") {
        let hint = "write `as: image` beside it";
        problems.add(&item.spot, "`size` is for pictures", Some(hint.to_owned()));
    }
    let items = from.one_or_list(problems)?;
    if items.is_empty() {
        from.mismatch("at least one source", Some(SOURCE), problems);
        return None;
    }
    let sources: Vec<Source> = items.iter().filter_map(|item| source(item, problems)).collect();
    let dtype = section.get("dtype").and_then(|item| item.choice(&DTYPES, problems));
    let dtype = dtype.unwrap_or_default();
    if matches!(dtype, Dtype::Bool | Dtype::Int64)
        && matches!(method, Method::Linear | Method::Slerp | Method::Window(WindowValue::Mean))
        && let Some(item) = section.get("method")
    {
        let expected = format!("floor or nearest for `dtype: {}`", dtype.name());
        item.mismatch(&expected, None, problems);
    }
    let names = section.get("names").and_then(|item| texts(item, problems));
    if let (Some(unit), Some(_)) = (section.get("unit"), section.get("units")) {
        let hint = "leave one of the two out";
        problems.add(&unit.spot, "`unit` beside `units`", Some(hint.to_owned()));
    }
    let unit = section.get("unit").or_else(|| section.get("units"));
    let units = unit.and_then(|item| texts(item, problems));
    let joints = section.get("joints").and_then(|item| texts(item, problems));
    if sources.len() < items.len() {
        return None;
    }
    let numbers = Numbers { sources, dtype, names, units, joints };
    check_widths(&numbers, method, section, problems);
    Some(numbers)
}

fn source(item: &Item<'_>, problems: &mut Problems) -> Option<Source> {
    let source: Source = item.parse(SOURCE, problems)?;
    if source.column.is_none() {
        let message = format!("`{source}` names no column");
        let hint = "write `track:column`; pictures need `as: image` or `as: video`";
        problems.add(&item.spot, message, Some(hint.to_owned()));
        return None;
    }
    Some(source)
}

/// Compares what the recipe alone says of widths.
fn check_widths(numbers: &Numbers, method: Method, section: &Section<'_>, problems: &mut Problems) {
    let Numbers { sources, names, units, joints, .. } = numbers;
    if let (Some(joints), Some(item)) = (joints, section.get("joints")) {
        if sources.iter().any(|source| source.elements.is_some()) {
            let hint = "leave the slice out: `joints` says which elements, in which order";
            problems.add(&item.spot, "`joints` of a slice", Some(hint.to_owned()));
        }
        if let Some(twice) = (1..joints.len()).find(|&i| joints[..i].contains(&joints[i])) {
            let message = format!("joint `{}` is named twice", joints[twice]);
            problems.add(&item.spot, message, Some("name each once".to_owned()));
        }
        if method == Method::Slerp {
            problems.add(&item.spot, "`slerp` is for quaternions, not for joints", None);
        }
    }
    let widths: Option<usize> = match joints {
        Some(joints) => joints.len().checked_mul(sources.len()),
        None => sources.iter().map(Source::width).sum(),
    };
    for (key, texts) in [("names", names), ("units", units)] {
        let (Some(width), Some(texts), Some(item)) = (widths, texts, section.get(key)) else {
            continue;
        };
        // One unit can stand for all.
        if texts.len() != width && !(key == "units" && texts.len() == 1) {
            let message = format!("{} {key} for {width} values", texts.len());
            problems.add(&item.spot, message, Some(format!("write {width} {key}")));
        }
    }
}

/// A text, or a list of some.
fn texts(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let items = item.one_or_list(problems)?;
    if items.is_empty() {
        item.mismatch("at least one name", None, problems);
        return None;
    }
    items.iter().map(|item| item.text(problems).map(str::to_owned)).collect()
}

/// `stamps` adds features whose names must be free.
fn check_stamp_names(recipe: &Recipe, problems: &mut Problems) {
    if !recipe.stamps {
        return;
    }
    for feature in &recipe.features {
        for added in [format!("stamp.{}", feature.name), format!("age.{}", feature.name)] {
            if let Some(taken) = recipe.features.iter().find(|other| other.name == added) {
                let message = format!("`stamps: true` adds a feature `{added}` itself");
                problems.add(&taken.spot, message, Some("give it another name".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
