"""Computes a report's numbers anew from the rows of a track's file, with numpy, and compares.

usage: same_as_report.py PAGE.html EXPERIMENT_FOLDER TRACK
"""

import base64
import json
import math
import pathlib
import re
import sys

import numpy as np


def floats(text, kind):
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def main():
    page, folder, topic = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), pathlib.Path(sys.argv[2]), sys.argv[3]
    (text,) = re.findall(r'<script type="application/json" id="document">(.*?)</script>', page, re.S)
    document = json.loads(text)
    experiment = document["experiments"][0]
    (track,) = [one for one in experiment["tracks"] if one["topic"] == topic]

    lines = (folder / "tracks" / topic.replace("/", "_") / "data.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {}
    for line in lines:
        row = json.loads(line)
        rows.setdefault(row.pop("timestamp"), {}).update(row)
    times = np.array(sorted(rows))
    rows = [rows[time] for time in times]
    assert track["rows"] == len(rows), (track["rows"], len(rows))

    # The axis begins with the first row of all tracks here.
    start = min(
        json.loads(file.read_text(encoding="utf-8").splitlines()[0])["timestamp"]
        for file in folder.glob("tracks/*/data.jsonl")
    )
    each = track["rowsPerPoint"]
    assert each >= 1 and each & (each - 1) == 0
    groups = [range(at, min(at + each, len(rows))) for at in range(0, len(rows), each)]
    assert np.array_equal(floats(track["times"], "<f8"), times[[group[0] for group in groups]] - start)
    if each > 1:
        assert len(groups) <= 4096 and len(groups) >= 1024, len(groups)
        assert np.array_equal(floats(track["ends"], "<f8"), times[[group[-1] for group in groups]] - start)

    compared = 0
    elements = {}
    for series in track["series"]:
        place = elements.setdefault(series["column"], 0)
        elements[series["column"]] += 1

        def value(row):
            found = row.get(series["column"])
            found = found[place] if isinstance(found, list) else found
            return float("nan") if found is None else float(found)

        values = np.array([value(row) for row in rows])
        finite = np.where(np.isfinite(values), values, np.nan)
        present = sum(series["column"] in row for row in rows)
        assert series["nonFinite"] == present - int(np.isfinite(values).sum()), series["column"]
        expected_low = np.array([_least(finite[list(group)], min) for group in groups])
        expected_high = np.array([_least(finite[list(group)], max) for group in groups])
        low = floats(series["low"], "<f4").astype(float) + series["base"]
        high = floats(series["high"], "<f4").astype(float) + series["base"] if series["high"] else low
        for found, expected in ((low, expected_low), (high, expected_high)):
            assert np.allclose(found, expected, rtol=1e-6, atol=1e-12, equal_nan=True), series["column"]
        if np.isfinite(values).any():
            assert math.isclose(series["mean"], np.nanmean(finite), rel_tol=1e-9, abs_tol=1e-9)
        compared += len(groups)
    # What is no curve does not change, or is seen in another way.
    for column in rows[0]:
        values = [row.get(column) for row in rows]
        if column not in elements and isinstance(values[0], (int, float)) and not isinstance(values[0], bool):
            elsewhere = column in ("receive_ts", "stamp_ns", "index", "bytes")
            assert elsewhere or all(value == values[0] for value in values), column

    steps = np.diff(times)
    interval = track["interval"]
    _same_quantiles(interval, steps)
    median, p90 = np.quantile(steps, 0.5, method="inverted_cdf"), np.quantile(steps, 0.9, method="inverted_cdf")
    longer = steps > max(5 * median, 3 * p90)
    # Near the threshold a bin's width decides.
    assert not (abs(steps / max(5 * median, 3 * p90) - 1) < 0.01).any(), "a gap of that length proves nothing"
    gaps = [(times[i] - start, times[i + 1] - start) for i in np.flatnonzero(longer)]
    assert np.allclose(interval["gaps"], gaps, atol=1e-6), (interval["gaps"], gaps)
    histogram = interval["histogram"]
    total = sum(histogram["counts"]) + histogram["below"] + histogram["above"]
    assert math.isclose(total, len(steps), rel_tol=1e-3), (total, len(steps))

    if any("receive_ts" in row for row in rows):
        _same_quantiles(track["lag"], np.array([row["receive_ts"] for row in rows]) - times)
    else:
        assert track["lag"] is None
    for text in track["texts"]:
        changes = []
        for time, row in zip(times, rows):
            if text["column"] in row and (not changes or changes[-1][1] != row[text["column"]]):
                changes.append([time - start, row[text["column"]]])
        assert text["changes"] == len(changes)
        if len(changes) <= 400:
            assert text["kept"] == changes
    if track["scans"]:
        _same_scans(track["scans"], times, rows, start)
    print(json.dumps({"points": compared, "gaps": len(gaps), "rows_per_point": each}))


def _least(values, choose):
    finite = values[np.isfinite(values)]
    return choose(finite) if len(finite) else np.nan


def _same_quantiles(found, values):
    for name, q in (("median", 0.5), ("p99", 0.99)):
        expected = np.quantile(values, q, method="inverted_cdf")
        assert math.isclose(found[name], expected, rel_tol=1e-3, abs_tol=2e-7), (name, found[name], expected)


def _same_scans(scans, times, rows, start):
    places = {time - start: i for i, time in enumerate(times)}
    shown = floats(scans["times"], "<f8")
    assert len(shown) == min(len(rows), 240) and shown[0] == times[0] - start and shown[-1] == times[-1] - start
    ranges = floats(scans["ranges"], "<u2").reshape(len(shown), scans["beams"])
    width = len(rows[0]["ranges"])
    group = -(-width // 360)
    assert scans["beams"] == -(-width // group)
    assert math.isclose(scans["angleStep"], rows[0]["angle_increment"] * group)
    for time, found in zip(shown, ranges):
        beams = np.array(rows[places[time]]["ranges"])
        for at, value in enumerate(found):
            nearest = _least(np.where(beams < 0, np.nan, beams)[at * group : (at + 1) * group], min)
            if np.isnan(nearest):
                assert value == 65535
            else:
                assert abs(value / 65534 * scans["maxRange"] - nearest) <= scans["maxRange"] / 65534 * 1.01


main()
