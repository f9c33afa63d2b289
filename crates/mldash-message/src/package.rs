//! The message packages that many robots use, for hints where no ROS 2 workspace is sourced.

/// Packages of ROS 2 itself and of what is commonly installed beside it.
const COMMON: [&str; 29] = [
    "ackermann_msgs",
    "action_msgs",
    "actuator_msgs",
    "builtin_interfaces",
    "control_msgs",
    "diagnostic_msgs",
    "geographic_msgs",
    "geometry_msgs",
    "gps_msgs",
    "lifecycle_msgs",
    "map_msgs",
    "mavros_msgs",
    "moveit_msgs",
    "nav2_msgs",
    "nav_msgs",
    "radar_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "shape_msgs",
    "std_msgs",
    "std_srvs",
    "stereo_msgs",
    "tf2_msgs",
    "trajectory_msgs",
    "unique_identifier_msgs",
    "vision_msgs",
    "visualization_msgs",
    "velodyne_msgs",
];

/// Shorter names differ by one letter without being slips of each other: `nav_msgs`, `uav_msgs`.
const MIN_SLIP_BYTES: usize = "sensor_msg".len();

/// The common message package that `package` is most likely a slip of; `None` if it is one itself.
///
/// ```
/// use mldash_message::meant_package;
/// assert_eq!(meant_package("geometry_msg"), Some("geometry_msgs"));
/// assert_eq!(meant_package("my_robot_msgs"), None);
/// ```
pub fn meant_package(package: &str) -> Option<&'static str> {
    let singular = |name: &str| name.trim_end_matches('s').to_owned();
    let is_slip = |known: &&str| {
        singular(known) == singular(package)
            || (package.len() >= MIN_SLIP_BYTES && strsim::osa_distance(known, package) == 1)
    };
    if COMMON.contains(&package) { None } else { COMMON.into_iter().find(is_slip) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_means_the_common_package_and_a_name_of_ones_own_means_itself() {
        for (slip, meant) in [
            ("geometry_msg", "geometry_msgs"),
            ("std_msg", "std_msgs"),
            ("sensor_mgss", "sensor_msgs"),
            ("geomtry_msgs", "geometry_msgs"),
            ("builtin_interface", "builtin_interfaces"),
        ] {
            assert_eq!(meant_package(slip), Some(meant), "{slip}");
        }
        for own in ["uav_msgs", "motor_msgs", "nav_msgs", "geometry", "arm_msgs", "stm_msgs"] {
            assert_eq!(meant_package(own), None, "{own}");
        }
    }
}
