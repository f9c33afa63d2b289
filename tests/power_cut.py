"""Power cuts on real file systems: records onto a loop image, stops the file system dead in the middle, mounts it again, and looks at
what is left. Run by scripts/power-cut, which says what it needs.

The cut is the file system's own shutdown call without a flush of its log: what has not reached the device by then never does.

Pictures are recorded from a bag, and then from another one into what is left: a row must name its own picture or none.
"""

import argparse
import contextlib
import fcntl
import hashlib
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
PICTURES = 8_000  # More than can be imported before the cut.
PICTURE_BYTES = 8 << 10
LATER = 100  # So many in the second bag.
DEFINITION = """std_msgs/Header header
string format
uint8[] data
===
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
===
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
""".replace("===", "=" * 80)


def call(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def make_image(file_system, image):
    with contextlib.suppress(FileNotFoundError):
        os.remove(image)
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    call(f"mkfs.{file_system}", "-q", image)


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


def text(value):
    return struct.pack("<I", len(value)) + value.encode()


def picture(number):
    """Bytes that say which picture they are."""
    word = f"{number};".encode()
    return word * (PICTURE_BYTES // len(word))


def make_bag(path, numbers):
    """An MCAP file with a CompressedImage for each number, which is also its stamp in seconds."""

    def record(kind, body):
        bag.write(struct.pack("<BQ", kind, len(body)) + body)

    with open(path, "wb") as bag:
        bag.write(b"\x89MCAP0\r\n")
        record(1, text("ros2") + text("power_cut"))
        record(3, struct.pack("<H", 1) + text("sensor_msgs/msg/CompressedImage") + text("ros2msg") + text(DEFINITION))
        record(4, struct.pack("<HH", 1, 1) + text("/camera") + text("cdr") + struct.pack("<I", 0))
        for number in numbers:
            data = picture(number)
            # The header with an empty frame id, an empty format, the bytes.
            cdr = struct.pack("<4sIII4xI4xI", b"\0\1\0\0", number, 0, 1, 1, len(data)) + data
            record(5, struct.pack("<HIQQ", 1, number, number * 10**9, number * 10**9) + cdr)
        record(15, struct.pack("<I", 0))
        record(2, struct.pack("<QQI", 0, 0, 0))
        bag.write(b"\x89MCAP0\r\n")


def import_bag(program, root, bag):
    command = [program, "import", "--root", root, "--experiment", RUN, "--topics", "/camera", "--", bag]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def check_pictures(program, root):
    """Returns how many rows have no picture any more."""
    command = [program, "read", "--root", root, "--format", "jsonl", RUN, "camera"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    files = pathlib.Path(root, RUN, "files")
    listed = json.loads((files / ".files_metadata.json").read_text())["files"]
    listed = {f"{file['path'].strip('/')}/{file['filename']}": file for file in listed if not file["deletedAt"]}
    lost = later = 0
    for row in map(json.loads, rows):
        number = round(row["timestamp"])
        later += number > PICTURES
        file = listed.get(row["path"])
        if file is None:
            lost += 1
            continue
        data = (files / file["path"].strip("/") / file["id"] / file["filename"]).read_bytes()
        # Listed, and its bytes had not reached the disk: its checksum says so.
        is_cut = hashlib.sha256(data).hexdigest() != file["checksum"]
        assert is_cut or data == picture(number), f"the row of picture {number} names {row['path']}: {data[:20]}"
        assert number <= PICTURES or not is_cut, row
    assert later == LATER, f"{later} rows of the second bag"
    return lost


def one_of_pictures(program, file_system, randomness, folder):
    image, mount = os.path.join(folder, "image"), os.path.join(folder, "mount")
    bag, later = os.path.join(folder, "bag.mcap"), os.path.join(folder, "later.mcap")
    os.makedirs(mount, exist_ok=True)
    make_bag(bag, range(1, PICTURES + 1))
    make_bag(later, range(PICTURES + 1, PICTURES + LATER + 1))
    make_image(file_system, image)
    with mounted(image, mount) as place:
        importing = import_bag(program, str(place / "dash"), bag)
        time.sleep(randomness.uniform(1.5, 6.0))
        cut(mount)
        importing.kill()
        importing.communicate()
    with mounted(image, mount) as place:
        root = str(place / "dash")
        importing = import_bag(program, root, later)
        _, said = importing.communicate()
        assert importing.returncode == 0, said
        return check_pictures(program, root)


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
    make_image(file_system, image)
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
        randomness = random.Random(args.seed)
        with tempfile.TemporaryDirectory() as folder:
            lost = [one_of_pictures(args.program, file_system, randomness, folder) for _ in range(args.cuts)]
        print(f"{file_system}, pictures: {args.cuts} cuts, rows without their picture: {lost}, none names another", flush=True)


if __name__ == "__main__":
    sys.exit(main())
