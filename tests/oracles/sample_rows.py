"""Prints the frames of a dataset that LeRobot's own library wrote, a line of JSON each, with pictures in base64.

sample_rows.py DATASET
"""

import base64
import json
import pathlib
import sys

import pyarrow.parquet as pq

for path in sorted((pathlib.Path(sys.argv[1]) / "data").rglob("*.parquet")):
    for row in pq.read_table(path).to_pylist():
        row["observation.images.front"] = base64.b64encode(row["observation.images.front"]["bytes"]).decode()
        print(json.dumps(row))
