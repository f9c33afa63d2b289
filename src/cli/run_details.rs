//! Where a recording comes from, noted under `metadata` in `experiment.json`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use mldash_bridge::mapping::Mapping;
use mldash_bridge::ros::{RosNode, host_name};
use mldash_bridge::track::Metadata;
use serde_json::{Value, json};

/// Details of a live recording.
pub(super) fn of_node(node: &RosNode, mapping: &Mapping) -> Metadata {
    let domain = env::var("ROS_DOMAIN_ID").ok().filter(|domain| !domain.is_empty());
    let mut details = of_mapping(mapping);
    details.extend(object(json!({
        "node": node.name().full_name(),
        "ros_distro": env::var("ROS_DISTRO").unwrap_or_else(|_| node.distro().to_owned()),
        "rmw": node.middleware(),
        "ros_domain_id": domain.unwrap_or_else(|| "0".to_owned()),
    })));
    if let Some((folder, revision)) = workspace_revision(mapping.path()) {
        let folder = folder.display().to_string();
        details.extend(object(json!({ "git_revision": revision, "git_folder": folder })));
    }
    details
}

/// Details of an import of bags.
pub(super) fn of_import(mapping: &Mapping, bags: &[PathBuf]) -> Metadata {
    let bags: Vec<String> = bags.iter().map(|bag| absolute(bag).display().to_string()).collect();
    let mut details = of_mapping(mapping);
    details.insert("bags".to_owned(), json!(bags));
    details
}

fn of_mapping(mapping: &Mapping) -> Metadata {
    object(json!({
        "recorder": concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")),
        "host": host_name(),
        "mapping_file": absolute(mapping.path()).display().to_string(),
        "mapping": mapping.text(),
    }))
}

fn object(value: Value) -> Metadata {
    match value {
        Value::Object(object) => object,
        _ => Metadata::new(),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The git checkout that contains the mapping, else the one of the working directory, else that of
/// the sourced workspace; and its revision, with `-dirty` if it has changes.
fn workspace_revision(mapping: &Path) -> Option<(PathBuf, String)> {
    let sourced = env::var_os("COLCON_PREFIX_PATH").or_else(|| env::var_os("AMENT_PREFIX_PATH"));
    let sourced = sourced.and_then(|prefixes| env::split_paths(&prefixes).next());
    let candidates = [fs::canonicalize(mapping).ok(), env::current_dir().ok(), sourced];
    candidates.into_iter().flatten().find_map(|path| {
        let is_checkout = |folder: &&Path| folder.join(".git").exists();
        let folder = path.ancestors().find(is_checkout)?;
        Some((folder.to_owned(), revision(folder)?))
    })
}

/// The revision from git; `None` without git or a commit.
fn revision(checkout: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]);
    let done = git.current_dir(checkout).output().ok()?;
    let revision = String::from_utf8(done.stdout).ok()?;
    (done.status.success() && !revision.trim().is_empty()).then(|| revision.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_has_the_revision_that_git_says() {
        let folder = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args);
            assert!(git.current_dir(folder.path()).output().unwrap().status.success(), "{args:?}");
        };
        git(&["init"]);
        assert_eq!(revision(folder.path()), None, "nothing is committed");
        let mapping = folder.path().join("config").join("bridge.yaml");
        fs::create_dir(mapping.parent().unwrap()).unwrap();
        fs::write(&mapping, "topics: []").unwrap();
        git(&["add", "."]);
        git(&["commit", "-m", "x"]);
        let (found, clean) = workspace_revision(&mapping).unwrap();
        assert_eq!(found, folder.path().canonicalize().unwrap());
        assert_eq!(clean.len(), 40, "{clean}");
        fs::write(&mapping, "topics: [] # changed").unwrap();
        assert_eq!(workspace_revision(&mapping).unwrap().1, format!("{clean}-dirty"));
    }
}
