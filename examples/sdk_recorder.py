"""What people write today: rclpy and the ML-Dash SDK, one callback a message. The bridge is measured against it.

scripts/with-ros python3 examples/sdk_recorder.py .dash alice/lab/run-1 SECONDS /flood/pose_0 /flood/pose_1
"""

import os
import sys
import time

os.environ.setdefault("ML_DASH_NO_VERSION_CHECK", "1")

import rclpy
from geometry_msgs.msg import PoseStamped
from ml_dash import Experiment
from rclpy.qos import QoSProfile

root, prefix, seconds, *topics = sys.argv[1:]
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
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)

cpu = time.process_time()
print(f"messages {received} cpu_secs {cpu:.3f} cpu_micros_per_message {cpu * 1e6 / max(received, 1):.1f}")
