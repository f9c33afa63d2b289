//! Patterns for names: of experiments, as `experiments`, `tag` and `dataset` take them, and of tracks, as `export` does.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use mldash_bridge::track::find_experiment_names;

use super::Failure;
use super::args::RootArgs;

/// Which experiments are meant.
pub(super) struct Pattern {
    pub(super) text: String,
    glob: Glob,
}

/// Which names are meant, whose parts are separated by slashes.
pub(super) struct Glob(GlobMatcher);

/// The experiments that these patterns mean, each once: pattern by pattern, and by name. Every pattern must mean one.
pub(super) fn names(patterns: &[String], root: &RootArgs) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = Vec::new();
    for text in patterns {
        let pattern = Pattern::new(text, root)?;
        let mut found = find_experiment_names(root.path(), |name| pattern.takes(name))?;
        if found.is_empty() {
            let reason = format!(
                "no experiment under {} matches `{text}`; `mldash_bridge experiments` lists what is there",
                root.path().display()
            );
            return Err(Failure::failed(reason));
        }
        found.sort();
        found.retain(|name| !names.contains(name));
        names.extend(found);
    }
    Ok(names)
}

impl Pattern {
    /// A glob, or the folder of one or several experiments.
    pub(super) fn new(text: &str, root: &RootArgs) -> Result<Self, Failure> {
        let folder = root.name_of(Path::new(text));
        let folder = folder.filter(|name| name.is_empty() || text.contains('/'));
        let glob = match &folder {
            Some(root) if root.is_empty() => "**".to_owned(),
            Some(folder) => globset::escape(folder),
            None => text.trim_matches('/').to_owned(),
        };
        Ok(Self { text: text.to_owned(), glob: Glob::new(&glob)? })
    }

    /// Returns true if the glob matches the name, or a folder that it is in.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.glob.takes(name)
    }

    /// The owner, if the pattern names one.
    pub(super) fn owner(&self) -> Option<&str> {
        let owner = self.glob.0.glob().glob().split('/').next()?;
        (!owner.contains(['*', '?', '[', '{'])).then_some(owner)
    }
}

impl Glob {
    pub(super) fn new(glob: &str) -> Result<Self, Failure> {
        let glob = GlobBuilder::new(glob).literal_separator(true).build();
        Ok(Self(glob.map_err(Failure::usage)?.compile_matcher()))
    }

    /// Returns true if the glob matches the name, or a folder that it is in.
    pub(super) fn takes(&self, name: &str) -> bool {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        folders.chain([name]).any(|path| self.0.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;

    #[test]
    fn a_pattern_takes_what_it_matches_and_what_lies_below() {
        let root = clap::Command::new("");
        let root = <RootArgs as Args>::augment_args(root).get_matches_from([""]);
        let root = <RootArgs as clap::FromArgMatches>::from_arg_matches(&root).unwrap();
        let takes = |pattern: &str, name: &str| Pattern::new(pattern, &root).unwrap().takes(name);
        let run = "alice/warehouse/monday/run-1";
        for pattern in
            ["alice", "alice/", "alice/*", "alice/warehouse/**", "**/run-?", "*/ware*", run]
        {
            assert!(takes(pattern, run), "{pattern}");
        }
        for pattern in ["bob", "al", "run-1", "*/run-1", "alice/*/run-1", "warehouse"] {
            assert!(!takes(pattern, run), "{pattern}");
        }
        assert!(Pattern::new("a/[b", &root).is_err());
        assert_eq!(Pattern::new("alice/*", &root).unwrap().owner(), Some("alice"));
        assert_eq!(Pattern::new("*/x", &root).unwrap().owner(), None);
    }
}
