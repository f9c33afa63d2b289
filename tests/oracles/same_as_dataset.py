"""Computes a dataset from a bag anew, with rosbags and numpy alone, and compares every value.

same_as_dataset.py BAG DATASET

For the recipe tests/data/drive_a_loop.yaml over sena_lab_loop.mcap.
"""

import io
import json
import pathlib
import sys

import numpy
import pyarrow.parquet as pq
from PIL import Image
from rosbags.highlevel import AnyReader

FPS = 10
TOLERANCE = 0.3

# Times are whole nanoseconds. A row is at a tick, which the program computes in doubles, if it is this near.
SAME = 1_000


def read_bag(path):
    odom, pictures = [], []
    with AnyReader([pathlib.Path(path)]) as reader:
        for connection, _, raw in reader.messages():
            if connection.topic not in ("/odom", "/camera/image_raw/compressed"):
                continue
            message = reader.deserialize(raw, connection.msgtype)
            nanos = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            if connection.topic == "/odom":
                p, q = message.pose.pose.position, message.pose.pose.orientation
                v = message.twist.twist
                odom.append((nanos, [p.x, p.y, v.linear.x], [v.linear.x, v.angular.z], [q.x, q.y, q.z, q.w]))
            else:
                pictures.append((nanos, message.data.tobytes()))
    return sorted(odom), sorted(pictures)


def slerp(a, b, weight):
    a, b = numpy.array(a), numpy.array(b)
    a, b = a / numpy.linalg.norm(a), b / numpy.linalg.norm(b)
    dot = a @ b
    if dot < 0:
        b, dot = -b, -dot
    angle = numpy.arccos(min(dot, 1.0))
    if angle < 1e-9:
        return a
    return (numpy.sin((1 - weight) * angle) * a + numpy.sin(weight * angle) * b) / numpy.sin(angle)


def expected(odom, pictures):
    """All whole ticks, in episodes: their times, values and pictures."""
    times = numpy.array([row[0] for row in odom])
    picture_times = numpy.array([row[0] for row in pictures])
    start, end = max(times[0], picture_times[0]), max(times[-1], picture_times[-1])
    episodes, is_within = [], False
    step, tolerance = 10**9 // FPS, TOLERANCE * 1e9
    for tick in range(int(start), int(end) + SAME + 1, step):
        below = int(numpy.searchsorted(times, tick + SAME, "right")) - 1
        exact = abs(int(times[below]) - tick) <= SAME
        above = below if exact else below + 1
        near = above < len(times) and tick - times[below] <= tolerance and times[above] - tick <= tolerance
        if not near:
            is_within = False
            continue
        if not is_within:
            episodes.append([])
            is_within = True
        weight = 0 if exact else (tick - times[below]) / (times[above] - times[below])
        before, after = odom[below], odom[above]
        state = numpy.array(before[1]) * (1 - weight) + numpy.array(after[1]) * weight
        picture = int(numpy.searchsorted(picture_times, tick + SAME, "right")) - 1
        episodes[-1].append((tick, state, before[2], slerp(before[3], after[3], weight), before[0], picture))
    return episodes


def check_pictures(stats, used, pictures):
    """Of all frames, which show few pictures; another decoder differs by a few shades."""
    counts = numpy.zeros((3, 256))
    for i in set(used):
        pixels = numpy.asarray(Image.open(io.BytesIO(pictures[i][1]))).reshape(-1, 3)
        for channel in range(3):
            counts[channel] += numpy.bincount(pixels[:, channel], minlength=256) * used.count(i)
    shades = numpy.arange(256) / 255
    total = counts.sum(axis=1)
    mean = counts @ shades / total
    std = numpy.sqrt(counts @ shades**2 / total - mean**2)
    numpy.testing.assert_allclose(numpy.ravel(stats["mean"]), mean, atol=0.002)
    numpy.testing.assert_allclose(numpy.ravel(stats["std"]), std, atol=0.002)
    assert stats["count"] == [len(used)]
    for key, quantile in [("q01", 0.01), ("q50", 0.5), ("q99", 0.99)]:
        values = [shades[numpy.searchsorted(counts[c].cumsum(), quantile * total[c])] for c in range(3)]
        numpy.testing.assert_allclose(numpy.ravel(stats[key]), values, atol=0.012, err_msg=key)


def main():
    bag, dataset = sys.argv[1], pathlib.Path(sys.argv[2])
    odom, pictures = read_bag(bag)
    episodes = expected(odom, pictures)
    table = pq.read_table(dataset / "data/chunk-000/file-000.parquet").to_pylist()
    about = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert len(about) == len(episodes) and len(table) == sum(map(len, episodes)), (len(about), len(table), list(map(len, episodes)))
    index, used = 0, []
    for number, frames in enumerate(episodes):
        row = about[number]
        assert (row["episode_index"], row["length"], row["dataset_from_index"]) == (number, len(frames), index), row
        assert row["dataset_to_index"] == index + len(frames) and row["tasks"] == ["drive a loop"]
        for i, (tick, state, action, heading, stamp, picture) in enumerate(frames):
            frame = table[index]
            where = f"episode {number} frame {i}"
            assert (frame["episode_index"], frame["frame_index"], frame["index"]) == (number, i, index), where
            assert frame["task_index"] == 0
            # What the loader demands, and more.
            assert numpy.float32(frame["timestamp"]) == numpy.float32(i / FPS), where
            numpy.testing.assert_allclose(frame["observation.state"], state, rtol=1e-5, atol=1e-6, err_msg=where)
            assert frame["action"] == [float(numpy.float32(v)) for v in action], where
            numpy.testing.assert_allclose(frame["heading"], heading, rtol=1e-5, atol=1e-6, err_msg=where)
            assert frame["observation.images.front"]["bytes"] == pictures[picture][1], where
            assert frame["observation.images.front"]["path"] == f"frame-{i:06}.jpg"
            sec, nanosec = divmod(stamp, 10**9)
            assert frame["stamp.action"] == sec + nanosec / 1e9, where
            numpy.testing.assert_allclose(frame["age.action"], (tick - stamp) / 1e9, atol=1e-6, err_msg=where)
            used.append(picture)
            index += 1
    stats = json.loads((dataset / "meta/stats.json").read_text())
    for name in ["observation.state", "action", "heading"]:
        values = numpy.array([frame[name] for frame in table], dtype=float)
        for key, of in [("min", values.min(0)), ("max", values.max(0)), ("mean", values.mean(0)), ("std", values.std(0)),
                        ("q01", numpy.quantile(values, 0.01, axis=0)), ("q90", numpy.quantile(values, 0.9, axis=0))]:
            numpy.testing.assert_allclose(stats[name][key], of, atol=1e-9, err_msg=f"{name} {key}")
    check_pictures(stats["observation.images.front"], used, pictures)
    account = json.loads((dataset / "meta/mldash.json").read_text())["experiments"][0]
    ticks = account["ticks"]
    dropped = sum(hole["ticks"] for hole in account["missing"] if hole["feature"] == "observation.state")
    assert ticks == len(table) + dropped, (ticks, len(table), dropped)
    print(f"{len(episodes)} episodes, {len(table)} frames")


main()
