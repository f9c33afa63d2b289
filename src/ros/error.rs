//! Errors of the ROS side.

/// The ROS side could not start or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosError {
    /// The program was built without ROS.
    #[error(
        "this mldash_bridge was built without ROS 2 and knows no live graph; build it with a ROS 2 \
         sourced, without `--no-default-features`"
    )]
    NotBuilt,
    /// No ROS 2 is sourced where the program was started.
    #[error("no ROS 2 is sourced (AMENT_PREFIX_PATH is not set): {remedy}, and start again")]
    NotSourced {
        /// What to do.
        remedy: String,
    },
    /// ROS 2 did not start.
    #[error("can't start the ROS node: {0}")]
    Start(String),
    /// A ROS parameter has the wrong type.
    #[error("ROS parameter `{name}` must be {expected}: {reason}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// The expected type.
        expected: &'static str,
        /// r2r's error text.
        reason: String,
    },
    /// The node failed.
    #[error("the ROS node failed: {0}")]
    Node(String),
    /// A thread could not be started.
    #[error("can't start a thread")]
    Thread(#[source] std::io::Error),
}
