"""Compares a dataset with one that LeRobot's own library wrote of the same frames, file by file.

like_lerobot.py SAMPLE DATASET

Layout, info.json, schemas with their metadata, and values must be equal. Quantiles, and the deviation of pictures, are
not compared with the library's, which estimates the one and squares the other in 8 bits, but with numpy's over all frames.
"""

import io
import json
import pathlib
import sys

import numpy
import pandas
import pyarrow.parquet as pq
from PIL import Image

OURS = {"meta/mldash.json", "meta/mldash_pixels.parquet"}
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - OURS


def same_json(sample, ours, where):
    """Equal, but for numbers that differ by a rounding."""
    if isinstance(sample, dict):
        assert sample.keys() == ours.keys(), (where, sample.keys() ^ ours.keys())
        for key in sample:
            if key not in QUANTILES and not (key == "std" and "images" in where):
                same_json(sample[key], ours[key], f"{where}.{key}")
    elif isinstance(sample, list) and isinstance(ours, list):
        assert len(sample) == len(ours), where
        for a, b in zip(sample, ours):
            same_json(a, b, where)
    elif isinstance(sample, float):
        # The library sums singles as singles.
        assert isinstance(ours, float) and abs(sample - ours) <= 1e-6 * max(1, abs(sample)), (where, sample, ours)
    else:
        assert sample == ours and type(sample) is type(ours), (where, sample, ours)


def metadata(path):
    found = {key.decode(): json.loads(value) for key, value in (pq.read_schema(path).metadata or {}).items()}
    # Who wrote it.
    found.get("huggingface", {}).pop("fingerprint", None)
    found.get("pandas", {}).pop("creator", None)
    return found


def compare_tables(sample, ours):
    a, b = pq.read_table(sample), pq.read_table(ours)
    assert a.schema.equals(b.schema, check_metadata=False), f"{ours}:\n{a.schema}\n{b.schema}"
    assert metadata(sample) == metadata(ours), (metadata(sample), metadata(ours))
    columns = [name for name in a.schema.names if not name.startswith("stats/")]
    for name in columns:
        for i, (x, y) in enumerate(zip(a[name].to_pylist(), b[name].to_pylist(), strict=True)):
            assert x == y, (ours, name, i, x, y)
    for name in set(a.schema.names) - set(columns):
        if name.rsplit("/")[-1] not in QUANTILES and not name.endswith("images.front/std"):
            same_json(a[name].to_pylist(), b[name].to_pylist(), name)


def pixels(column):
    pictures = [numpy.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in column]
    return numpy.stack(pictures).reshape(-1, 3) / 255


def flat(value):
    return [number for item in value for number in flat(item)] if hasattr(value, "__iter__") else [float(value)]


def numbers(frames, name, fps):
    if name.startswith("observation.images"):
        return pixels(frames[name])
    if name == "timestamp":
        return frames["frame_index"].to_numpy()[:, None] / fps
    return numpy.stack([numpy.atleast_1d(value) for value in frames[name]]).astype(float)


def check_stats(root, images):
    """Of all frames, and of each episode's. The frames of videos are those of the dataset in images."""
    table = pandas.concat(pq.read_table(path).to_pandas() for path in sorted((root / "data").rglob("*.parquet")))
    for name in set(images.schema.names) - set(table.columns):
        table[name] = images[name].to_pylist()
    fps = json.loads((root / "meta/info.json").read_text())["fps"]
    whole = json.loads((root / "meta/stats.json").read_text())
    found = [(table, {f"stats/{name}/{key}": whole[name][key] for name in whole for key in whole[name]})]
    for path in (root / "meta/episodes").rglob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            found.append((table[table.episode_index == row["episode_index"]], row))
    for frames, stats in found:
        for name in whole:
            values = numbers(frames, name, fps)
            expectations = {key: numpy.quantile(values, quantile, axis=0) for key, quantile in QUANTILES.items()}
            for key, expected in (expectations | {"mean": values.mean(0), "std": values.std(0)}).items():
                of = stats[f"stats/{name}/{key}"]
                numpy.testing.assert_allclose(flat(of), expected, atol=1e-12, err_msg=f"{name} {key}")


def main():
    sample, ours = map(pathlib.Path, sys.argv[1:3])
    assert files(sample) == files(ours), files(sample) ^ files(ours)
    for name in ["meta/info.json", "meta/stats.json"]:
        same_json(json.loads((sample / name).read_text()), json.loads((ours / name).read_text()), name)
    for name in sorted(files(sample)):
        if name.endswith(".parquet"):
            compare_tables(sample / name, ours / name)
    tasks = pandas.read_parquet(ours / "meta/tasks.parquet")
    assert list(tasks.index) == ["drive", "turn"] and tasks.loc["turn"].task_index == 1
    check_stats(ours, pq.read_table(sample.parent / "image/data/chunk-000/file-000.parquet"))
    print("the same")


main()
