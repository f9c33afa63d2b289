//! The tables of keys: what the reader takes is what editors are told by the schemas and people by the pages.

pub mod editor;
mod samples;

use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::export::recipe::Recipe;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::record::yaml::Place;

use crate::program::program;
use editor::Editor;
use samples::Sample;

/// A kind of files, as `mldash_bridge schema` calls it.
const KINDS: [&str; 3] = ["mapping", "recipe", "joins"];

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn schemas_and_pages_of_keys_are_those_that_the_program_writes() {
    for kind in KINDS {
        for (args, file) in [
            (vec!["schema", kind], format!("config/{kind}.schema.json")),
            (vec!["schema", kind, "--reference"], format!("docs/{kind}.md")),
        ] {
            let told = format!("write it by `mldash_bridge {} >{file}`", args.join(" "));
            let done = program(&args).run();
            assert_eq!(done.code, 0, "{}", done.stderr);
            let kept = fs::read_to_string(source(&file)).unwrap_or_default();
            assert!(done.text() == kept, "{file} is not what the program says: {told}");
        }
    }
}

/// All YAML files below a folder.
fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}

#[test]
fn every_shipped_file_names_its_schema_and_fits_it() {
    let mut files = Vec::new();
    yaml_files(&source("config"), &mut files);
    files.push(source("tests/data/drive_a_loop.yaml"));
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().next().unwrap();
        let named = line.strip_prefix("# yaml-language-server: $schema=");
        let named = named.unwrap_or_else(|| panic!("{} names no schema", file.display()));
        let schema = file.parent().unwrap().join(named).canonicalize().unwrap();
        let schema = fs::read_to_string(schema).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let is_recipe = schema["title"] == "recipe";
        let is_read = match is_recipe {
            true => Recipe::parse(&text, &file).is_ok(),
            false => Mapping::parse(&text, &file).is_ok(),
        };
        assert!(is_read, "{} is no {}", file.display(), schema["title"]);
        let told = Editor::of(&schema).wrong_with(&[text]);
        assert_eq!(told, [None], "{}", file.display());
    }
}

#[test]
fn an_editor_marks_what_check_refuses_for_its_keys() {
    let editor = Editor::of_kind("mapping");
    let wrong = fs::read_to_string(source("tests/data/mappings/everything_wrong.yaml")).unwrap();
    assert_ne!(editor.wrong_with(&[wrong]), [None]);
    let topics = "topics: [{topic: /a}]\n";
    for wrong in [
        "topics: [{topc: /a}]",
        "topics: [{topic: /a, qos: {depht: 1}}]",
        "topics: [{topic: /a, regex: b}]",
        "experiment: a/b/c",
        "topics: [{topic: /a}]\nflush: {interval: 100000}",
        "topics: [{topic: /a}]\nremote: {keep: all}",
    ] {
        assert!(Mapping::parse(wrong, "m.yaml").is_err(), "{wrong}");
        assert_ne!(editor.wrong_with(&[wrong.to_owned()]), [None], "{wrong}");
    }
    assert_eq!(editor.wrong_with(&[topics.to_owned()]), [None]);
}

/// For each key of each table: its example and what its shape says fits is taken by the reader and by an editor; what the
/// shape says is wrong is refused by both; and whatever else the reader takes, an editor takes.
fn hold_table_against_reader(kind: &str, is_read: impl Fn(&Sample) -> Result<(), String>) {
    let samples = samples::of(kind);
    assert!(samples.len() > 100, "{}", samples.len());
    let texts: Vec<String> = samples.iter().map(|sample| sample.text.clone()).collect();
    let told = Editor::of_kind(kind).wrong_with(&texts);
    let mut wrong = String::new();
    for (sample, told) in samples.iter().zip(told) {
        let read = is_read(sample);
        let is_right = match sample.fits {
            Some(true) => read.is_ok() && told.is_none(),
            Some(false) => read.is_err() && told.is_some(),
            None => read.is_err() || told.is_none(),
        };
        if !is_right {
            let Sample { text, fits } = sample;
            wrong += &format!("{text}fits: {fits:?}, reader: {read:?}, editor: {told:?}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_keys_of_a_mapping_are_what_its_reader_takes() {
    hold_table_against_reader("mapping", |sample| {
        let read = Mapping::parse(&sample.text, "m.yaml");
        read.map(drop).map_err(|errors| errors.to_string())
    });
}

#[test]
fn the_keys_of_a_recipe_are_what_its_reader_takes() {
    hold_table_against_reader("recipe", |sample| {
        let read = Recipe::parse(&sample.text, "r.yaml");
        read.map(drop).map_err(|errors| errors.to_string())
    });
}

/// Where a default is what the reader leaves to others: to the store, the middleware, the recorder.
const LEFT_TO_OTHERS: [&str; 7] = [
    "mapping.root",
    "flush.interval",
    "flush.batch",
    "flush.fsync",
    "qos.depth",
    "blobs.max_inline",
    "split_on.do",
];

/// What a mapping means, without the places of its keys.
fn meaning_of_mapping(text: &str) -> String {
    let mapping = Mapping::parse(text, "m.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let settings = mapping.rules().first().map(|rule| {
        let topic = rule.topic().to_string().replace('*', "left");
        let found = mapping.rule_for(&topic, &"sensor_msgs/msg/Imu".parse().unwrap());
        found.map(|found| found.settings)
    });
    let whole = (mapping.compression(), mapping.start_paused(), mapping.clock_jump());
    let rest = (mapping.gather(), mapping.remote(), mapping.snapshot());
    format!("{settings:?} {whole:?} {rest:?}")
}

/// What a recipe means, likewise.
fn meaning_of_recipe(text: &str) -> String {
    let mut recipe = Recipe::parse(text, "r.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    for feature in &mut recipe.features {
        feature.spot.place = Place::START;
    }
    format!("{recipe:?}")
}

#[test]
fn what_the_tables_call_a_default_is_what_holds_without_the_key() {
    let of_mapping = samples::defaults("mapping").into_iter();
    let of_recipe = samples::defaults("recipe").into_iter();
    let of_mapping = of_mapping.map(|texts| (texts, meaning_of_mapping as fn(&str) -> String));
    let of_recipe = of_recipe.map(|texts| (texts, meaning_of_recipe as fn(&str) -> String));
    let mut held = 0;
    for ((key, with, without), meaning) in of_mapping.chain(of_recipe) {
        if !LEFT_TO_OTHERS.contains(&key.as_str()) {
            assert_eq!(meaning(&with), meaning(&without), "{key}");
            held += 1;
        }
    }
    assert!(held > 25, "{held}");
}
