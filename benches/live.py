"""Measures recorders on a live ROS graph: messages sent, rows stored, CPU of the recorder process per row.

The same flood of PoseStamped goes to the bridge, to the raw bytes of raw_recorder (the floor) and to sdk_recorder.py (what
people write today). Fails unless the bridge stored every message. Run by scripts/measure, which builds all of them.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target/release"
BRIDGE = RELEASE / "mldash_bridge"
EXPERIMENT = "measure/flood/live"
# More than any recorder needs to take what is queued for it when the flood ends.
LINGER_SECS = 3


def main():
    parser = argparse.ArgumentParser(description="Measures recorders on a live ROS graph.")
    parser.add_argument(
        "--load",
        action="append",
        metavar="TOPICSxHZxSECONDS",
        help="messages to send; may be given several times (default: 3x1000x8 and 1x5000x8)",
    )
    parser.add_argument(
        "--recorder",
        action="append",
        choices=RECORDERS,
        help="which to measure; may be given several times (default: all)",
    )
    args = parser.parse_args()

    row = "{:<8} {:>14} {:>7} {:>7} {:>9} {:>11} {:>7}".format
    print(row("RECORDER", "TOPICS×HZ×SECS", "SENT", "STORED", "CPU SECS", "CPU µs/ROW", "RSS MB"))
    lost = []
    for load in args.load or ["3x1000x8", "1x5000x8"]:
        topics, rate_hz, secs = (int(part) for part in load.split("x"))
        for name in args.recorder or RECORDERS:
            sent, stored, usage = measure(RECORDERS[name], topics, rate_hz, secs)
            cpu_secs = usage.ru_utime + usage.ru_stime
            print(
                row(
                    name,
                    load.replace("x", "×"),
                    sent,
                    stored,
                    f"{cpu_secs:.2f}",
                    f"{cpu_secs / max(stored, 1) * 1e6:.1f}",
                    f"{usage.ru_maxrss / 1024:.0f}",
                ),
                flush=True,
            )
            if name == "bridge" and stored != sent:
                lost.append(f"measure: the bridge stored {stored} of {sent} messages at {load}")
    sys.exit("\n".join(lost) or 0)


def measure(recorder, topics, rate_hz, secs):
    """Floods one recorder: messages sent, rows stored, and what the recorder used."""
    names = [f"/flood/pose_{k}" for k in range(topics)]
    with tempfile.TemporaryDirectory(prefix="mldash-measure.") as scratch:
        scratch = pathlib.Path(scratch)
        command, count_rows = recorder(scratch, names)
        flood = [RELEASE / "examples/flood", "--linger", str(LINGER_SECS)]
        flood += ["--topics", str(topics), "--rate", str(rate_hz), "--duration", str(secs)]
        flooded, said, usage = record(command, flood, scratch / "log")
        return int(flooded), count_rows(said), usage


def record(command, robot, log_file):
    """Runs a recorder for as long as a robot publishes: what both said, and what the recorder used."""
    with open(log_file, "w") as log:
        recording = subprocess.Popen(command, stdout=log, stderr=log)
        published = subprocess.run(robot, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        recording.send_signal(signal.SIGINT)
        # Not wait(): that says nothing of what this one child used.
        _, status, usage = os.wait4(recording.pid, 0)
        recording.returncode = os.waitstatus_to_exitcode(status)
    said = log_file.read_text()
    if published.returncode != 0 or recording.returncode != 0:
        sys.exit(f"{said}{published.stderr}measure: {command[0]} ended with exit code {recording.returncode}")
    return published.stdout, said, usage


def bridge(scratch, topics):
    mapping = scratch / "mapping.yaml"
    mapping.write_text("topics:\n  - topic: /flood/*\n")
    root = scratch / "dash"
    command = [BRIDGE, "run", "--config", mapping, "--experiment", EXPERIMENT, "--root", root]
    return command, lambda _: rows_in(root)


def raw(scratch, topics):
    command = [RELEASE / "examples/raw_recorder", "--output", scratch / "raw.bin", *topics]
    return command, messages_counted


def sdk(scratch, topics):
    root = scratch / "dash"
    command = [sys.executable, ROOT / "examples/sdk_recorder.py", root, EXPERIMENT, *topics]
    return command, lambda _: rows_in(root)


RECORDERS = {"bridge": bridge, "raw": raw, "sdk": sdk}


def rows_in(root):
    listing = subprocess.run(
        [BRIDGE, "tracks", EXPERIMENT, "--root", root, "--json"], stdout=subprocess.PIPE, check=True
    ).stdout
    return sum(track["totalEntries"] for track in json.loads(listing))


def messages_counted(said):
    """From the recorder's own word: `messages N …`."""
    return int(said.split("messages ")[1].split()[0])


if __name__ == "__main__":
    main()
