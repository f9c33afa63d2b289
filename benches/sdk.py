"""The SDK's half of benches/sdk.rs: does one task with the ML-Dash SDK, prints its wall and CPU seconds.

sdk.py append ROOT EXPERIMENT TRACK    rows from stdin, one JSON object a line, parsed beforehand
sdk.py read ROOT EXPERIMENT TRACK FORMAT [START END]
"""

import json
import os
import sys
import time

# What the SDK tells its user does not belong among the figures.
report = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

from ml_dash import Experiment  # noqa: E402


def main(task, root, name, topic, *rest):
    rows = [json.loads(line) for line in sys.stdin] if task == "append" else []
    wall, cpu = time.perf_counter(), time.process_time()
    with Experiment(prefix=name, dash_root=root).run as experiment:
        track = experiment.tracks(topic)
        if task == "append":
            for row in rows:
                track.append(_ts=row.pop("timestamp"), **row)
        else:
            file_format, *span = rest
            start, end = map(float, span) if span else (None, None)
            track.read(start_timestamp=start, end_timestamp=end, format=file_format)
    print(time.perf_counter() - wall, time.process_time() - cpu, file=report)


main(*sys.argv[1:])
# pyarrow's threads now and then abort a Python that ends in the usual way.
report.flush()
os._exit(0)
