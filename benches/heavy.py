"""Records a robot with heavy sensors on a live ROS graph (examples/heavy_robot.rs): what was sent, what was stored, what
became of the rest, and what the recorder took of the machine. Fails unless every message of the light topics was stored.
Run by scripts/measure-heavy, which builds both.
"""

import argparse
import json
import pathlib
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
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="mldash-measure.") as scratch:
        scratch = pathlib.Path(scratch)
        mapping, root = scratch / "mapping.yaml", scratch / "dash"
        mapping.write_text(MAPPING.replace("IMAGE", args.image))
        bridge = [BRIDGE, "run", "--config", mapping, "--experiment", EXPERIMENT, "--root", root]
        robot = [RELEASE / "examples/heavy_robot", "--duration", str(args.duration), "--linger", str(LINGER_SECS)]
        started = time.monotonic()
        sent, _, usage = record(bridge, robot, scratch / "log")
        elapsed_secs = time.monotonic() - started
        account = json.loads((root / EXPERIMENT / "account.json").read_text())
        file_bytes = sum(file.stat().st_size for file in (root / EXPERIMENT / "files").rglob("*") if file.is_file())

    topics = {topic["topic"]: topic for topic in account["topics"]}
    row = "{:<18} {:>6} {:>9} {:>7}  {}".format
    print(row("TOPIC", "SENT", "RECEIVED", "STORED", "DROPPED"))
    lost = []
    for name, messages in json.loads(sent).items():
        topic = topics[name]
        dropped = ", ".join(f"{reason} {count}" for reason, count in topic["dropped"].items()) or "0"
        print(row(name, messages, topic["received"], topic["stored"], dropped))
        if name in LIGHT and topic["stored"] != messages:
            lost.append(f"measure-heavy: {topic['stored']} of {messages} messages of {name} are stored")
    cpu_secs = usage.ru_utime + usage.ru_stime
    print(
        f"CPU {cpu_secs:.1f} s in {elapsed_secs:.1f} s, {cpu_secs / args.duration * 100:.0f} % of a core while publishing;"
        f" RSS {usage.ru_maxrss / 1024:.0f} MB at most; files {file_bytes / 1e6:.0f} MB"
    )
    sys.exit("\n".join(lost) or 0)


if __name__ == "__main__":
    main()
