"""Records a robot with heavy sensors on a live ROS graph (examples/heavy_robot.rs): what was sent, what was stored, what
became of the rest, and what the recorder took of the machine. Fails unless every message of the light topics was stored.
Run by scripts/measure-heavy, which builds both. With --snapshot the recorder holds the last seconds instead; --save calls ~/save in the
middle, while the robot goes on.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from live import BRIDGE, RELEASE, record

EXPERIMENT = "measure/heavy/robot"
LIGHT = ("/imu", "/joint_states", "/tf")
# Time for what the middleware has to send again.
LINGER_SECS = 5
MAPPING = """
topics:
  - topic: /imu
  - topic: /joint_states
  - {topic: /tf, each: transforms, track: "tf/{child_frame_id}"}
  - {topic: /camera/image_raw, blobs: {to: file, image: IMAGE}}
  - topic: /points
"""


def main():
    parser = argparse.ArgumentParser(description="Measures a recording of heavy sensors on a live ROS graph.")
    parser.add_argument("--duration", type=int, default=30, metavar="S", help="seconds to publish for (default: 30)")
    parser.add_argument("--image", choices=("auto", "png", "jpeg"), default="auto", help="what pictures become")
    parser.add_argument("--snapshot", type=float, metavar="S", help="hold the last S seconds instead of recording")
    parser.add_argument("--save", action="store_true", help="save what --snapshot holds when half of the time is over")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="mldash-measure.") as scratch:
        scratch = pathlib.Path(scratch)
        mapping, root = scratch / "mapping.yaml", scratch / "dash"
        text = MAPPING.replace("IMAGE", args.image)
        if args.snapshot:
            text += f"snapshot: {{keep: {args.snapshot}s, memory: 1GiB}}\n"
        mapping.write_text(text)
        bridge = [BRIDGE, "run", "--config", mapping, "--experiment", EXPERIMENT, "--root", root]
        robot = [RELEASE / "examples/heavy_robot", "--duration", str(args.duration), "--linger", str(LINGER_SECS)]
        started = time.monotonic()
        save = Save(args.duration / 2) if args.save else None
        sent, said, usage = record(bridge, robot, scratch / "log", save)
        elapsed_secs = time.monotonic() - started
        account = json.loads((root / EXPERIMENT / "account.json").read_text())
        file_bytes = sum(file.stat().st_size for file in (root / EXPERIMENT / "files").rglob("*") if file.is_file())

    if args.snapshot:
        held = [line for line in said.splitlines() if "saving " in line or " is saved" in line or "not saved" in line]
        print("\n".join(held))
    topics = {topic["topic"]: topic for topic in account["topics"]}
    row = "{:<18} {:>6} {:>9} {:>7}  {}".format
    print(row("TOPIC", "SENT", "RECEIVED", "STORED", "DROPPED"))
    lost = []
    for name, messages in json.loads(sent).items():
        topic = topics[name]
        dropped = ", ".join(f"{reason} {count}" for reason, count in topic["dropped"].items()) or "0"
        print(row(name, messages, topic["received"], topic["stored"], dropped))
        if args.snapshot:
            is_whole = topic["received"] + account.get("not_saved", {}).get(name, 0) == messages
        else:
            is_whole = topic["stored"] == messages
        if name in LIGHT and not is_whole:
            lost.append(f"measure-heavy: {topic['stored']} of {messages} messages of {name} are stored")
    cpu_secs = usage.ru_utime + usage.ru_stime
    print(
        f"CPU {cpu_secs:.1f} s in {elapsed_secs:.1f} s, {cpu_secs / args.duration * 100:.0f} % of a core while publishing;"
        f" RSS {usage.ru_maxrss / 1024:.0f} MB at most; files {file_bytes / 1e6:.0f} MB"
    )
    sys.exit("\n".join(lost) or 0)


class Save:
    """Calls ~/save once, so many seconds after the start."""

    CALL = """
import rclpy
from std_srvs.srv import Trigger
rclpy.init(args=[])
node = rclpy.create_node("saver")
client = node.create_client(Trigger, "/mldash_bridge/save")
client.wait_for_service()
rclpy.spin_until_future_complete(node, client.call_async(Trigger.Request()))
"""

    def __init__(self, at_secs):
        self.at_secs = at_secs
        self.called = None

    def __call__(self, _, elapsed_secs):
        if self.called is None and elapsed_secs >= self.at_secs:
            self.called = subprocess.Popen([sys.executable, "-c", self.CALL])


if __name__ == "__main__":
    main()
