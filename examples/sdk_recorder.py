"""What people write today: rclpy and the ML-Dash SDK, one callback a message. The bridge is measured against it.

scripts/with-ros python3 examples/sdk_recorder.py .dash alice/lab/run-1 /flood/pose_0 /flood/pose_1     (until Ctrl-C)
"""

import os
import sys

os.environ.setdefault("ML_DASH_NO_VERSION_CHECK", "1")

import rclpy
from geometry_msgs.msg import PoseStamped
from ml_dash import Experiment
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile

root, prefix, *topics = sys.argv[1:]
received = 0

rclpy.init()
node = rclpy.create_node("sdk_recorder")
with Experiment(prefix=prefix, dash_root=root, dash_url=None).run as experiment:

    def record(track, message):
        global received
        received += 1
        stamp, p, q = message.header.stamp, message.pose.position, message.pose.orientation
        track.append(_ts=stamp.sec + stamp.nanosec * 1e-9, e=[p.x, p.y, p.z], q=[q.x, q.y, q.z, q.w])

    for topic in topics:
        track = experiment.tracks(topic.strip("/"))
        node.create_subscription(PoseStamped, topic, lambda m, t=track: record(t, m), QoSProfile(depth=1000))
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass

print(f"messages {received}")
