//! Checks that ROS 2 is sourced. The program starts without it, for commands that need no graph.
//! Creating a node would then fail somewhere inside.

use std::env;
use std::path::Path;

use super::RosError;

/// Lists the sourced workspaces.
const PREFIXES: &str = "AMENT_PREFIX_PATH";

/// Checks that a ROS 2 is sourced. `distro` is the one that this program was built for.
///
/// # Errors
/// If none is sourced, says what to source.
pub(super) fn check(distro: &str) -> Result<(), RosError> {
    if env::var_os(PREFIXES).is_some_and(|prefixes| !prefixes.is_empty()) {
        return Ok(());
    }
    let setup = format!("/opt/ros/{distro}/setup.bash");
    // A checkout with its own ROS 2 has a script for it.
    let wrapper = env::current_exe().ok().and_then(|program| {
        let wrapper = program.ancestors().nth(3)?.join("scripts/with-ros");
        wrapper.is_file().then(|| wrapper.display().to_string())
    });
    let remedy = match wrapper {
        Some(wrapper) if !Path::new(&setup).is_file() => {
            format!("start this with `{wrapper}` in front")
        }
        _ => format!("run `source {setup}`, then `source install/setup.bash` of your workspace"),
    };
    Err(RosError::NotSourced { remedy })
}
