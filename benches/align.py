"""What joining two tracks by time costs: `mldash_bridge align` and DuckDB's ASOF JOIN, from the same JSON lines to Parquet.

align.py PROGRAM [--rows N] [--other N] [--repeat N] [--keep DIR]

Both run in turn, each in a process of its own; its CPU, wall time and largest resident set are the kernel's. Then DuckDB compares the two files.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

EXPERIMENT = "alice/bench/align"
START = 1_700_000_000.0

DUCKDB = """
import sys, duckdb

duckdb.sql("SET enable_progress_bar = false")
on, other, out = sys.argv[1:]
duckdb.sql(f\"\"\"
COPY (SELECT l.*, r.timestamp AS "arm.timestamp", r.frame_id AS "arm.frame_id", r.position AS "arm.position",
             r.orientation AS "arm.orientation"
      FROM read_json('{on}') l ASOF LEFT JOIN read_json('{other}') r ON l.timestamp >= r.timestamp)
TO '{out}' (FORMAT parquet)
\"\"\")
"""


def poses(rows, rate, phase):
    """The poses of benches/pose.rs as JSON lines, `rate` a second."""
    for i in range(rows):
        angle = i / 1000
        row = {
            "_ts": START + phase + i / rate,
            "frame_id": "map",
            "position": [3 * math.sin(angle), 3 * math.cos(angle), 0.1 * math.sin(angle / 7)],
            "orientation": [0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)],
        }
        yield json.dumps(row, separators=(",", ":")) + "\n"


def record(program, root, track, lines):
    command = [program, "append", EXPERIMENT, track, "--root", root]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as append:
        append.stdin.writelines(lines)
    if append.returncode != 0:
        sys.exit(f"can't record {track}")


def cost(command):
    """CPU and wall time in seconds, and the largest resident set in MB."""
    began = time.monotonic()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / 1024


def compare(ours, theirs):
    """How many rows differ; both have as many."""
    one, other = (f"SELECT * EXCLUDE (n), n FROM (SELECT *, row_number() OVER (ORDER BY timestamp) n FROM '{file}')"
                  for file in (ours, theirs))
    rows = [duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchone()[0] for file in (ours, theirs)]
    differ = duckdb.sql(f"SELECT count(*) FROM (({one}) EXCEPT ({other}))").fetchone()[0]
    if rows[0] != rows[1] or differ:
        sys.exit(f"not equal: {rows[0]} rows and {rows[1]}, {differ} of them different")
    return rows[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--other", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = f"{folder}/root"
        record(args.program, root, "camera", poses(args.rows, 100.0, 0.0))
        record(args.program, root, "arm", poses(args.other, 100.0 * args.other / args.rows, -0.004))
        tracks = Path(root, EXPERIMENT, "tracks")
        lines = [str(tracks / track / "data.jsonl") for track in ("camera", "arm")]
        ours, theirs = f"{folder}/ours.parquet", f"{folder}/theirs.parquet"
        commands = {
            "ours": [args.program, "align", EXPERIMENT, "--root", root, "--on", "camera", "--with", "arm", "-o", ours],
            "duckdb": [sys.executable, "-c", DUCKDB, *lines, theirs],
            "read": [args.program, "read", EXPERIMENT, "camera", "--root", root, "-o", f"{folder}/read.parquet"],
        }
        costs = {name: [] for name in commands}
        print(f"{'':8} {'CPU s':>7} {'wall s':>7} {'MB':>6}")
        for _ in range(args.repeat):
            for name, command in commands.items():
                costs[name].append(cost(command))
                print(f"{name:8} {costs[name][-1][0]:7.2f} {costs[name][-1][1]:7.2f} {costs[name][-1][2]:6.0f}", flush=True)
        rows = compare(ours, theirs)
        sizes = [os.path.getsize(file) / 1e6 for file in (ours, theirs)]
        print(f"{rows} equal rows; {sizes[0]:.0f} MB of ours, {sizes[1]:.0f} MB of DuckDB's")
        ratios = [[theirs / ours for ours, theirs in zip(*pair)] for pair in zip(costs["ours"], costs["duckdb"])]
        cpu, wall, memory = (statistics.median(kind) for kind in zip(*ratios))
        print(f"DuckDB's by ours, medians: CPU {cpu:.2f}, wall {wall:.2f}, memory {memory:.1f}")


main()
