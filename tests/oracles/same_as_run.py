"""same_as_run.py RUN.mcap ROWS FILES [TRACK:COLUMN=NAME…]: every value of the rows in ROWS (one TRACK.jsonl each, as
`mldash_bridge read` writes them, with `/` as `+`) is in the MCAP file, at its time, as JSON or in one of Foxglove's messages,
and nothing else is. FILES is the experiment's folder `files`. NAME is what a message calls a renamed column."""

import importlib
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy
from google.protobuf.json_format import MessageToDict
from mcap.reader import make_reader
from mcap.decoder import DecoderFactory
from mcap_protobuf.decoder import DecoderFactory as Protobuf
from pypcd4 import PointCloud

NANOS = 1_000_000_000
NUMPY = {1: "u1", 2: "i1", 3: "<u2", 4: "<i2", 5: "<u4", 6: "<i4", 7: "<f4", 8: "<f8"}
LEVELS = {1: 10, 2: 20, 3: 30, 4: 40, 5: 50}


class Json(DecoderFactory):
    def decoder_for(self, message_encoding, schema):
        return json.loads if message_encoding == "json" else None


def xyz(v):
    return [v.x, v.y, v.z]


def xyzw(v):
    return [v.x, v.y, v.z, v.w]


def pose(p):
    return {"position": xyz(p.position), "orientation": xyzw(p.orientation)}


def stamp(t):
    return t.seconds * NANOS + t.nanos


def file_of(row):
    """ML-Dash's layout is `<folder>/<id>/<name>`."""
    path = Path(row["path"])
    [file] = (files / path.parent).glob(f"*/{path.name}")
    return file


def transform(t):
    return {
        "frame_id": t.parent_frame_id,
        "child_frame_id": t.child_frame_id,
        "translation": xyz(t.translation),
        "rotation": xyzw(t.rotation),
    }


def held(schema, m, row):
    """What a message holds, by the last part of the column's name. Checks the rest of the message against the row."""
    if schema == "foxglove.PoseInFrame":
        return {"frame_id": m.frame_id} | pose(m.pose)
    if schema == "foxglove.PosesInFrame":
        return {"frame_id": m.frame_id, "poses": [pose(p) for p in m.poses]}
    if schema == "foxglove.FrameTransform":
        return transform(m)
    if schema == "foxglove.FrameTransforms":
        return {
            "transforms": [
                {
                    "header": {"stamp": {"sec": t.timestamp.seconds, "nanosec": t.timestamp.nanos}, "frame_id": t.parent_frame_id},
                    "child_frame_id": t.child_frame_id,
                    "transform": {"translation": xyz(t.translation), "rotation": xyzw(t.rotation)},
                }
                for t in m.transforms
            ]
        }
    if schema == "foxglove.LaserScan":
        last = m.start_angle + row["angle_increment"] * (len(m.ranges) - 1)
        assert abs(m.end_angle - last) < 1e-12, (m.end_angle, last)
        return {"frame_id": m.frame_id, "angle_min": m.start_angle, "ranges": list(m.ranges), "intensities": list(m.intensities)}
    if schema in ("foxglove.CompressedImage", "foxglove.CompressedVideo"):
        assert m.data == file_of(row).read_bytes(), row
        assert m.format in ("jpeg", "png", "webp", "h264"), m.format
        return {"frame_id": m.frame_id}
    if schema == "foxglove.RawImage":
        pixels = numpy.load(file_of(row))
        ours = numpy.frombuffer(m.data, "<f4").reshape(m.height, m.step // 4)
        assert (m.encoding, m.width) == ("32FC1", pixels.shape[1]), m
        numpy.testing.assert_array_equal(ours, pixels)
        return {"frame_id": m.frame_id}
    if schema == "foxglove.PointCloud":
        cloud = PointCloud.from_path(str(file_of(row)))
        layout = {f.name: (NUMPY[f.type], f.offset) for f in m.fields}
        names = list(layout)
        kinds = {"names": names, "formats": [layout[n][0] for n in names], "offsets": [layout[n][1] for n in names]}
        points = numpy.frombuffer(m.data, numpy.dtype(kinds | {"itemsize": m.point_stride}))
        assert tuple(names) == tuple(cloud.fields), (names, cloud.fields)
        for name in names:
            numpy.testing.assert_array_equal(points[name], cloud.pc_data[name])
        return {"frame_id": m.frame_id}
    if schema == "foxglove.CameraCalibration":
        matrices = {name: list(getattr(m, name.upper())) for name in "dkrp"}
        return {"frame_id": m.frame_id, "width": m.width, "height": m.height, "distortion_model": m.distortion_model} | matrices
    if schema == "foxglove.LocationFix":
        place = {name: getattr(m, name) for name in ("frame_id", "latitude", "longitude", "altitude", "position_covariance_type")}
        return place | {"position_covariance": list(m.position_covariance)}
    if schema == "foxglove.Log":
        return {"level": LEVELS[m.level], "msg": m.message, "name": m.name, "file": m.file, "line": m.line}
    if schema == "foxglove.Grid":
        assert (m.cell_size.x, m.row_stride, m.cell_stride) == (m.cell_size.y, m.column_count, 1), m
        assert [(f.name, f.offset, f.type) for f in m.fields] == [("occupancy", 0, 2)], m
        cells = numpy.frombuffer(m.data, "i1").tolist()
        return {"frame_id": m.frame_id, "data": cells, "width": m.column_count, "resolution": m.cell_size.x} | pose(m.pose)
    raise AssertionError(f"no check for {schema}")


def same(a, b):
    """As JSON, in which numbers that are not finite have words."""
    return json.dumps(a) == json.dumps(b) or a == b


def nulled(value):
    """What JSON makes of numbers that are not finite."""
    text = json.dumps(value)
    return json.loads(text, parse_constant=lambda _: None)


def check_schema(schema, data, message):
    """The message is the same for whoever knows Foxglove's own definitions."""
    name = schema.removeprefix("foxglove.")
    published = getattr(importlib.import_module(f"foxglove_schemas_protobuf.{name}_pb2"), name)()
    published.ParseFromString(data)
    ours, theirs = MessageToDict(message), MessageToDict(published)
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True), (ours, theirs)
    known = {field.name: field.number for field in published.DESCRIPTOR.fields}
    found = {field.name: field.number for field in message.DESCRIPTOR.fields}
    assert all(found.get(name) == number for name, number in known.items()), (schema, found)


mcap, rows_folder, files = (Path(arg) for arg in sys.argv[1:4])
renamed = dict(arg.split("=") for arg in sys.argv[4:])
tracks = {}
for path in rows_folder.glob("*.jsonl"):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    tracks[path.stem.replace("+", "/")] = {round(row["timestamp"] * NANOS): row for row in lines}

messages = defaultdict(lambda: defaultdict(list))
schemas = Counter()
with mcap.open("rb") as f:
    reader = make_reader(f, validate_crcs=True, decoder_factories=[Protobuf(), Json()])
    summary = reader.get_summary()
    total = 0
    before = 0
    for schema, channel, message, decoded in reader.iter_decoded_messages(log_time_order=False):
        assert message.log_time >= before, "out of order"
        assert message.log_time == message.publish_time
        before = message.log_time
        total += 1
        schemas[schema.name if schema.encoding == "protobuf" else "JSON"] += 1
        if schema.encoding == "protobuf":
            check_schema(schema.name, message.data, decoded)
            if hasattr(decoded, "timestamp"):
                assert stamp(decoded.timestamp) == message.log_time
        # A row's time as a float, to find it by.
        at = round(message.log_time / NANOS * NANOS)
        messages[channel.metadata["track"]][at].append((schema, decoded))
    assert total == summary.statistics.message_count == sum(summary.statistics.channel_message_counts.values())
    assert summary.chunk_indexes and all(chunk.compression in ("zstd", "") for chunk in summary.chunk_indexes)
    assert {name for name in tracks if tracks[name]} == set(messages), set(messages)

values = 0
for track, rows in tracks.items():
    assert set(rows) == set(messages[track]), track
    for at, row in rows.items():
        of_json, drawn = {}, {}
        for schema, message in messages[track][at]:
            if schema.encoding == "protobuf":
                drawn |= held(schema.name, message, row)
            else:
                of_json = message
        assert not of_json or of_json["timestamp"] == row["timestamp"], (track, row)
        for column, value in row.items():
            name = renamed.get(f"{track}:{column}", column)
            if column == "timestamp":
                continue
            if column in of_json:
                assert same(of_json[column], nulled(value)), (track, column, of_json[column], value)
            else:
                assert same(drawn[name.split(".")[-1]], value), (track, column, drawn, value)
            values += 1
        assert set(of_json) <= set(row), (track, of_json)
print(json.dumps({"messages": total, "values": values, "schemas": dict(sorted(schemas.items()))}))
