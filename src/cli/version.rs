//! `mldash_bridge --version`: what a report of a fault should name. `-V` prints the first line alone.

use std::io::{Write, stdout};

use mldash_bridge::ros;

use super::Failure;

/// The revision of git that the program was built from; empty if nobody knows (build.rs).
pub(super) const REVISION: &str = env!("MLDASH_REVISION");

pub(super) fn print() -> Result<(), Failure> {
    Ok(stdout().write_all(text(REVISION, ros::built_with().as_deref()).as_bytes())?)
}

fn text(revision: &str, ros: Option<&str>) -> String {
    let revision = if revision.is_empty() { "unknown" } else { revision };
    format!(
        "mldash_bridge {}\nrevision: {revision}\nROS 2: {}\n",
        env!("CARGO_PKG_VERSION"),
        ros.unwrap_or("none; built without it, records bags but no live robot")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_version_and_the_others_say_what_was_built() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text("3fa1", Some("jazzy, rmw_fastrtps_cpp")),
            format!("mldash_bridge {version}\nrevision: 3fa1\nROS 2: jazzy, rmw_fastrtps_cpp\n")
        );
        assert!(text("", None).ends_with(
            "revision: unknown\nROS 2: none; built without it, records bags but no live robot\n"
        ));
    }
}
