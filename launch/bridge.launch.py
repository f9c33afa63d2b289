"""Starts the bridge as a ROS 2 node: ros2 launch mldash_bridge bridge.launch.py --show-args."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# What the program takes as ROS parameters; an empty string is the same as not given.
PARAMETERS = ("experiment", "root", "remote", "task", "notes", "operator", "tags")

# Which topics, without a mapping file; likewise.
SELECTION = ("topics", "regex", "exclude", "exclude_types")

# What is recorded besides the topics, with a mapping file and without; likewise.
CALLS = ("services", "actions")

# What it takes on the command line.
OPTIONS = ("duration", "split_every", "split_size")

# Nav2 writes use_sim_time:=True.
TRUTHS = {"true": True, "True": True, "false": False, "False": False}

DEFAULT_CONFIG = PathJoinSubstitution([FindPackageShare("mldash_bridge"), "config", "bridge.yaml"])


def declare_arguments():
    return [
        DeclareLaunchArgument(
            "config",
            default_value=DEFAULT_CONFIG,
            description="Mapping file (YAML): which topics become which tracks. Not used with topics, all, regex.",
        ),
        DeclareLaunchArgument(
            "topics",
            default_value="",
            description="Record these topics instead of by a mapping file: names or globs, with spaces between.",
        ),
        DeclareLaunchArgument(
            "all",
            default_value="false",
            choices=list(TRUTHS),
            description="Record all topics but hidden ones, /rosout and /parameter_events; likewise.",
        ),
        DeclareLaunchArgument(
            "regex", default_value="", description="Record topics whose names have this regular expression; likewise."
        ),
        DeclareLaunchArgument(
            "exclude", default_value="", description="Names or globs that all, regex and globs leave out."
        ),
        DeclareLaunchArgument("exclude_types", default_value="", description="Types that they leave out."),
        DeclareLaunchArgument(
            "services",
            default_value="",
            description="Also record these services: names or globs, with spaces between, or all.",
        ),
        DeclareLaunchArgument("actions", default_value="", description="Also record these actions; likewise."),
        DeclareLaunchArgument(
            "split_every",
            default_value="",
            description="Continue in the next part after so long: 10min. Empty: as the mapping says.",
        ),
        DeclareLaunchArgument(
            "split_size",
            default_value="",
            description="Continue in the next part after so many bytes: 4GiB. Empty: as the mapping says.",
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
    def texts(names):
        return {name: ParameterValue(value_of(name), value_type=str) for name in names if value_of(name)}

    parameters = texts(PARAMETERS)
    selection = texts(SELECTION)
    if TRUTHS[value_of("all")]:
        selection["all"] = True
    # The default mapping is for those who say nothing of topics. With another one, the program says that it is one
    # or the other.
    if not selection or value_of("config") != DEFAULT_CONFIG.perform(context):
        parameters |= texts(["config"])
    parameters |= selection | texts(CALLS)
    parameters["use_sim_time"] = TRUTHS[value_of("use_sim_time")]
    if value_of("start_paused"):
        parameters["start_paused"] = TRUTHS[value_of("start_paused")]
    options = [(f"--{name}".replace("_", "-"), value_of(name)) for name in OPTIONS if value_of(name)]
    return [
        Node(
            package="mldash_bridge",
            executable="mldash_bridge",
            name=value_of("node_name") or None,
            namespace=value_of("namespace"),
            output="screen",
            arguments=[word for option in options for word in option],
            ros_arguments=["--log-level", value_of("log_level")],
            parameters=[parameters],
            # When told to stop, the bridge takes what is queued, writes it and closes the tracks: give it the time.
            sigterm_timeout="30",
            sigkill_timeout="30",
        )
    ]


def generate_launch_description():
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=bridge)])
