"""Opens Parquet files together, as one table, with pyarrow, polars and DuckDB and none of their options.

open_tables.py FILE…

One JSON object: for each reader its types of the columns, and the rows, NaN and infinities as text.
"""

import json
import math
import sys

import duckdb
import polars
import pyarrow.dataset


def by_pyarrow(files):
    table = pyarrow.dataset.dataset(files).to_table()
    return {field.name: str(field.type) for field in table.schema}, table.to_pylist()


def by_polars(files):
    frame = polars.scan_parquet(files).collect()
    return {name: str(ty) for name, ty in frame.schema.items()}, frame.to_dicts()


def by_duckdb(files):
    found = duckdb.read_parquet(files)
    types = {name: str(ty) for name, ty in zip(found.columns, found.types)}
    return types, [dict(zip(found.columns, row)) for row in found.fetchall()]


def finite(value):
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value


readers = {"pyarrow": by_pyarrow, "polars": by_polars, "duckdb": by_duckdb}
opened = {}
for name, read in readers.items():
    types, rows = read(sys.argv[1:])
    opened[name] = {"types": types, "rows": finite(rows)}
json.dump(opened, sys.stdout, allow_nan=False)
