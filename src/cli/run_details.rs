//! Where a recording comes from, noted under `metadata` in `experiment.json`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use mldash_bridge::mapping::{Mapping, Rule};
use mldash_bridge::ros::{RosNode, host_name};
use mldash_bridge::track::Metadata;
use serde_json::{Value, json};

use super::version::REVISION;

/// How long git may take. A large checkout or a network drive must not hold up a recording.
const GIT_AT_MOST: Duration = Duration::from_secs(3);

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
    let mut details = object(json!({
        "recorder": concat!("mldash_bridge ", env!("CARGO_PKG_VERSION")),
        "host": host_name(),
        "mapping": mapping.text(),
    }));
    if let Some(file) = mapping.file() {
        details.insert("mapping_file".to_owned(), json!(absolute(file).display().to_string()));
    }
    let beside: Vec<String> = mapping.calls_beside_text().map(Rule::label).collect();
    if !beside.is_empty() {
        details.insert("also_recorded".to_owned(), json!(beside));
    }
    if !REVISION.is_empty() {
        details.insert("recorder_revision".to_owned(), json!(REVISION));
    }
    details
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
    let revision = short_output(git.current_dir(checkout), GIT_AT_MOST)?;
    (!revision.trim().is_empty()).then(|| revision.trim().to_owned())
}

/// What a command prints, if that fits in a pipe's buffer. `None` if it fails or is not done in time.
fn short_output(command: &mut Command, at_most: Duration) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let deadline = Instant::now() + at_most;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let program = command.get_program().display();
                tracing::warn!("{program} did not answer in {at_most:?}; going on without it");
                // It may have ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut text = String::new();
    child.stdout?.read_to_string(&mut text).ok()?;
    status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use mldash_bridge::mapping::{CallSelection, RECORDERS_KEYS};

    use super::*;

    #[test]
    fn no_mapping_can_give_what_is_noted_here_another_value() {
        let calls = CallSelection { services: CallSelection::all(), ..CallSelection::default() };
        let mapping = Mapping::parse("topics: [{topic: /x}]", "m.yaml").unwrap();
        let mapping = mapping.with_calls(&calls);
        let of_node = ["node", "ros_distro", "rmw", "ros_domain_id", "git_revision", "git_folder"];
        let of_a_checkout = ["recorder_revision"];
        let details = of_import(&mapping, &[]);
        for key in details.keys().map(String::as_str).chain(of_node).chain(of_a_checkout) {
            assert!(RECORDERS_KEYS.contains(&key), "{key}");
            let text = format!("{{topics: [{{topic: /x}}], metadata: {{{key}: mine}}}}");
            let error = Mapping::parse(&text, "m.yaml").unwrap_err().to_string();
            assert!(error.contains("is written by the recorder itself"), "{error}");
        }
    }

    #[test]
    fn a_command_that_does_not_end_is_given_up() {
        let mut sleeping = Command::new("sleep");
        assert_eq!(short_output(sleeping.arg("600"), Duration::from_millis(20)), None);
        let mut echo = Command::new("echo");
        let said = short_output(echo.arg("v1"), Duration::from_secs(60));
        assert_eq!(said.as_deref(), Some("v1\n"));
    }

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
