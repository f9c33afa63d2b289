#!/usr/bin/env python3
"""The real ML-Dash SDK as a client of a server, driven by tests/whole/serve.rs.

    remote.py client URL NAMESPACE      ml_dash.client.RemoteClient, call by call
    remote.py experiment URL PREFIX     ml_dash.Experiment(dash_url=…), as a user writes it
    remote.py ends URL PREFIX           runs that fail, that record into folders, here as well, side by side
    remote.py beside URL PREFIX         one of two processes that record one run

ML_DASH_CONFIG_DIR has the token. What the SDK made of the answers comes out as one JSON object.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pyarrow.parquet
from ml_dash import Experiment
from ml_dash.client import RemoteClient
from ml_dash.files import compute_sha256


def client(url, namespace):
    client = RemoteClient(base_url=url)
    made = client.create_or_update_experiment(
        project="warehouse",
        name="run-1",
        description="pick and place",
        tags=["arm"],
        prefix=f"{namespace}/warehouse/monday/run-1",
        metadata={"robot": "r2"},
    )
    again = client.create_or_update_experiment(
        project="warehouse", name="run-1", prefix=f"{namespace}/warehouse/monday/run-1"
    )
    id = made["experiment"]["id"]
    client.create_track(id, "robot/pose", description="tool", tags=["tcp"], metadata={"fps": 100})
    appended = client.append_to_track(id, "robot/pose", 1.0, {"q": [0.1, 0.2], "grip": {"closed": True}})
    batch = [{"timestamp": 2.0, "q": [0.3, 0.4]}, {"timestamp": 1.0, "mode": "hold"}]
    counts = [client.append_batch_to_track(id, "robot/pose", batch) for _ in range(2)]
    client.append_batch_to_track(id, "robot/joints", [{"timestamp": 0.5, "j": 1}])
    client.update_experiment_status(id, "COMPLETED")
    with tempfile.TemporaryDirectory() as folder:
        files = use_files(client, id, namespace, pathlib.Path(folder))
        found = find_anew(RemoteClient(base_url=url), id, namespace, pathlib.Path(folder))
    read = client.get_track_data
    return {
        "username": client.get_current_user()["username"],
        "sameIds": made["experiment"]["id"] == again["experiment"]["id"]
        and made["node"]["id"] == again["node"]["id"],
        "appended": appended,
        "counts": counts,
        "json": read(id, "robot/pose"),
        "range": read(id, "robot/pose", start_timestamp=1.5, end_timestamp=9.0),
        "columns": read(id, "robot/pose", columns=["mode"]),
        "jsonl": read(id, "robot/pose", format="jsonl").decode(),
        "parquet": pyarrow.parquet.read_table(
            io.BytesIO(read(id, "robot/pose", format="parquet"))
        ).to_pylist(),
        "mocap": read(id, "robot/pose", format="mocap"),
        "absent": read(id, "robot/none"),
        "tracks": [track["topic"] for track in client.list_tracks(id)],
        "filtered": [track["topic"] for track in client.list_tracks(id, "robot/*")],
        "one": client.list_tracks(id, "robot/pose"),
        "files": files,
        "found": found,
    }


def find_anew(client, id, namespace, folder):
    """A client that made nothing: all it knows of the run is an id, or a path."""
    source = folder / "note.txt"
    source.write_text("found")
    uploaded = client.upload_file(
        experiment_id=id,
        file_path=str(source),
        prefix=f"{namespace}/warehouse/monday/notes",
        filename="note.txt",
        description=None,
        tags=None,
        metadata=None,
        checksum=compute_sha256(str(source)),
        content_type="text/plain",
        size_bytes=source.stat().st_size,
    )
    status = client.update_experiment_status(id, "FAILED")["status"]
    by_path = client.get_experiment_by_path_graphql("warehouse", "monday/run-1", namespace)
    return {"uploaded": uploaded, "status": status, "byPath": by_path}


def use_files(client, id, namespace, folder):
    source = folder / "frame.png"
    source.write_bytes(b"\x89PNG" + bytes(range(256)) * 1000)
    checksum = compute_sha256(str(source))
    uploaded = [
        client.upload_file(
            experiment_id=id,
            file_path=str(source),
            prefix="/frames/left",
            filename="frame.png",
            description="first",
            tags=["left", "raw"],
            metadata={"seq": 1},
            checksum=checksum,
            content_type="image/png",
            size_bytes=source.stat().st_size,
        )
        for _ in range(2)
    ]
    file = uploaded[0]["id"]
    copy = folder / "copy.png"
    client.download_file(id, file, str(copy))
    streamed = folder / "streamed.png"
    client.download_file_streaming(id, file, str(streamed))
    listed = client.list_files(id)
    found = client.search_files("**/frame.png", experiment_id=id)
    updated = client.update_file(id, file, description="second")
    deleted = client.delete_file(id, file)
    return {
        "uploaded": uploaded,
        "same": copy.read_bytes() == source.read_bytes() == streamed.read_bytes(),
        "listed": listed,
        "found": found,
        "updated": updated["description"],
        "deleted": deleted["id"] == file,
        "left": client.list_files(id)["totalCount"],
    }


def experiment(url, prefix):
    experiment = Experiment(prefix=prefix, dash_url=url, dash_root=None, readme="as a user", tags=["t"])
    with experiment.run:
        for i in range(250):
            experiment.tracks("robot/pose").append(q=[i, -i], _ts=i / 100)
        experiment.tracks.flush()
        experiment.tracks("robot/pose").append(late=True, _ts=0.5)
        experiment.files("notes").save_text("from the SDK", to="note.txt")
        experiment.tracks("robot/pose").flush()
        pose = experiment.tracks("robot/pose")
        seen = {
            "rows": len(pose.read()["entries"]),
            "merged": pose.slice(0.5, 0.5).findByTime(0.5),
            "jsonl": len(pose.read(format="jsonl").splitlines()),
        }
    return seen


def ends(url, prefix):
    failed = Experiment(prefix=f"{prefix}/failed", dash_url=url, dash_root=None)
    try:
        with failed.run:
            failed.tracks("arm").append(q=1, _ts=1.0)
            raise RuntimeError("the arm is stuck")
    except RuntimeError as error:
        raised = str(error)
    with tempfile.TemporaryDirectory() as folder:
        hybrid = Experiment(prefix=f"{prefix}/mon day/β/hybrid", dash_url=url, dash_root=folder)
        with hybrid.run:
            for i in range(1000):
                hybrid.tracks("robot/ärm").append(q=i, note="ü☃", _ts=i / 100)
            hybrid.files("notes").save_text("both", to="note ü.txt")
        local = Experiment(prefix=f"{prefix}/mon day/β/hybrid", dash_root=folder)
        with local.run:
            here = len(local.tracks("robot/ärm").read()["entries"])
    both = Experiment(prefix=f"{prefix}/both", dash_url=url, dash_root=None)
    with both.run:
        other = subprocess.Popen(
            [sys.executable, __file__, "beside", url, f"{prefix}/both"], stdout=subprocess.DEVNULL
        )
        record_beside(both, "this")
        assert other.wait() == 0
    return {"raised": raised, "here": here}


def beside(url, prefix):
    other = Experiment(prefix=prefix, dash_url=url, dash_root=None)
    with other.run:
        record_beside(other, "other")


def record_beside(experiment, column):
    for i in range(1000):
        experiment.tracks("shared").append(**{column: i}, _ts=i / 100)
    experiment.tracks.flush()


if __name__ == "__main__":
    command, url, name = sys.argv[1:]
    # The SDK itself prints to stdout.
    out, sys.stdout = sys.stdout, sys.stderr
    commands = {"client": client, "experiment": experiment, "ends": ends, "beside": beside}
    json.dump(commands[command](url, name), out, default=str)
    out.flush()
    # pyarrow's threads now and then abort a Python that ends in the usual way.
    os._exit(0)
