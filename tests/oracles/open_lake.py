"""The rows of a published store, read by DuckDB, pyarrow and Polars over S3.

usage: open_lake.py check ENDPOINT BUCKET/PREFIX EXPECTED.json
       open_lake.py ask ENDPOINT BUCKET/PREFIX ASKED.json

`check`: EXPECTED.json is {topic: {experiment: [file of rows as JSON lines, as `mldash_bridge read` writes them]}}; all three readers must see
these rows, each once. `ask`: prints for each query of [{"name", "sql"}] its answer and the seconds it took. `{url}` in SQL is the store; with "views": true, a topic is
a view of tracks and compacted files together, as docs/fleet.md has it; with "analyze": true, the answer is how many bytes DuckDB says it read.

Credentials are in the environment.
"""
import json
import os
import sys
import time
from collections import Counter

import duckdb
import duckdb_extensions

# As docs/fleet.md has it; tests/whole/publish_s3.rs holds the two together.
VIEW = """
CREATE OR REPLACE VIEW {view} AS
WITH merged AS (
    SELECT * FROM read_parquet('{url}/compacted/{topic}/**/*.parquet',
                               hive_partitioning = true, hive_types_autocast = false, union_by_name = true)
), known AS (
    SELECT DISTINCT owner, project, experiment, chunk FROM merged
), own AS (
    SELECT *, parse_filename(filename, true) AS chunk
    FROM read_parquet('{url}/tracks/{topic}/**/*.parquet',
                      hive_partitioning = true, hive_types_autocast = false, union_by_name = true, filename = true)
)
SELECT * FROM merged
UNION ALL BY NAME
SELECT * EXCLUDE (filename) FROM own ANTI JOIN known USING (owner, project, experiment, chunk)
"""
# As docs/publish.md has them, too.
PYARROW = """
files = pyarrow.dataset.dataset("lake/fleet/tracks/odom", filesystem=s3, format="parquet", partitioning="hive")
schema = pyarrow.unify_schemas([files.schema] + [file.physical_schema for file in files.get_fragments()])
rows = files.replace_schema(schema)
"""
POLARS = """
rows = polars.scan_parquet(
    "s3://lake/fleet/tracks/odom/",
    schema=polars.from_arrow(schema.empty_table()).schema,
    missing_columns="insert",
    hive_partitioning=True,
    try_parse_hive_dates=False,
)
"""
DOCUMENTED = "lake/fleet/tracks/odom"
# While nothing is compacted, and once all is.
ALONE = """
CREATE OR REPLACE VIEW {view} AS
SELECT * FROM read_parquet('{url}/{kind}/{topic}/**/*.parquet',
                           hive_partitioning = true, hive_types_autocast = false, union_by_name = true)
"""
PLACES = ("owner", "project", "experiment", "day", "chunk")


def connect(endpoint):
    duckdb_extensions.import_extension("httpfs")
    lake = duckdb.connect()
    lake.execute("LOAD httpfs")
    lake.execute(
        "CREATE SECRET (TYPE s3, KEY_ID '{}', SECRET '{}', REGION 'us-east-1', ENDPOINT '{}', "
        "URL_STYLE 'path', USE_SSL false)".format(
            os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], endpoint.split("://")[1]
        )
    )
    # Threads wait for the store, not for the processor.
    lake.execute("SET threads = 8")
    return lake


def topics(lake, url):
    """Topics as their folders are called, and which of the two kinds of files each has."""
    found = {}
    for kind in ("tracks", "compacted"):
        for (name,) in lake.sql(f"SELECT file FROM glob('{url}/{kind}/**/*.parquet')").fetchall():
            found.setdefault(name.split(f"/{kind}/")[1].split("/")[0], set()).add(kind)
    return found


def make_views(lake, url):
    for topic, kinds in topics(lake, url).items():
        text = VIEW if len(kinds) == 2 else ALONE
        lake.execute(text.format(view='"' + decoded(topic) + '"', url=url, topic=topic, kind=min(kinds)))


def decoded(text):
    from urllib.parse import unquote

    return unquote(text)


def plain(value):
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def as_text(row):
    """A row without its places, and without what is null or made of the time."""
    row = {key: value for key, value in row.items() if key not in PLACES and key != "stamp" and value is not None}
    return json.dumps(plain(row), sort_keys=True)


def expected_rows(files):
    rows = Counter()
    for file in files:
        with open(file, encoding="utf-8") as lines:
            rows.update(as_text(json.loads(line)) for line in lines if line.strip())
    return rows


def by_experiment(rows):
    found = {}
    for row in rows:
        name = "/".join(str(row[key]) for key in ("owner", "project", "experiment"))
        found.setdefault(name, Counter())[as_text(row)] += 1
    return found


def duckdb_rows(lake, topic):
    answer = lake.sql(f'SELECT * EXCLUDE (stamp) FROM "{topic}"')
    names = answer.columns
    return [dict(zip(names, row)) for row in answer.fetchall()]


def python_rows(endpoint, place, topic, kinds):
    """The rows as pyarrow and as Polars see them."""
    import polars
    import pyarrow.dataset
    from pyarrow import fs

    # What docs/publish.md takes for granted: a file system, and Polars' settings in the environment.
    s3 = fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=endpoint.split("://")[1], scheme="http", region="us-east-1",
    )
    os.environ |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}
    names = {"polars": polars, "pyarrow": pyarrow, "s3": s3}
    by_pyarrow, by_polars = [], []
    for kind in sorted(kinds):
        folder = f"{place}/{kind}/{topic}"
        exec(PYARROW.replace(DOCUMENTED, folder), names)
        table = names["rows"].to_table()
        # Python's datetime has no nanoseconds.
        by_pyarrow += table.drop([name for name in ["stamp"] if name in table.column_names]).to_pylist()
        exec(POLARS.replace(DOCUMENTED, folder), names)
        by_polars += names["rows"].drop("stamp", strict=False).collect().to_dicts()
    return {"pyarrow": by_pyarrow, "Polars": by_polars}


def check(endpoint, place, expected):
    lake = connect(endpoint)
    url = f"s3://{place}"
    make_views(lake, url)
    folders = {decoded(folder): (folder, kinds) for folder, kinds in topics(lake, url).items()}
    wanted = {
        topic: {name: expected_rows(files) for name, files in experiments.items()}
        for topic, experiments in expected.items()
    }
    assert folders.keys() == wanted.keys(), (folders.keys(), wanted.keys())
    for topic, experiments in wanted.items():
        folder, kinds = folders[topic]
        seen = {"DuckDB": duckdb_rows(lake, topic)} | python_rows(endpoint, place, folder, kinds)
        for who, rows in seen.items():
            found = by_experiment(rows)
            for name in experiments.keys() | found.keys():
                more, less = found.get(name, Counter()), experiments.get(name, Counter())
                assert more == less, (
                    f"{who} sees other rows of {name} {topic}: "
                    f"{list((more - less).items())[:3]} too many, {list((less - more).items())[:3]} too few"
                )
        print(f"{topic}: {sum(map(len, seen.values())) // 3} rows")


def bytes_read(plan):
    """What DuckDB's own count of an analysed query says that came over HTTP."""
    import re

    # "in: 12.3 KiB" of its box "HTTPFS HTTP Stats".
    units = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    found = re.search(r"in:\s+([\d.]+) (bytes|KiB|MiB|GiB)", plan)
    return round(float(found[1]) * units[found[2]]) if found else None


def ask(endpoint, place, queries):
    answers = []
    for query in queries:
        sql = query["sql"].replace("{url}", f"s3://{place}")
        # Each from nothing: what was read before stays in a connection's cache.
        lake = connect(endpoint)
        if query.get("views"):
            make_views(lake, f"s3://{place}")
        begun = time.monotonic()
        if query.get("analyze"):
            plan = lake.sql("EXPLAIN ANALYZE " + sql).fetchall()[0][1]
            answer = {"http_in_bytes": bytes_read(plan)}
        else:
            answer = {"answer": lake.sql(sql).fetchall()}
        answers.append({"name": query["name"], "secs": time.monotonic() - begun} | answer)
    print(json.dumps(answers, default=str))


def main():
    what, endpoint, place, file = sys.argv[1:]
    with open(file, encoding="utf-8") as text:
        given = json.load(text)
    {"check": check, "ask": ask}[what](endpoint, place, given)


main()
