#!/usr/bin/env python3
"""The real ML-Dash SDK, driven by tests/whole/interop.rs.

    sdk.py write ROOT EXPERIMENT   rows from stdin, one JSON object a line:
                                   {"topic": …, "_ts": …, "fields": {…}}, or {"flush": true}
    sdk.py read ROOT EXPERIMENT TOPIC [FILE.parquet]
                                   what the SDK makes of a track, as one JSON object; with a file,
                                   what pyarrow makes of that besides
    sdk.py glance ROOT EXPERIMENT TOPIC
                                   the rows of a track, which may be none, and the list of tracks
    sdk.py files ROOT EXPERIMENT FOLDER
                                   the files in a folder and what they hold, as one JSON object;
                                   then saves new.txt there and deletes old.txt

Floats that are not finite come out as text, since JSON has none.
"""

import io
import json
import math
import os
import sys

import pyarrow.parquet
from ml_dash import Experiment


def main(command, root, name, *rest):
    with Experiment(prefix=name, dash_root=root).run as experiment:
        if command == "write":
            write(experiment)
        elif command == "glance":
            json.dump(glance(experiment, *rest), sys.stdout)
        elif command == "files":
            json.dump(files(experiment, *rest), sys.stdout)
        else:
            json.dump(finite(read(experiment, *rest)), sys.stdout, allow_nan=False)


def write(experiment):
    for line in sys.stdin:
        step = json.loads(line)
        if "flush" in step:
            experiment.tracks.flush()
        else:
            experiment.tracks(step["topic"]).append(_ts=step["_ts"], **step["fields"])


def read(experiment, topic, parquet_file=None):
    track = experiment.tracks(topic)
    entries = track.read()["entries"]
    times = [entry["timestamp"] for entry in entries]
    between = [(a + b) / 2 for a, b in zip(times, times[1:])]
    run = experiment.run
    return {
        "json": track.read(),
        "jsonl": [json.loads(line) for line in track.read(format="jsonl").splitlines()],
        "parquet": table(io.BytesIO(track.read(format="parquet"))),
        "mocap": track.read(format="mocap"),
        "range": track.read(start_timestamp=times[0], end_timestamp=times[1]),
        "iterated": list(track.slice()),
        "found": track.slice().findByTime(between),
        "listed": experiment._storage.list_tracks(run.owner, run.project, run._folder_path),
        "file": parquet_file and table(parquet_file),
    }


def glance(experiment, topic):
    run = experiment.run
    return {
        "rows": experiment.tracks(topic).read()["entries"],
        "listed": experiment._storage.list_tracks(run.owner, run.project, run._folder_path),
    }


def files(experiment, folder):
    listed = experiment.files(folder).list()
    names = [file["filename"] for file in listed]
    texts = {name: experiment.files(f"{folder}/{name}").read_text() for name in names}
    types = {file["filename"]: file["contentType"] for file in listed}
    experiment.files(folder).save_text("from the SDK", to="new.txt")
    experiment.files(f"{folder}/old.txt").delete()
    return {"texts": texts, "types": types}


def table(source):
    read_back = pyarrow.parquet.read_table(source)
    types = {field.name: str(field.type) for field in read_back.schema}
    return {"types": types, "rows": read_back.to_pylist()}


def finite(value):
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value


if __name__ == "__main__":
    main(*sys.argv[1:])
    # pyarrow's threads now and then abort a Python that ends in the usual way.
    sys.stdout.flush()
    os._exit(0)
