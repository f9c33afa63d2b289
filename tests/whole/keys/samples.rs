//! Texts with one key at a time: values that fit its shape, values that don't, and others.

use std::collections::BTreeSet;

use mldash_bridge::export::recipe::RECIPE;
use mldash_bridge::mapping::MAPPING;
use mldash_bridge::record::yaml::{Key, KeyTable, Range, Shape};

/// A text that has one key of one table.
#[derive(Debug)]
pub struct Sample {
    pub text: String,
    /// Whether the value fits, if the shape says so.
    pub fits: Option<bool>,
}

/// What any key is tried with.
const ANYTHING: [&str; 12] = [
    "null",
    "true",
    "-1",
    "0",
    "0.5",
    "7",
    "1000000000000",
    "no_such_word",
    "\"a text\"",
    "[]",
    "[a, b]",
    "{no_such_key: 1}",
];

fn table_of(kind: &str) -> &'static KeyTable {
    match kind {
        "mapping" => &MAPPING,
        _ => &RECIPE,
    }
}

/// For each key of each table of files of this kind.
pub fn of(kind: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for table in table_of(kind).with_inner() {
        for key in table.keys {
            let sample = |value: &str, fits| Sample { text: text(table, key, value), fits };
            samples.push(sample(key.example, Some(true)));
            samples.extend(good(&key.value).iter().map(|value| sample(value, Some(true))));
            let bad = bad(&key.value);
            samples.extend(bad.iter().map(|value| sample(value, Some(false))));
            let others = ANYTHING.iter().filter(|value| !bad.contains(**value));
            samples.extend(others.map(|value| sample(value, None)));
        }
    }
    samples
}

/// Where a section stands in a whole text, at `KEYS`.
fn frame(table: &KeyTable) -> &'static str {
    match table.name {
        "mapping" | "recipe" => "KEYS",
        "entry" => "topics:\n  - KEYS",
        "settings" => "topics: [{topic: /a}]\ntypes:\n  sensor_msgs/msg/Imu:\n    KEYS",
        "qos" => "topics:\n  - topic: /a\n    qos:\n      KEYS",
        "blobs" => "topics:\n  - topic: /a\n    blobs:\n      KEYS",
        "excluded" => "topics: [{topic: /a}]\nexclude:\n  - KEYS",
        "required" => "topics: [{topic: /odom}]\nrequired:\n  - KEYS",
        "remote" => "topics: [{topic: /a}]\nremote:\n  KEYS",
        "publish" => "topics: [{topic: /a}]\npublish:\n  KEYS",
        "flush" => "topics: [{topic: /a}]\nflush:\n  KEYS",
        "split" => "topics: [{topic: /a}]\nsplit:\n  KEYS",
        "split_on" => "topics: [{topic: /a}]\nsplit_on:\n  - KEYS",
        "snapshot" => "topics: [{topic: /a}]\nsnapshot:\n  KEYS",
        "save_on" => "topics: [{topic: /a}]\nsnapshot: {keep: 30s}\nsave_on:\n  - KEYS",
        "feature" => "fps: 10\nfeatures:\n  one:\n    KEYS",
        "video" => "fps: 10\nfeatures: {one: {from: \"a:b\"}}\nvideo:\n  KEYS",
        name => panic!("say where the section `{name}` stands"),
    }
}

/// What a key makes no sense without, in this table.
fn companions(table: &KeyTable, key: &Key) -> &'static [(&'static str, &'static str)] {
    match (table.name, key.name) {
        ("mapping", "save_on") => &[("snapshot", "{keep: 30s}")],
        ("remote", "when_full") => &[("max_local", "20GiB")],
        ("qos", "depth") => &[("reliability", "reliable")],
        ("split_on" | "save_on", "field") => &[("becomes", "1")],
        ("split_on" | "save_on", "becomes" | "equals") => &[("field", "data")],
        ("feature", "window") => &[("method", "window")],
        ("feature", "joints") => &[("from", "\"joints:position\"")],
        ("feature", "as" | "size") => &[("from", "camera/front"), ("as", "image")],
        _ => &[],
    }
}

/// For each key with a default: its name with its table's, a text that says the default, and the same without the key.
pub fn defaults(kind: &str) -> Vec<(String, String, String)> {
    let mut texts = Vec::new();
    for table in table_of(kind).with_inner() {
        for key in table.keys {
            let Some(default) = key.default else { continue };
            let with = lines(table, key, default);
            let mut without = with[1..].to_vec();
            if without.is_empty() {
                // No section is empty.
                let has_default = |other: &&Key| other.name != key.name && other.default.is_some();
                let other = table.keys.iter().find(has_default).unwrap();
                without.push((other.name, other.default.unwrap()));
            }
            let name = format!("{}.{}", table.name, key.name);
            texts.push((name, framed(table, &with), framed(table, &without)));
        }
    }
    texts
}

/// A whole text in which `key` has this value, and besides it only what must be there.
fn text(table: &'static KeyTable, key: &Key, value: &str) -> String {
    framed(table, &lines(table, key, value))
}

/// The lines of a section in which `key`, the first one, has this value.
fn lines<'a>(table: &'static KeyTable, key: &'a Key, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut lines: Vec<(&str, &str)> = vec![(key.name, value)];
    let mut add = |name: &'static str, value: &'static str| {
        if !lines.iter().any(|(there, _)| *there == name) {
            lines.push((name, value));
        }
    };
    companions(table, key).iter().for_each(|(name, value)| add(name, value));
    let first_of_any = table.any_of.first().filter(|_| !table.any_of.contains(&key.name));
    for needed in table.keys {
        if needed.is_required || Some(&needed.name) == first_of_any {
            add(needed.name, needed.example);
        }
    }
    lines
}

/// A section with these lines, where it stands in a whole text.
fn framed(table: &KeyTable, lines: &[(&str, &str)]) -> String {
    let frame = frame(table);
    let at = frame.find("KEYS").unwrap();
    let column = at - frame[..at].rfind('\n').map_or(0, |end| end + 1);
    let lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    frame.replace("KEYS", &lines.join(&format!("\n{}", " ".repeat(column)))) + "\n"
}

/// Values that the shape alone says are right.
fn good(shape: &Shape) -> Vec<String> {
    let of = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match shape {
        Shape::Null => of(&["null"]),
        Shape::Truth => of(&["true", "false"]),
        Shape::Words(words) => of(words),
        Shape::Number(range) | Shape::Whole(range) => {
            let least = range.least.filter(|_| range.is_least_in);
            [least, range.most].into_iter().flatten().map(|bound| bound.to_string()).collect()
        }
        Shape::Size => of(&["1GiB", "1.5 GB", "500MB", "2TiB", "3000KiB", "3000kB", "1048576"]),
        Shape::SizeUpTo(mib) => {
            let most = mib << 20;
            vec!["64KiB".to_owned(), "1.5 MB".to_owned(), format!("{mib}MiB"), most.to_string()]
        }
        Shape::Span => of(&["30s", "10min", "90", "1h 30m", "2 hours", "1.5"]),
        Shape::AnyOf(shapes) => shapes.iter().flat_map(good).collect(),
        Shape::Text | Shape::Pattern(..) | Shape::List(_) | Shape::ListOrNone(_) => Vec::new(),
        Shape::Section(_) | Shape::Map(_) => Vec::new(),
    }
}

/// Values that the shape alone says are wrong.
fn bad(shape: &Shape) -> BTreeSet<String> {
    let of = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let beside = |range: &Range| {
        let below = range.least.map(|least| least - if range.is_least_in { 1.0 } else { 0.0 });
        let above = range.most.map(|most| most + 1.0);
        [below, above].into_iter().flatten().map(|bound| bound.to_string()).collect()
    };
    let nested = ["[]", "[a, b]", "{no_such_key: 1}"];
    let mut bad: BTreeSet<String> = match shape {
        Shape::Null => of(&["true", "7", "no_such_word"]),
        Shape::Truth => of(&["null", "7", "no_such_word", "\"a text\""]),
        Shape::Words(_) => of(&["null", "true", "7", "no_such_word", "\"a text\""]),
        Shape::Number(range) => beside(range),
        Shape::Whole(range) => {
            let mut bad: BTreeSet<String> = beside(range);
            bad.insert("0.5".to_owned());
            bad
        }
        Shape::Size => of(&["null", "true", "-1", "no_such_word", "5 parsecs", "4G"]),
        Shape::SizeUpTo(mib) => {
            let mut bad = bad(&Shape::Size);
            bad.insert(((mib << 20) + 1).to_string());
            return bad;
        }
        Shape::Span | Shape::Text | Shape::Pattern(..) => of(&["null"]),
        Shape::List(_) | Shape::ListOrNone(_) => of(&["null", "true", "7", "no_such_word"]),
        Shape::Map(_) => of(&["null", "true", "7", "no_such_word"]),
        Shape::Section(_) => of(&["null", "true", "7", "no_such_word", "{no_such_key: 1}"]),
        Shape::AnyOf(shapes) => {
            let mut sets = shapes.iter().map(bad);
            let first = sets.next().unwrap_or_default();
            return sets.fold(first, |common, set| common.intersection(&set).cloned().collect());
        }
    };
    match shape {
        Shape::Number(_) | Shape::Whole(_) => {
            bad.extend(["null", "true", "no_such_word"].map(str::to_owned));
            bad.extend(nested.map(str::to_owned));
        }
        Shape::List(_) => bad.extend(["[]", "{no_such_key: 1}"].map(str::to_owned)),
        Shape::ListOrNone(_) => bad.extend(["{no_such_key: 1}"].map(str::to_owned)),
        Shape::Map(_) | Shape::Section(_) => bad.extend(["[]", "[a, b]"].map(str::to_owned)),
        _ => bad.extend(nested.map(str::to_owned)),
    }
    bad
}
