"""Compares the files of an experiment with the messages that they were made of, read by rosbags.

same_as_bag.py BAG EXPERIMENT_FOLDER TOPIC…

Clouds point by point, NaN and all, as pypcd4 reads them; pictures byte by byte. The rows, read by the ML-Dash layout,
name the files.
"""

import json
import pathlib
import sys

import numpy
from pypcd4 import PointCloud
from rosbags.highlevel import AnyReader

NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


def points(message):
    names = [field.name for field in message.fields]
    formats = [("<", ">")[message.is_bigendian] + NUMBERS[field.datatype] for field in message.fields]
    offsets = [field.offset for field in message.fields]
    dtype = {"names": names, "formats": formats, "offsets": offsets, "itemsize": message.point_step}
    return numpy.frombuffer(message.data.tobytes(), numpy.dtype(dtype))


def assert_same_cloud(path, message):
    read, sent = PointCloud.from_path(path), points(message)
    assert (read.metadata.width, read.metadata.height) == (message.width, message.height), path
    assert read.pc_data.dtype.names == sent.dtype.names, path
    assert len(read.pc_data) == len(sent), path
    for name in sent.dtype.names:
        assert read.pc_data[name].tobytes() == sent[name].tobytes(), f"{path}: {name}"


def main():
    bag, experiment, *topics = sys.argv[1:]
    experiment = pathlib.Path(experiment)
    listed = json.loads((experiment / "files/.files_metadata.json").read_text())["files"]
    files = {
        f"{file['path']}/{file['filename']}".strip("/"): experiment / "files" / file["path"].strip("/") / file["id"] / file["filename"]
        for file in listed
    }
    compared = 0
    with AnyReader([pathlib.Path(bag)]) as reader:
        for topic in topics:
            track = experiment / "tracks" / topic.strip("/").replace("/", "_") / "data.jsonl"
            rows = {row["timestamp"]: row for row in map(json.loads, track.read_text().splitlines())}
            connections = [c for c in reader.connections if c.topic == topic]
            for connection, _, raw in reader.messages(connections=connections):
                message = reader.deserialize(raw, connection.msgtype)
                stamp = message.header.stamp
                file = files[rows[stamp.sec + stamp.nanosec / 1e9]["path"]]
                if file.suffix == ".pcd":
                    assert_same_cloud(str(file), message)
                else:
                    assert file.read_bytes() == message.data.tobytes(), file
                compared += 1
    print(compared)


main()
