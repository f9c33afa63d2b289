"""Reads every track of a recording with ML-Dash's own SDK and compares it with `mldash_bridge read`.

sdk_reads.py BRIDGE ROOT TRACK…
"""

import json
import math
import subprocess
import sys

from ml_dash import Experiment

EXPERIMENT = "tests/ros/run"


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def main():
    bridge, root, *tracks = sys.argv[1:]
    compared = 0
    with Experiment(EXPERIMENT, dash_root=root).run as experiment:
        for track in tracks:
            theirs = experiment.tracks(track).read()["entries"]
            command = [bridge, "read", EXPERIMENT, track, "--root", root, "--format", "json"]
            ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["entries"]
            assert same(theirs, ours), f"{track} differs"
            compared += len(theirs)
    print(f"rows compared: {compared}")


main()
