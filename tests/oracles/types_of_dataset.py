"""Checks types and values of the dataset of tests/whole/dataset/append.rs with depth, bools and whole numbers.

types_of_dataset.py DATASET
"""

import io
import json
import pathlib
import sys

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def main():
    root = pathlib.Path(sys.argv[1])
    table = pq.read_table(root / "data/chunk-000/file-000.parquet")
    assert [table.schema.field(name).type for name in ["on", "count", "exact"]] == [pa.bool_(), pa.int64(), pa.float64()]
    assert table["on"].to_pylist() == [True, False, True, False] and table["count"].to_pylist() == [0, 1, 2, 3]
    assert table["exact"].to_pylist() == [1.6e9 + i / 10 for i in range(4)]
    depths = []
    for i, row in enumerate(table.to_pylist()):
        depth = numpy.asarray(Image.open(io.BytesIO(row["depth"]["bytes"])))
        assert depth.tolist() == [[0, i], [1000 + i, 65535]], depth
        depths.append(depth)
        small = Image.open(io.BytesIO(row["small"]["bytes"]))
        assert small.size == (6, 4) and small.format == "PNG" and small.getpixel((0, 0)) == (i, i, i)
    info = json.loads((root / "meta/info.json").read_text())["features"]
    assert info["depth"]["shape"] == [2, 2, 1] and info["small"]["shape"] == [4, 6, 3]
    assert info["count"]["units"] == ["pieces"] and info["on"]["dtype"] == "bool"
    stats = json.loads((root / "meta/stats.json").read_text())
    # As the loader gives them: samples of 16 bits are not scaled.
    assert stats["depth"]["max"] == [[[65535.0]]] and stats["depth"]["mean"] == [[[numpy.mean(depths)]]]
    assert stats["count"]["max"] == [3] and stats["on"]["mean"] == [0.5]
    print("as recorded")


main()
