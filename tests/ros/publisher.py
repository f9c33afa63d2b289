"""A robot for tests: publishes known messages with rclpy and writes down, as JSON lines, the rows they should become.

publisher.py SCENARIO EXPECTED_FILE [NAMESPACE]

Waits until every topic has its subscriber, unless the scenario is about publishers that come first. Knows nothing of the
bridge: the expected rows follow DESIGN.md's field rules, written here a second time, from rclpy's own message classes.
"""

import json
import math
import select
import sys
import time

import numpy
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu, JointState, LaserScan, PointCloud2, PointField
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

RELIABLE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
SENSOR = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)

START = 1_700_000_000
VECTORS = ("geometry_msgs/Point", "geometry_msgs/Vector3", "geometry_msgs/Point32", "geometry_msgs/Quaternion")


def stamp(i, hz=50):
    nanos = i * 1_000_000_000 // hz
    return Time(sec=START + nanos // 1_000_000_000, nanosec=nanos % 1_000_000_000)


def seconds(time_msg):
    return time_msg.sec + time_msg.nanosec / 1e9


# ---- the field rules -------------------------------------------------------------------------------------------------


def number(value, ros_type):
    if ros_type == "float" and math.isfinite(value):
        return float(str(numpy.float32(value)))
    return float(value) if ros_type == "float" else value


def plain(value, ros_type):
    """A field's value as the row has it; `ros_type` as rclpy spells it."""
    if ros_type.startswith("sequence<"):
        element = ros_type[len("sequence<") : -1].split(",")[0]
        return [plain(item, element) for item in value]
    if ros_type.endswith("]"):
        return [plain(item, ros_type[: ros_type.index("[")]) for item in value]
    if ros_type in VECTORS:
        fields = value.get_fields_and_field_types()
        return [number(getattr(value, name), of) for name, of in fields.items()]
    if hasattr(value, "get_fields_and_field_types"):
        return {
            name: plain(getattr(value, name), of) for name, of in value.get_fields_and_field_types().items()
        }
    if isinstance(value, bytes):
        return value[0]
    if isinstance(value, numpy.generic):
        value = value.item()
    return number(value, ros_type)


def flat(fields, prefix=""):
    row = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            row.update(flat(value, f"{prefix}{name}."))
        else:
            row[prefix + name] = value
    return row


def row_of(message):
    fields = plain(message, type(message).__name__)
    row = {}
    if "header" in fields:
        header = fields.pop("header")
        row["timestamp"] = seconds(message.header.stamp)
        row["frame_id"] = header["frame_id"]
    row.update(flat(fields))
    if isinstance(message, PointCloud2):
        row.update(columns_of(message, row.pop("data")))
    return row


def columns_of(cloud, data):
    """Points of floats, as the columns that they are under `blobs: inline`."""
    points = numpy.array(data, dtype=numpy.uint8).view("<f4").reshape(cloud.width, -1)
    columns = {field.name: [number(value, "float") for value in points[:, k]] for k, field in enumerate(cloud.fields)}
    return {"points": cloud.width, **columns}


# ---- messages --------------------------------------------------------------------------------------------------------


def header(message, i, frame_id):
    message.header.stamp = stamp(i)
    message.header.frame_id = frame_id
    return message


def pose(i):
    message = header(PoseStamped(), i, "map")
    message.pose.position.x, message.pose.position.y = 0.1 * i, -0.7 / (i + 1)
    message.pose.orientation.z = math.sin(i)
    message.pose.orientation.w = math.cos(i)
    return message


def scan(i):
    message = header(LaserScan(), i, "laser")
    message.angle_min, message.angle_max, message.angle_increment = -1.57, 1.57, 0.01
    message.ranges = [0.1 * k + i for k in range(300)] + [math.inf, -math.inf, math.nan]
    message.intensities = [math.nan, 0.3]
    return message


def cloud(i):
    message = header(PointCloud2(), i, "lidar")
    message.height, message.width, message.point_step, message.row_step = 1, 20, 16, 320
    names = ["x", "y", "z", "intensity"]
    message.fields = [PointField(name=n, offset=4 * k, datatype=7, count=1) for k, n in enumerate(names)]
    message.data = numpy.arange(320, dtype=numpy.uint8).tobytes()
    message.is_dense = i % 2 == 0
    return message


def imu(i):
    message = header(Imu(), i, "imu")
    message.linear_acceleration.z = 9.81
    message.angular_velocity.x = math.nan
    message.orientation_covariance[0] = -1.0
    return message


def joints(i):
    message = header(JointState(), i, "")
    message.name = ["shoulder", "ellenbogen-é", ""]
    message.position = [0.1 * i, math.inf, -0.0]
    return message


def camera_info(i):
    message = header(CameraInfo(), i, "camera")
    message.width, message.height, message.distortion_model = 640, 480, "plumb_bob"
    message.d = [0.1, -0.2, 0.0]
    message.k = [float(k) for k in range(9)]
    return message


def odometry(i):
    message = header(Odometry(), i, "odom")
    message.child_frame_id = "base"
    message.twist.twist.linear.x = 1 / 3
    return message


def transform(i, child):
    message = header(TransformStamped(), i, "map")
    message.child_frame_id = child
    message.transform.translation.x = float(i)
    return message


def image(i):
    message = header(Image(), i, "camera")
    message.height, message.width, message.step, message.encoding = 300, 300, 900, "rgb8"
    pixels = numpy.empty((90_000, 3), dtype=numpy.uint8)
    k = numpy.arange(90_000)
    pixels[:, 0], pixels[:, 1], pixels[:, 2] = (k + i) % 256, (k // 300) % 256, 7
    message.data = pixels.tobytes()
    return message


# ---- scenarios -------------------------------------------------------------------------------------------------------

# Less than the tests' own, so that what did not come is said.
PATIENCE_SECS = 150


class Robot:
    def __init__(self, expected_file, namespace):
        self.node = rclpy.create_node("robot", namespace=namespace)
        self.track_prefix = f"{namespace}/".lstrip("/")
        self.expected = open(expected_file, "w")
        self.publishers = {}

    def advertise(self, message_type, topic, qos=RELIABLE):
        self.publishers[topic] = self.node.create_publisher(message_type, topic, qos)

    def wait_for_subscribers(self):
        deadline = time.monotonic() + PATIENCE_SECS
        while not all(p.get_subscription_count() for p in self.publishers.values()):
            if time.monotonic() > deadline:
                lonely = [t for t, p in self.publishers.items() if not p.get_subscription_count()]
                sys.exit(f"nobody subscribed to {lonely}")
            time.sleep(0.01)

    def publish(self, topic, message, track=None, row=None):
        self.publishers[topic].publish(message)
        if track is not None:
            self.expect(track, row_of(message) if row is None else row)

    def expect(self, track, row):
        json.dump({"track": self.track_prefix + track, "row": row}, self.expected)
        self.expected.write("\n")

    def finish(self):
        for topic, publisher in self.publishers.items():
            if not publisher.wait_for_all_acked(Duration(seconds=PATIENCE_SECS)):
                sys.exit(f"not all messages of {topic} were taken in {PATIENCE_SECS} s")
        self.expected.close()


def run_every_type(robot):
    builders = {"pose": pose, "scan": scan, "points": cloud, "imu": imu, "joint_states": joints, "odom": odometry}
    for topic, builder in builders.items():
        robot.advertise(type(builder(0)), topic, SENSOR if topic in ("imu", "scan") else RELIABLE)
    for camera in ("left", "right"):
        robot.advertise(CameraInfo, f"camera/{camera}/camera_info")
    robot.advertise(TFMessage, "tf")
    robot.advertise(String, "chatter")
    robot.wait_for_subscribers()
    for i in range(40):
        for topic, builder in builders.items():
            robot.publish(topic, builder(i), track=topic)
        for camera in ("left", "right"):
            robot.publish(f"camera/{camera}/camera_info", camera_info(i), track=f"info/{camera}")
        transforms = [transform(i, "base"), transform(i + 1, "wheel/left")]
        robot.publish("tf", TFMessage(transforms=transforms))
        for each in transforms:
            robot.expect(f"tf/{each.child_frame_id}", row_of(each))
        robot.publish("chatter", String(data=f"hello {i}"), track="chatter", row={"data": f"hello {i}"})
        time.sleep(0.01)


def run_latched(robot):
    robot.advertise(String, "robot_description", LATCHED)
    robot.advertise(TFMessage, "tf_static", LATCHED)
    robot.publish("robot_description", String(data="<robot/>"), track="robot_description", row={"data": "<robot/>"})
    each = transform(3, "laser")
    robot.publish("tf_static", TFMessage(transforms=[each]))
    robot.expect("tf_static/laser", row_of(each))
    stay()


def run_poses(robot):
    robot.advertise(PoseStamped, "pose")
    robot.wait_for_subscribers()
    for i in range(20):
        robot.publish("pose", pose(i), track="pose")


def run_fleet_member(robot):
    """One of several robots, each with topics of its own."""
    builders = {"odom": odometry, "imu": imu, "joint_states": joints}
    for topic, builder in builders.items():
        robot.advertise(type(builder(0)), topic)
    robot.advertise(TFMessage, "tf")
    robot.wait_for_subscribers()
    for i in range(20):
        for topic, builder in builders.items():
            robot.publish(topic, builder(i), track=topic)
        each = transform(i, "base")
        robot.publish("tf", TFMessage(transforms=[each]))
        robot.expect("tf/base", row_of(each))


def run_best_effort(robot):
    robot.advertise(Imu, "imu", SENSOR)
    robot.wait_for_subscribers()
    for i in range(50):
        robot.publish("imu", imu(i), track="imu")
        time.sleep(0.005)


def run_mixed_qos(robot):
    """A second, best-effort publisher joins a reliable one: both are to be recorded."""
    robot.advertise(PoseStamped, "pose", RELIABLE)
    robot.wait_for_subscribers()
    robot.publish("pose", pose(0), track="pose")
    second = robot.node.create_publisher(PoseStamped, "pose", SENSOR)
    deadline = time.monotonic() + PATIENCE_SECS
    while not second.get_subscription_count():
        if time.monotonic() > deadline:
            sys.exit("the best-effort publisher found no subscriber")
        time.sleep(0.01)
    second.publish(pose(1))
    robot.expect("pose", row_of(pose(1)))
    robot.publish("pose", pose(2), track="pose")


def run_zero_stamps(robot):
    robot.advertise(PoseStamped, "pose")
    robot.wait_for_subscribers()
    before = time.time()
    for _ in range(3):
        robot.publish("pose", PoseStamped())
        time.sleep(0.01)
    robot.finish()
    robot.expected = open(robot.expected.name, "w")
    robot.expect("between", {"timestamp": before, "until": time.time() + 1})


def run_sim_time(robot):
    robot.advertise(Clock, "/clock")
    robot.advertise(String, "chatter")
    robot.wait_for_subscribers()
    # Simulated time stands still at 12.5 s until the subscriber must have seen it.
    for _ in range(50):
        robot.publish("/clock", Clock(clock=Time(sec=12, nanosec=500_000_000)))
        time.sleep(0.01)
    robot.publish("chatter", String(data="now"), track="chatter", row={"timestamp": 12.5, "data": "now"})
    time.sleep(0.2)


def run_sim_restart(robot):
    """A latched topic before simulated time runs; then a simulator at 50 s, which starts anew at 10 s."""
    robot.advertise(Clock, "/clock")
    robot.advertise(String, "chatter")
    robot.advertise(PoseStamped, "pose")
    robot.advertise(String, "robot_description", LATCHED)
    robot.publish("robot_description", String(data="<robot/>"))
    robot.wait_for_subscribers()
    stay()
    for start in (50, 10):
        for i in range(100):
            # Time stands still for a hundred messages: some of them surely come after the clock.
            robot.publish("/clock", Clock(clock=Time(sec=start)))
            message = PoseStamped()
            message.header.stamp = Time(sec=start + i)
            robot.publish("pose", message)
            robot.publish("chatter", String(data="now"))
            time.sleep(0.01)


def run_clock_below_0(robot):
    """Simulated time at -5 s, and at 7 s once told to go."""
    robot.advertise(Clock, "/clock")
    robot.advertise(String, "chatter")
    robot.advertise(PoseStamped, "pose")
    robot.wait_for_subscribers()
    for i in range(20):
        robot.publish("/clock", Clock(clock=Time(sec=-5)))
        robot.publish("pose", pose(i))
        robot.publish("chatter", String(data=f"text {i}"))
        time.sleep(0.01)
    stay()
    for _ in range(50):
        robot.publish("/clock", Clock(clock=Time(sec=7)))
        time.sleep(0.01)
    robot.publish("chatter", String(data="now"))


def run_dense(robot):
    """Three rows of one stamp, and stamps out of order."""
    robot.advertise(PoseStamped, "pose")
    robot.wait_for_subscribers()
    order = [0, 0, 5, 3, 4, 3]
    for i in order:
        robot.publish("pose", pose(i))
    for i in sorted(set(order)):
        robot.expect("pose", row_of(pose(i)))


def run_images(robot):
    robot.advertise(Image, "image")
    robot.advertise(PoseStamped, "pose")
    robot.wait_for_subscribers()
    for i in range(5):
        robot.publish("image", image(i))
        robot.publish("pose", pose(i), track="pose")


def publish_until_told(robot, hz, messages):
    """Publishes `messages(i)`, pairs of topic and message, again and again until a line comes in."""
    print("published", flush=True)
    i = 0
    while not select.select([sys.stdin], [], [], 1 / hz)[0]:
        for topic, message in messages(i):
            robot.publish(topic, message)
        i += 1


def run_whole_robot(robot):
    """A robot that goes on publishing: what `check --graph` and `init` look at."""
    robot.advertise(PoseStamped, "pose")
    robot.advertise(Imu, "imu", SENSOR)
    robot.advertise(TFMessage, "tf")
    robot.advertise(CameraInfo, "cam/camera_info")
    robot.advertise(String, "robot_description", LATCHED)
    robot.advertise(String, "fibonacci/_action/status")
    robot.advertise(String, "add/_service_event")
    robot.node.create_subscription(String, "orders", lambda _: None, 10)
    robot.publish("robot_description", String(data="<robot/>"))

    def messages(i):
        yield "pose", pose(i)
        yield "imu", imu(i)
        yield "tf", TFMessage(transforms=[transform(i, "base")])
        yield "cam/camera_info", camera_info(i)
        yield "fibonacci/_action/status", String(data="running")
        yield "add/_service_event", String(data="called")

    publish_until_told(robot, 20, messages)


def stay():
    """Says that all is published, and stays on the graph until told to go."""
    print("published", flush=True)
    sys.stdin.readline()


def run_poses_that_stay(robot):
    run_poses(robot)
    stay()


def run_another_type(robot):
    """The poses' topic with another type."""
    robot.advertise(String, "pose")
    stay()


def grip(i):
    """A message of `tests/interfaces/mldash_test_msgs`."""
    from mldash_test_msgs.msg import Finger, Grip

    message = header(Grip(), i, "hand")
    message.state = Grip.CLOSED
    message.thumb = Finger(name="thumb", angle=0.1 * i)
    message.fingers = [Finger(name=name, angle=i + 0.5) for name in ("index", "ring")]
    message.torque = [0.1, math.nan, math.inf]
    message.currents = [0.25] * (i % 5)
    message.mode, message.label = "firm", "Händchen 🤖"
    message.raw = bytes([0, 1, 255])
    message.age.sec, message.age.nanosec = -1, 5
    message.pose.position.x = 1 / 3
    message.holds = i % 2 == 0
    return message


def run_custom_type(robot):
    grips = [grip(i) for i in range(20)]
    robot.advertise(type(grips[0]), "grip")
    robot.advertise(type(grips[0]), "fingers")
    robot.wait_for_subscribers()
    for message in grips:
        robot.publish("grip", message, track="grip")
        robot.publish("fingers", message)
        for finger in message.fingers:
            row = {"timestamp": seconds(message.header.stamp), "angle": finger.angle}
            robot.expect(f"finger/{finger.name}", row)


def run_gripper(robot):
    """A pose, and a message of a package that the bridge was built without; both are kept for late subscribers."""
    from gripper_msgs.msg import Gripper

    robot.advertise(PoseStamped, "pose", LATCHED)
    robot.publish("pose", pose(0), track="pose")
    gripper = robot.node.create_publisher(Gripper, "gripper", LATCHED)
    gripper.publish(Gripper())
    stay()


def main():
    scenario, expected_file, namespace = [*sys.argv[1:], ""][:3]
    rclpy.init(args=[])
    robot = Robot(expected_file, namespace)
    globals()[f"run_{scenario}"](robot)
    robot.finish()
    robot.node.destroy_node()
    rclpy.shutdown()


main()
