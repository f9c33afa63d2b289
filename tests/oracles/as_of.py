"""Joins two tracks by time with pandas, polars and DuckDB, from the JSON lines of the store.

as_of.py ON.jsonl OTHER.jsonl floor|nearest TOLERANCE

One JSON object: for each of them the rows, as lists of the time, the time of the row that was found and its value.
"""

import json
import sys

import duckdb
import pandas
import polars

on, other, method, tolerance = sys.argv[1:3] + [sys.argv[3], float(sys.argv[4])]


def by_pandas():
    read = lambda path: pandas.DataFrame(map(json.loads, open(path)))
    left, right = read(on)[["timestamp"]], read(other)
    right = right.assign(found=right.timestamp)[["timestamp", "found", "b"]]
    direction = {"floor": "backward"}.get(method, method)
    joined = pandas.merge_asof(left, right, on="timestamp", direction=direction, tolerance=tolerance)
    cell = lambda value: None if pandas.isna(value) else value
    return [tuple(map(cell, row)) for row in joined.itertuples(index=False)]


def by_polars():
    # Where two rows are equally near, polars takes the later one; we take the earlier. So both directions are joined.
    left = polars.read_ndjson(on).select("timestamp")
    right = polars.read_ndjson(other).select("timestamp", "b", found="timestamp")

    def joined(strategy):
        return left.join_asof(right, on="timestamp", strategy=strategy, tolerance=tolerance, coalesce=True)

    below = joined("backward")
    if method == "floor":
        return below.select("timestamp", "found", "b").rows()
    both = below.with_columns(after=joined("forward")["found"], after_b=joined("forward")["b"])
    is_after = polars.col("found").is_null() | (
        polars.col("after") - polars.col("timestamp") < polars.col("timestamp") - polars.col("found")
    )
    is_after = is_after & polars.col("after").is_not_null()
    chosen = both.select(
        "timestamp",
        polars.when(is_after).then("after").otherwise("found").alias("found"),
        polars.when(is_after).then("after_b").otherwise("b").alias("b"),
    )
    return chosen.rows()


def by_duckdb():
    found = duckdb.sql(
        f"""
        SELECT l.timestamp, r.timestamp, r.b
        FROM read_json('{on}') l ASOF LEFT JOIN read_json('{other}') r ON l.timestamp >= r.timestamp
        ORDER BY l.timestamp
        """
    )
    near = lambda ts, found: found is not None and ts - found <= tolerance
    return [(ts, *((found, b) if near(ts, found) else (None, None))) for ts, found, b in found.fetchall()]


joined = {"pandas": by_pandas(), "polars": by_polars()}
if method == "floor":
    joined["duckdb"] = by_duckdb()
json.dump(joined, sys.stdout)
