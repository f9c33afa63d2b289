"""Power cuts on real file systems: records onto a loop image, stops the file system dead in the middle, mounts it again, and looks at
what is left. Run by scripts/power-cut, which says what it needs.

The cut is the file system's own shutdown call without a flush of its log: what has not reached the device by then never does.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

RUN = "alice/w/run"
IMAGE_BYTES = 320 << 20  # The least that mkfs.xfs takes.
SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN of XFS and ext4.
WITHOUT_LOG_FLUSH = 2
PROMISED_SECS = 1.5  # Flushed every 0.5 s, synced every 1 s.
PATIENCE_SECS = 3.0  # A machine that is busy writes late.


def call(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def mounted(image, folder):
    call("mount", "-o", "loop", image, folder)
    try:
        yield pathlib.Path(folder)
    finally:
        call("umount", folder)


def cut(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
    finally:
        os.close(handle)


class Robot:
    """Appends rows 0, 1, 2, … and remembers when."""

    def __init__(self, program, root):
        command = [program, "append", "--root", root, RUN, "arm"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.times = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.append)
        self.thread.start()

    def append(self):
        with contextlib.suppress(OSError):
            while not self.is_over.is_set():
                row = json.dumps({"_ts": len(self.times), "q": [len(self.times)] * 20}) + "\n"
                # Before it is written: a row counts as old from then on.
                self.times.append(time.monotonic())
                self.process.stdin.write(row.encode())
                self.process.stdin.flush()
                time.sleep(0.0005)

    def end(self, kill):
        self.is_over.set()
        if kill:
            self.process.kill()
        self.thread.join()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return self.process.wait()


def whole_json(path):
    assert isinstance(json.loads(path.read_text()), dict), path


def check(program, root, times, cut_at):
    """Returns how old the oldest row that was lost is, in seconds."""
    read = subprocess.run([program, "read", "--root", root, "--format", "jsonl", RUN, "arm"], capture_output=True, text=True)
    # The cut may come before anything was there.
    is_missing = "no experiment" in read.stderr or "has no track" in read.stderr
    assert read.returncode == 0 or is_missing, read.stderr
    rows = [json.loads(line) for line in read.stdout.splitlines()]
    for number, row in enumerate(rows):
        assert row == {"timestamp": number, "q": [number] * 20}, f"row {number} is {str(row)[:200]}"
    folder = pathlib.Path(root, RUN)
    for path in [folder / "experiment.json", folder / "tracks/arm/metadata.json"]:
        if path.exists():
            whole_json(path)
    lost = times[len(rows):]
    age = cut_at - lost[0] if lost else 0.0
    more = subprocess.run([program, "append", "--root", root, RUN, "arm"], input='{"_ts": -1}', capture_output=True, text=True)
    assert more.returncode == 0, f"recording does not go on: {more.stderr}"
    tracks = subprocess.run([program, "tracks", "--root", root, "--json", RUN], capture_output=True, text=True)
    assert tracks.returncode == 0, tracks.stderr
    assert json.loads(tracks.stdout)[0]["totalEntries"] == len(rows) + 1, tracks.stdout
    return age


def one(program, file_system, randomness, is_clean, folder):
    image, mount = os.path.join(folder, "image"), os.path.join(folder, "mount")
    os.makedirs(mount, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.remove(image)
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    call(f"mkfs.{file_system}", "-q", image)
    with mounted(image, mount) as place:
        robot = Robot(program, str(place / "dash"))
        time.sleep(randomness.uniform(0.5, 5.0))
        if is_clean:
            assert robot.end(kill=False) == 0
        cut_at = time.monotonic()
        cut(mount)
        robot.end(kill=True)
        # Rows that came after the cut are none of its business.
        times = [at for at in robot.times if at < cut_at]
    with mounted(image, mount) as place:
        age = check(program, str(place / "dash"), times, cut_at)
    assert age < (0.001 if is_clean else PATIENCE_SECS), f"a row that was appended {age:.2f} s before the cut is lost"
    return age


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print(f"power-cut: --cuts {args.cuts} --seed {args.seed}", flush=True)
    for file_system in ["ext4", "xfs"]:
        for is_clean in [False, True]:
            randomness = random.Random(args.seed)
            with tempfile.TemporaryDirectory() as folder:
                ages = [one(args.program, file_system, randomness, is_clean, folder) for _ in range(args.cuts)]
            when = "right after a clean end" if is_clean else "while it records"
            late = sum(age > PROMISED_SECS for age in ages)
            print(f"{file_system}, {when}: {args.cuts} cuts, nothing older than {max(ages):.2f} s was lost, {late} above {PROMISED_SECS} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
