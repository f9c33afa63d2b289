//! `--ros-args …`, the arguments that ROS 2 adds to every node's command line. rcl applies them. They are
//! also parsed here because r2r panics on malformed ones and does not expose the remapped names.
//! Builds without ROS.

use std::ffi::OsString;
use std::path::PathBuf;

use super::names::NodeName;

/// The ROS part of a command line.
#[derive(Clone, Debug, PartialEq)]
pub struct RosArguments {
    /// `__node:=…`.
    pub node_name: Option<String>,
    /// `__ns:=…`.
    pub namespace: Option<String>,
    /// `--log-level LEVEL`.
    pub log_level: Option<String>,
    /// `from:=to`, in order. The first one that matches a name applies.
    pub remaps: Vec<Remap>,
    /// Whether the log also goes to `/rosout`. False with `--disable-rosout-logs`.
    pub rosout: bool,
    /// `--enclave PATH`: the node's identity under ROS security.
    pub enclave: Option<String>,
    params_files: Vec<PathBuf>,
}

/// One remap rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Applies only to the node of this name.
    node: Option<String>,
    from: String,
    to: String,
}

/// A ROS argument that rcl would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosArgumentError {
    /// ROS 2 has no such argument.
    #[error("`{0}` is not a ROS argument; see `ros2 run --help` for what may follow --ros-args")]
    Unknown(String),
    /// Its value is missing.
    #[error("`{0}` needs a value")]
    NoValue(String),
    /// It is not `name:=value`.
    #[error("`{flag} {text}`: expected `{expected}`")]
    Malformed {
        /// The argument.
        flag: String,
        /// Its value.
        text: String,
        /// The expected form.
        expected: &'static str,
    },
    /// The parameter file does not exist.
    #[error("parameter file {} does not exist", .0.display())]
    NoParamsFile(PathBuf),
}

impl Default for RosArguments {
    fn default() -> Self {
        Self {
            node_name: None,
            namespace: None,
            log_level: None,
            remaps: Vec::new(),
            rosout: true,
            enclave: None,
            params_files: Vec::new(),
        }
    }
}

impl RosArguments {
    /// Separates the program's own arguments from those of ROS, which are between `--ros-args` and `--`.
    ///
    /// # Errors
    /// Fails on ROS arguments that rcl would refuse, since r2r panics on them.
    pub fn split(
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<(Vec<OsString>, Self), RosArgumentError> {
        let (mut own, mut ros, mut in_ros) = (Vec::new(), Vec::new(), false);
        for arg in args {
            if arg == "--ros-args" {
                in_ros = true;
            } else if arg == "--" && in_ros {
                in_ros = false;
            } else if in_ros {
                ros.push(arg.into_string().map_err(|arg| {
                    RosArgumentError::Unknown(arg.to_string_lossy().into_owned())
                })?);
            } else {
                own.push(arg);
            }
        }
        Ok((own, Self::parse(ros)?))
    }

    fn parse(args: Vec<String>) -> Result<Self, RosArgumentError> {
        let mut parsed = Self::default();
        let mut args = args.into_iter();
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--enable-rosout-logs" | "--disable-rosout-logs" => {
                    parsed.rosout = flag == "--enable-rosout-logs";
                    continue;
                }
                "--enable-stdout-logs"
                | "--disable-stdout-logs"
                | "--enable-external-lib-logs"
                | "--disable-external-lib-logs" => continue,
                "-r" | "--remap" | "-p" | "--param" | "--params-file" | "--log-level"
                | "--log-config-file" | "--log-file-name" | "-e" | "--enclave" => {}
                _ => return Err(RosArgumentError::Unknown(flag)),
            }
            let value = args.next().ok_or_else(|| RosArgumentError::NoValue(flag.clone()))?;
            parsed.take(&flag, value)?;
        }
        Ok(parsed)
    }

    fn take(&mut self, flag: &str, value: String) -> Result<(), RosArgumentError> {
        match flag {
            "-r" | "--remap" => {
                let remap = Remap::parse(flag, &value)?;
                match remap.from.as_str() {
                    "__node" | "__name" => self.node_name = Some(remap.to),
                    "__ns" => self.namespace = Some(remap.to),
                    _ => self.remaps.push(remap),
                }
            }
            "-p" | "--param" if !value.contains(":=") => {
                return Err(malformed(flag, &value, "name:=value"));
            }
            "--params-file" => {
                let path = PathBuf::from(value);
                if !path.exists() {
                    return Err(RosArgumentError::NoParamsFile(path));
                }
                self.params_files.push(path);
            }
            "-e" | "--enclave" => self.enclave = Some(value),
            "--log-level" => {
                // `logger:=level` is for one logger of a node that has many; here there is one.
                let level = value.rsplit(":=").next().unwrap_or(&value);
                self.log_level = Some(level.to_ascii_lowercase());
            }
            _ => {}
        }
        Ok(())
    }

    /// The name of a topic on the graph. `name` is its expanded name in `node`.
    pub fn remapped(&self, name: &str, node: &NodeName) -> String {
        let fits = |rule: &&Remap| {
            rule.node.as_ref().is_none_or(|n| n == node.base_name())
                && node.expand(rule.from.strip_prefix("rostopic://").unwrap_or(&rule.from)) == name
        };
        let rule = self.remaps.iter().find(fits);
        rule.map_or_else(|| name.to_owned(), |rule| node.expand(&rule.to))
    }
}

impl Remap {
    fn parse(flag: &str, text: &str) -> Result<Self, RosArgumentError> {
        const EXPECTED: &str = "[node:]from:=to, both ROS names";
        let wrong = || malformed(flag, text, EXPECTED);
        let (from, to) = text.split_once(":=").ok_or_else(wrong)?;
        let (node, from) = match from.split_once(':') {
            Some((node, from)) if !from.starts_with("//") => (Some(node.to_owned()), from),
            _ => (None, from),
        };
        let special = |name: &str| matches!(name, "__node" | "__name" | "__ns");
        let is_name = |name: &str| {
            let name = name.strip_prefix("~/").unwrap_or(name);
            let segments = name.strip_prefix('/').unwrap_or(name).split('/');
            segments.into_iter().all(is_segment)
        };
        let bare_root = from == "__ns" && to == "/";
        let from_fits = special(from) || is_name(from.trim_start_matches("rostopic://"));
        if !from_fits || !(bare_root || is_name(to)) {
            return Err(wrong());
        }
        Ok(Self { node, from: from.to_owned(), to: to.to_owned() })
    }
}

fn is_segment(segment: &str) -> bool {
    segment.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn malformed(flag: &str, text: &str, expected: &'static str) -> RosArgumentError {
    RosArgumentError::Malformed { flag: flag.to_owned(), text: text.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<(Vec<OsString>, RosArguments), RosArgumentError> {
        RosArguments::split(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_programs_own_arguments_stay_whatever_ros_adds() {
        let (own, ros) = split("prog --config a.yaml --ros-args -r __node:=rec -- --json").unwrap();
        assert_eq!(own, ["prog", "--config", "a.yaml", "--json"]);
        assert_eq!(ros.node_name.as_deref(), Some("rec"));
        assert!(ros.rosout);
        assert!(!split("prog --ros-args --disable-rosout-logs").unwrap().1.rosout);
    }

    #[test]
    fn what_rcl_would_refuse_is_an_error_with_the_argument_in_it() {
        let message = |line: &str| split(line).unwrap_err().to_string();
        assert!(message("p --ros-args -r nonsense").contains("nonsense"));
        assert!(message("p --ros-args -r a:=").contains("a:="));
        assert!(message("p --ros-args --remap").contains("--remap"));
        assert!(message("p --ros-args --frobnicate").contains("--frobnicate"));
        assert!(message("p --ros-args -p config").contains("name:=value"));
        assert!(message("p --ros-args --params-file /nowhere.yaml").contains("/nowhere.yaml"));
    }

    #[test]
    fn remaps_apply_to_expanded_names_first_rule_first() {
        let line =
            "p --ros-args -r pose:=odom/pose -r other:/scan:=/no -r /scan:=/lidar -r /scan:=/x";
        let (_, ros) = split(line).unwrap();
        let node = NodeName::new("bridge", "/robot1");
        assert_eq!(ros.remapped("/robot1/pose", &node), "/robot1/odom/pose");
        assert_eq!(ros.remapped("/scan", &node), "/lidar");
        assert_eq!(ros.remapped("/pose", &node), "/pose");
    }
}
