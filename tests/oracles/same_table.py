"""Reads a plain table by pyarrow, pandas, polars and duckdb, and compares it with LeRobot's sample of the same frames.

same_table.py SAMPLE TABLE
"""

import pathlib
import sys

import duckdb
import pandas
import polars
import pyarrow.dataset as ds
import pyarrow.parquet as pq


def main():
    sample, table = map(pathlib.Path, sys.argv[1:3])
    sample = pq.read_table(sample / "data/chunk-000/file-000.parquet").to_pylist()
    found = ds.dataset(table, partitioning="hive").to_table().to_pylist()
    found.sort(key=lambda row: (row["episode_index"], row["frame_index"]))
    assert len(found) == len(sample)
    for ours, theirs in zip(found, sample):
        for name in ["observation.state", "action", "frame_index", "episode_index", "observation.images.front"]:
            assert ours[name] == theirs[name], (name, ours, theirs)
        assert ours["timestamp"] == ours["frame_index"] / 10
        assert ours["task"] == ["drive", "turn"][ours["episode_index"]]
        assert ours["experiment"] == f"alice/lab/{ours['task']}"
        assert abs(ours["time"] - 1.6e9 - ours["timestamp"]) < 1e-6
    assert len(pandas.read_parquet(table)) == len(sample)
    assert len(polars.read_parquet(table / "**/*.parquet", hive_partitioning=True)) == len(sample)
    counted = duckdb.sql(f"select episode_index, count(*) from '{table}/*/*.parquet' group by 1 order by 1").fetchall()
    assert counted == [(0, 12), (1, 13)], counted
    print(f"{len(found)} rows")


main()
