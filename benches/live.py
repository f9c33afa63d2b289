"""Measures recorders on a live ROS graph: messages sent, rows stored, CPU of the whole recorder process.

The same flood of PoseStamped goes to the bridge, to two recorders that only append raw bytes to a file (raw: on r2r; floor: on
the bridge's own layer over rcl) and, if asked for, to sdk_recorder.py (what people write today). With --repeat, all recorders
have their turn in each repetition, and the medians and their ratios are printed at the end. Fails unless the bridge stored every
message. --idle measures recorders of silent topics instead, --memory the bridge over a long run. Run by scripts/measure, which
builds all of them.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target/release"
BRIDGE = RELEASE / "mldash_bridge"
EXPERIMENT = "measure/flood/live"
LOADS = ["3x1000x8", "1x5000x8", "1x20000x30", "50x100x8", "300x10x8"]
# More than any recorder needs to take what is queued for it when the flood ends.
LINGER_SECS = 3
# After discovery, before idling is measured.
SETTLE_SECS = 3
# The flood that memory is measured under.
MEMORY_LOAD = (3, 1000)


def main():
    parser = argparse.ArgumentParser(description="Measures recorders on a live ROS graph.")
    parser.add_argument(
        "--load",
        action="append",
        metavar="TOPICSxHZxSECONDS",
        help=f"messages to send; may be given several times (default: {', '.join(LOADS)})",
    )
    parser.add_argument(
        "--recorder",
        action="append",
        choices=RECORDERS,
        help="which to measure; may be given several times (default: bridge, raw, floor)",
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="repetitions of each load (default: 1)")
    parser.add_argument(
        "--idle",
        action="append",
        type=int,
        metavar="TOPICS",
        help="measure recorders of so many silent topics; may be given several times",
    )
    parser.add_argument("--idle-secs", type=int, default=20, metavar="S", help="for so long (default: 20)")
    parser.add_argument("--memory", type=int, metavar="S", help="measure the bridge's memory over so many seconds")
    args = parser.parse_args()
    recorders = args.recorder or ["bridge", "raw", "floor"]

    if args.idle:
        measure_idling(recorders, args.idle, args.idle_secs, args.repeat)
    if args.memory:
        measure_memory(args.memory)
    if args.load or not (args.idle or args.memory):
        sys.exit("\n".join(measure_loads(recorders, args.load or LOADS, args.repeat)) or 0)


def measure_loads(recorders, loads, repeat):
    """CPU of each recorder under each load; returns what the bridge lost."""
    row = "{:<8} {:>14} {:>7} {:>7} {:>9} {:>11} {:>7}".format
    print(row("RECORDER", "TOPICS×HZ×SECS", "SENT", "STORED", "CPU SECS", "CPU µs/ROW", "RSS MB"))
    lost, summaries = [], []
    for load in loads:
        topics, rate_hz, secs = (int(part) for part in load.split("x"))
        shown = load.replace("x", "×")
        micros = {name: [] for name in recorders}
        for _ in range(repeat):
            for name in recorders:
                sent, stored, usage = measure(RECORDERS[name], topics, rate_hz, secs)
                cpu_secs = usage.ru_utime + usage.ru_stime
                micros[name].append(cpu_secs / max(stored, 1) * 1e6)
                rss_mb = f"{usage.ru_maxrss / 1024:.0f}"
                print(row(name, shown, sent, stored, f"{cpu_secs:.2f}", f"{micros[name][-1]:.1f}", rss_mb), flush=True)
                if name == "bridge" and stored != sent:
                    lost.append(f"measure: the bridge stored {stored} of {sent} messages at {load}")
        summaries.append(f"{shown}: {summary(micros)}")
    print(f"\nmedians of {repeat}, CPU µs/row")
    print("\n".join(summaries))
    return lost


def measure_idling(recorders, numbers_of_topics, secs, repeat):
    """CPU of recorders that are subscribed to topics on which nothing comes."""
    row = "{:<8} {:>7} {:>5} {:>12}".format
    print(row("RECORDER", "SILENT", "SECS", "% OF A CORE"))
    summaries = []
    for topics in numbers_of_topics:
        percent = {name: [] for name in recorders}
        for _ in range(repeat):
            for name in recorders:
                percent[name].append(idle_percent(RECORDERS[name], topics, secs))
                print(row(name, topics, secs, f"{percent[name][-1]:.2f}"), flush=True)
        summaries.append(f"{topics} silent topics: {summary(percent, decimals=2)}")
    print(f"\nmedians of {repeat}, % of a core")
    print("\n".join(summaries))


def summary(values, decimals=1):
    """Medians by recorder, and how the bridge compares with each other in the same repetition."""
    medians = [f"{name} {statistics.median(values[name]):.{decimals}f}" for name in values]
    ratios = []
    if "bridge" in values:
        for other in (name for name in values if name != "bridge"):
            # CPU clocks have ticks: an idle recorder may have used none.
            pairs = [bridge / theirs for bridge, theirs in zip(values["bridge"], values[other]) if theirs > 0]
            if pairs:
                ratios.append(f"bridge÷{other} {statistics.median(pairs):.2f} ({min(pairs):.2f}–{max(pairs):.2f})")
    return ", ".join(medians) + ("; " if ratios else "") + ", ".join(ratios)


def measure_memory(secs):
    """Resident memory of the bridge while it records, and at most."""
    topics, rate_hz = MEMORY_LOAD
    samples = []

    def sample(pid, elapsed_secs):
        if elapsed_secs >= len(samples) * secs / 10:
            samples.append((elapsed_secs, rss_mb_of(pid)))

    sent, stored, usage = measure(bridge, topics, rate_hz, secs, sample)
    print(f"bridge, {topics}×{rate_hz}×{secs}: {stored} of {sent} messages stored")
    print("RSS MB: " + ", ".join(f"{rss_mb:.0f} after {elapsed:.0f} s" for elapsed, rss_mb in samples))
    print(f"RSS MB at most: {usage.ru_maxrss / 1024:.0f}")
    if stored != sent:
        sys.exit(f"measure: the bridge stored {stored} of {sent} messages")


def measure(recorder, topics, rate_hz, secs, sample=None):
    """Floods one recorder: messages sent, rows stored, and what the recorder used."""
    names = [f"/flood/pose_{k}" for k in range(topics)]
    with tempfile.TemporaryDirectory(prefix="mldash-measure.") as scratch:
        scratch = pathlib.Path(scratch)
        command, count_rows = recorder(scratch, names)
        flood = [RELEASE / "examples/flood", "--linger", str(LINGER_SECS)]
        flood += ["--topics", str(topics), "--rate", str(rate_hz), "--duration", str(secs)]
        # Many topics take longer to be found.
        flood += ["--wait-for-subscribers", "60"]
        flooded, said, usage = record(command, flood, scratch / "log", sample)
        return int(flooded), count_rows(said), usage


def idle_percent(recorder, topics, secs):
    """How much of a core a recorder of silent topics takes."""
    names = [f"/silent/pose_{k}" for k in range(topics)]
    used = {}

    def sample(pid, elapsed_secs):
        if elapsed_secs < SETTLE_SECS:
            used["from"] = time.monotonic(), cpu_secs_of(pid)
        else:
            used["to"] = time.monotonic(), cpu_secs_of(pid)

    with tempfile.TemporaryDirectory(prefix="mldash-measure.") as scratch:
        scratch = pathlib.Path(scratch)
        command, _ = recorder(scratch, names)
        silent = [RELEASE / "examples/silent", "--topics", str(topics), "--wait-for-subscribers", "60"]
        record(command, [*silent, "--duration", str(SETTLE_SECS + secs)], scratch / "log", sample, since="subscribed\n")
    (since, cpu_before), (until, cpu_after) = used["from"], used["to"]
    return (cpu_after - cpu_before) / (until - since) * 100


def record(command, robot, log_file, sample=None, since=None):
    """Runs a recorder for as long as a robot publishes: what both said, and what the recorder used.

    `sample(pid, elapsed_secs)` is called several times a second while the robot runs; the time counts from its first line
    of output, if that is `since`, or from its start.
    """
    with open(log_file, "w") as log:
        recording = subprocess.Popen(command, stdout=log, stderr=log)
        publishing = subprocess.Popen(robot, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if since and publishing.stdout.readline() != since:
            sample = None
        started = time.monotonic()
        while publishing.poll() is None:
            if sample:
                sample(recording.pid, time.monotonic() - started)
            time.sleep(0.1)
        published, complaints = publishing.communicate()
        recording.send_signal(signal.SIGINT)
        # Not wait(): that says nothing of what this one child used.
        _, status, usage = os.wait4(recording.pid, 0)
        recording.returncode = os.waitstatus_to_exitcode(status)
    said = log_file.read_text()
    if publishing.returncode != 0 or recording.returncode != 0:
        sys.exit(
            f"{said}{complaints}measure: {command[0]} ended with exit code {recording.returncode},"
            f" {robot[0]} with {publishing.returncode}"
        )
    return published, said, usage


def cpu_secs_of(pid):
    """What a running process has used so far."""
    # Behind the name, which may hold anything: utime and stime are the 14th and 15th field.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb_of(pid):
    """Resident memory of a running process."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def bridge(scratch, topics):
    mapping = scratch / "mapping.yaml"
    mapping.write_text("topics:\n  - topic: /flood/*\n  - topic: /silent/*\n")
    root = scratch / "dash"
    command = [BRIDGE, "run", "--config", mapping, "--experiment", EXPERIMENT, "--root", root]
    return command, lambda _: rows_in(root)


def raw(scratch, topics):
    command = [RELEASE / "examples/raw_recorder", "--output", scratch / "raw.bin", *topics]
    return command, messages_counted


def floor(scratch, topics):
    command = [RELEASE / "examples/rcl_recorder", "--output", scratch / "raw.bin", *topics]
    return command, messages_counted


def sdk(scratch, topics):
    root = scratch / "dash"
    command = [sys.executable, ROOT / "examples/sdk_recorder.py", root, EXPERIMENT, *topics]
    return command, lambda _: rows_in(root)


RECORDERS = {"bridge": bridge, "raw": raw, "floor": floor, "sdk": sdk}


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
