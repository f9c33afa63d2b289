//! YAML in the docs: mappings, recipes, and parts of mappings. Each is read, and an editor finds nothing wrong with it.

use mldash_bridge::export::recipe::Recipe;
use mldash_bridge::mapping::Mapping;

use crate::keys::editor::Editor;
use crate::markdown::pages;
use crate::program::program;

/// What a block is, as `mldash_bridge schema` calls it.
fn kind(yaml: &str) -> &'static str {
    let has = |key: &str| yaml.lines().any(|line| line.starts_with(key));
    match () {
        () if has("features:") => "recipe",
        () if has("join:") => "joins",
        () => "mapping",
    }
}

/// A part of a mapping, made whole.
fn whole(yaml: &str) -> String {
    let has = |key: &str| yaml.lines().any(|line| line.starts_with(key));
    match () {
        () if has("- ") => format!("topics:\n{yaml}"),
        () if ["topics:", "services:", "actions:"].iter().any(|key| has(key)) => yaml.to_owned(),
        () if has("required:") => format!("{yaml}topics: [{{topic: /**}}]\n"),
        () => format!("{yaml}topics: [{{topic: /a}}]\n"),
    }
}

#[test]
fn every_yaml_in_the_docs_is_read_and_fits_its_schema() {
    let mut texts = [("mapping", Vec::new()), ("recipe", Vec::new()), ("joins", Vec::new())];
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.kind == "yaml") {
            let place = format!("{}:{}", page.name, block.line);
            let kind = kind(&block.text);
            let text = if kind == "mapping" { whole(&block.text) } else { block.text.clone() };
            match kind {
                "mapping" => drop(Mapping::parse(&text, &place).unwrap_or_else(|e| panic!("{e}"))),
                "recipe" => drop(Recipe::parse(&text, &place).unwrap_or_else(|e| panic!("{e}"))),
                _ => joins_are_read(&text, &place),
            }
            let of_kind = texts.iter_mut().find(|(name, _)| *name == kind);
            of_kind.unwrap().1.push((place, text));
        }
    }
    assert!(texts[0].1.len() > 11 && !texts[1].1.is_empty() && !texts[2].1.is_empty());
    for (kind, texts) in texts {
        let (places, texts): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
        for (place, told) in places.iter().zip(Editor::of_kind(kind).wrong_with(&texts)) {
            assert_eq!(told, None, "{place}");
        }
    }
}

/// `align` reads the recipe before it looks for the experiment.
fn joins_are_read(text: &str, place: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("joins.yaml");
    std::fs::write(&file, text).unwrap();
    let args = ["align", "no/such/experiment", "-o", "x.parquet", "--recipe"];
    let done = program(args).arg(&file).current_dir(folder.path()).run();
    assert!(
        done.code == 1 && done.stderr.contains("no/such/experiment"),
        "{place}: {}",
        done.stderr
    );
}
