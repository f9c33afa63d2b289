//! The house in order: who may use whom, and docs that say what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::markdown::{Page, pages};
use super::program::program;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            rust_files(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        files.push(path.to_owned());
    }
}

/// Returns true if a file of this module of `mldash-record` may use what stands under this name at the crate's root.
/// The crates hold who uses whom otherwise.
fn may_use(module: &str, used: &str) -> bool {
    let is_recorders = used.starts_with(char::is_uppercase);
    match module {
        "yaml" => used == "yaml",
        "blob" => used == "blob",
        "mapping" => ["blob", "mapping", "yaml"].contains(&used),
        "bag" => ["bag", "mapping", "yaml"].contains(&used) || is_recorders,
        _ => used != "bag",
    }
}

/// What the `use` lines of a file name at the crate's root, and whether they got there by `super::`. `file` is below `src`.
fn used_at_the_root(file: &Path, text: &str) -> Vec<(String, bool)> {
    let file = file.with_extension("");
    let modules: Vec<&str> = file.iter().map(|name| name.to_str().unwrap()).collect();
    let mut used = Vec::new();
    let lines = text.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at - line.len(), line))
    });
    for (at, line) in lines {
        let code = line.trim_start();
        let code = ["pub ", "pub(super) ", "pub(crate) "]
            .iter()
            .find_map(|p| code.strip_prefix(p))
            .unwrap_or(code);
        let Some(rest) = code.strip_prefix("use ") else { continue };
        let begin = at + line.len() - rest.len();
        let path: String = text[begin..].split(';').next().unwrap().split_whitespace().collect();
        // What is indented stands in a module of the file's own.
        let mut base = modules.clone();
        base.extend(line.starts_with(' ').then_some("tests"));
        let mut below = path.as_str();
        let is_by_super = below.starts_with("super::");
        if let Some(rest) = below.strip_prefix("crate::") {
            (base, below) = (Vec::new(), rest);
        } else if !is_by_super {
            continue;
        }
        while let Some(rest) = below.strip_prefix("super::") {
            assert!(base.pop().is_some(), "{}: {path}", file.display());
            below = rest;
        }
        let name = |item: &str| {
            item.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        match (base.first(), below.strip_prefix('{')) {
            (Some(own), _) => used.push(((*own).to_owned(), is_by_super)),
            (None, None) => used.push((name(below), is_by_super)),
            (None, Some(list)) => {
                let mut depth = 0;
                let items = list.split(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth == 0 && c == ','
                });
                used.extend(items.map(|item| (name(item), is_by_super)));
            }
        }
    }
    used.retain(|(name, _)| !name.is_empty());
    used
}

#[test]
fn arrows_of_use_go_one_way_within_the_recorders_crate() {
    let src = root().join("crates/mldash-record/src");
    let (mut files, mut by_super) = (Vec::new(), 0);
    rust_files(&src, &mut files);
    for file in files.iter().filter(|file| !file.ends_with("src/lib.rs")) {
        let below = file.strip_prefix(&src).unwrap();
        let module = Path::new(below.iter().next().unwrap()).file_stem().unwrap().to_str().unwrap();
        for (used, is_by_super) in used_at_the_root(below, &fs::read_to_string(file).unwrap()) {
            assert!(may_use(module, &used), "{}: {used}", file.display());
            by_super += usize::from(is_by_super);
        }
    }
    assert!(by_super > 100, "{by_super} uses by `super::` were looked at");
}

#[test]
fn uses_are_resolved_as_the_compiler_does() {
    let text = "use super::super::a::B;\npub use crate::{c::{D, E},\n F};\nuse super::own::G;\n\
                mod tests {\n    use super::*;\n    use super::super::super::h;\n}\n";
    let used = used_at_the_root(Path::new("bag/file.rs"), text);
    let names: Vec<&str> = used.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "c", "F", "bag", "bag", "h"]);
    assert_eq!(used.iter().filter(|(_, is_by_super)| *is_by_super).count(), 4);
}

#[test]
fn messages_know_only_the_rows_of_tracks() {
    let mut files = Vec::new();
    rust_files(&root().join("crates/mldash-message/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for store in ["Experiment", "Query", "Options", "TrackError"] {
            assert!(!text.contains(store), "{}: {store}", file.display());
        }
    }
}

/// `make lint` turns warnings into errors.
#[test]
fn every_crate_is_held_to_document_what_is_public() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("\n[workspace.lints.rust]\nmissing_docs = \"warn\"\n"));
    let crates = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let crates: Vec<PathBuf> = crates.chain([root().to_owned()]).collect();
    assert!(crates.len() > 4, "{crates:?}");
    for folder in crates {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{}", folder.display());
        let mut files = Vec::new();
        rust_files(&folder.join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("allow(missing_docs"), "{}", file.display());
        }
    }
}

/// Where `unsafe` may stand: the layer over the C libraries of ROS. Each block there says why it is sound, which clippy
/// sees to (`undocumented_unsafe_blocks`).
const UNSAFE: [&str; 1] = ["src/ros/rcl/"];

#[test]
fn unsafe_code_stands_only_in_named_modules() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("\nunsafe_code = \"warn\"\n"), "make lint turns it into an error");
    let mut files = Vec::new();
    for folder in ["src", "crates", "tests", "benches", "examples", "fuzz"] {
        rust_files(&root().join(folder), &mut files);
    }
    files.push(root().join("build.rs"));
    let mut found = 0;
    for file in files {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap();
        let is_named = UNSAFE.iter().any(|module| name.starts_with(module));
        for line in fs::read_to_string(&file).unwrap().lines() {
            let code = line.split("//").next().unwrap();
            let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("]
                .iter()
                .any(|word| code.contains(word) && !code.contains('"'));
            assert!(is_named || !is_unsafe, "{name}: {line}");
            found += usize::from(is_unsafe);
            // The lint is switched off for those modules as a whole, and nowhere else.
            let is_switched = code.trim_start().starts_with("#") && code.contains("unsafe_code");
            assert!(name == "src/ros.rs" || !is_switched, "{name}: {line}");
        }
    }
    assert!(found > 10, "this looks for the wrong words");
}

#[test]
fn the_readme_names_every_command_and_no_other() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let help = program(["--help"]).run().text().to_owned();
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // Further lines of a description are indented more.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 4, "{help}");
    for command in &commands {
        assert!(readme.contains(&format!("| `mldash_bridge {command} ")), "README lacks {command}");
    }
    let listed = readme.lines().filter_map(|line| line.strip_prefix("| `mldash_bridge "));
    for line in listed {
        let command = line.split([' ', '`']).next().unwrap();
        assert!(commands.contains(&command), "README has {command}, the program does not");
    }
}

#[test]
fn the_description_of_the_servers_calls_has_those_that_it_routes_and_no_other() {
    let source = fs::read_to_string(root().join("crates/mldash-server/src/routes.rs")).unwrap();
    let mut routed = BTreeSet::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once("\", ").unwrap();
        let handlers = rest.split(['\n', ';']).next().unwrap();
        let methods = ["get", "post", "put", "patch", "delete"];
        for method in methods.iter().filter(|method| handlers.contains(&format!("{method}("))) {
            routed.insert(format!("{method} {path}"));
        }
    }
    assert!(routed.len() > 10, "{routed:?}");
    let text = fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&text).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let calls = |(path, calls): (&String, &serde_json::Value)| -> Vec<String> {
        calls.as_object().unwrap().keys().map(|method| format!("{method} {path}")).collect()
    };
    let described: BTreeSet<String> = paths.iter().flat_map(calls).collect();
    assert_eq!(described, routed);
}

#[test]
fn the_servers_docs_have_every_page() {
    let source = fs::read_to_string(root().join("crates/mldash-server/src/pages.rs")).unwrap();
    let docs = fs::read_to_string(root().join("docs/server.md")).unwrap();
    let routes = source.split(".route(\"/").skip(1).filter_map(|route| route.split('"').next());
    // What lies below a page is a part of it.
    let pages: BTreeSet<&str> = routes.filter_map(|route| route.split('/').next()).collect();
    assert!(pages.len() > 4, "{pages:?}");
    for page in pages.iter().filter(|page| **page != "favicon.ico") {
        assert!(docs.contains(&format!("`/{page}")), "docs/server.md lacks /{page}");
    }
}

#[test]
fn every_check_that_the_promises_name_is_there() {
    let docs = fs::read_to_string(root().join("docs/RELIABILITY.md")).unwrap();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut checks = 0;
    for code in docs.split('`').skip(1).step_by(2) {
        let Some((kind, rest)) = code.split_once([' ', '/']) else { continue };
        let name = rest.split(' ').next().unwrap();
        let is_there = match kind {
            "whole" | "ros" => {
                let tests = root().join("tests").join(kind);
                let mut files = Vec::new();
                rust_files(&tests, &mut files);
                let is_module = tests.join(name).with_extension("rs").exists();
                let has_test = |file: &PathBuf| {
                    let text = fs::read_to_string(file).unwrap();
                    text.lines().any(|line| line.starts_with("fn ") && line.contains(name))
                };
                name == "F" || is_module || files.iter().any(has_test)
            }
            "track" => {
                let src = root().join("crates/mldash-track/src");
                let is_module =
                    |folder: &str| src.join(folder).join(name).with_extension("rs").exists();
                name == "F" || is_module("") || is_module("local")
            }
            "scripts" => root().join("scripts").join(name).exists(),
            "make" => makefile.contains(&format!("\n{name}:")),
            _ => continue,
        };
        assert!(is_there, "`{code}` checks nothing");
        checks += 1;
    }
    assert!(checks > 20, "{checks}");
}

#[test]
fn every_link_in_the_docs_leads_somewhere() {
    let mut links = 0;
    for Page { name: file, text } in pages() {
        let folder = root().join(&file);
        let folder = folder.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") {
                continue;
            }
            let target = if path.is_empty() { root().join(&file) } else { folder.join(path) };
            assert!(target.exists(), "{file}: {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let is_there = text.lines().any(|line| anchor(line).as_deref() == Some(heading));
                assert!(is_there, "{file}: {link} has no such heading");
            }
            links += 1;
        }
    }
    assert!(links > 40, "{links}");
}

/// What GitHub and mdbook call a heading.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
    Some(
        heading
            .to_lowercase()
            .chars()
            .filter(kept)
            .map(|c| if c == ' ' { '-' } else { c })
            .collect(),
    )
}

#[test]
fn the_book_has_every_page_of_the_docs() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for Page { name: file, .. } in pages() {
        let page = file.strip_prefix("docs/").filter(|page| *page != "SUMMARY.md");
        let Some(page) = page else { continue };
        assert!(summary.contains(&format!("]({page})")), "docs/SUMMARY.md lacks {page}");
    }
}

#[test]
fn the_docs_explain_every_reason_and_note_of_the_account() {
    let docs = fs::read_to_string(root().join("docs/operation.md")).unwrap();
    let source =
        fs::read_to_string(root().join("crates/mldash-record/src/account/reasons.rs")).unwrap();
    for name in ["DropReason", "Note"] {
        let (_, body) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let is_variant = |line: &&str| line.starts_with(char::is_uppercase);
        let variants: Vec<&str> =
            body.lines().map(|line| line.trim().trim_end_matches(',')).filter(is_variant).collect();
        assert!(variants.len() > 4, "{variants:?}");
        for variant in variants {
            let word = snake_case(variant);
            assert!(docs.contains(&format!("`{word}`")), "docs/operation.md lacks {name} {word}");
        }
    }
}

/// As serde writes a variant's name.
fn snake_case(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
