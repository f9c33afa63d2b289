"""Starts the bridge as a ROS 2 node: ros2 launch mldash_bridge bridge.launch.py --show-args."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# What the program takes as ROS parameters; an empty string is the same as not given.
PARAMETERS = ("config", "experiment", "root", "remote", "task", "notes", "operator", "tags")

# Nav2 writes use_sim_time:=True.
TRUTHS = {"true": True, "True": True, "false": False, "False": False}


def declare_arguments():
    default_config = PathJoinSubstitution([FindPackageShare("mldash_bridge"), "config", "bridge.yaml"])
    return [
        DeclareLaunchArgument(
            "config", default_value=default_config, description="Mapping file (YAML): which topics become which tracks."
        ),
        DeclareLaunchArgument(
            "experiment",
            default_value="",
            description="ML-Dash experiment, owner/project/…/name. Empty: as the mapping says.",
        ),
        DeclareLaunchArgument(
            "root",
            default_value="",
            description="Folder of the local store; relative to where launch was started. Empty: as the mapping says.",
        ),
        DeclareLaunchArgument(
            "remote", default_value="", description="URL of an ML-Dash server to sync to. Empty: as the mapping says."
        ),
        DeclareLaunchArgument(
            "start_paused",
            default_value="",
            choices=["", *TRUTHS],
            description="Count messages and leave them out until ~/resume is called. Empty: as the mapping says.",
        ),
        DeclareLaunchArgument(
            "task", default_value="", description="What the robot is to do. Empty: as the mapping says."
        ),
        DeclareLaunchArgument("notes", default_value="", description="Notes on the experiment."),
        DeclareLaunchArgument(
            "operator", default_value="", description="Who runs the robot. Empty: as the mapping says."
        ),
        DeclareLaunchArgument(
            "tags", default_value="", description="Tags of the experiment, with commas between, besides the mapping's."
        ),
        DeclareLaunchArgument("node_name", default_value="mldash_bridge", description="Name of the node."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node. Empty: the root."),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=list(TRUTHS),
            description="Take receive times from /clock instead of the system clock.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="The least severe log messages that are shown.",
        ),
        DeclareLaunchArgument(
            "duration", default_value="", description="Seconds to record for. Empty: until the launch is stopped."
        ),
    ]


def bridge(context):
    def value_of(argument):
        return LaunchConfiguration(argument).perform(context).strip()

    # Strings, whatever they look like: an experiment may be called 2026 or true.
    parameters = {name: ParameterValue(value_of(name), value_type=str) for name in PARAMETERS if value_of(name)}
    parameters["use_sim_time"] = TRUTHS[value_of("use_sim_time")]
    if value_of("start_paused"):
        parameters["start_paused"] = TRUTHS[value_of("start_paused")]
    return [
        Node(
            package="mldash_bridge",
            executable="mldash_bridge",
            name=value_of("node_name") or None,
            namespace=value_of("namespace"),
            output="screen",
            arguments=["--duration", value_of("duration")] if value_of("duration") else [],
            ros_arguments=["--log-level", value_of("log_level")],
            parameters=[parameters],
            # When told to stop, the bridge takes what is queued, writes it and closes the tracks: give it the time.
            sigterm_timeout="30",
            sigkill_timeout="30",
        )
    ]


def generate_launch_description():
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=bridge)])
