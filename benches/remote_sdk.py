#!/usr/bin/env python3
"""What people write today to record over a network: the ML-Dash SDK, remote only.

    remote_sdk.py URL EXPERIMENT RATE_HZ ROWS     says `appended` when it has appended the last row
"""

import os
import sys
import time

from ml_dash import Experiment

JOINTS = 7


def main(url, name, rate_hz, rows):
    # The SDK itself prints to stdout.
    out, sys.stdout = sys.stdout, sys.stderr
    with Experiment(prefix=name, dash_url=url, dash_root=None).run as experiment:
        arm = experiment.tracks("robot/arm")
        start = time.monotonic()
        for row in range(rows):
            time.sleep(max(0.0, start + row / rate_hz - time.monotonic()))
            arm.append(q=[row * 0.001 + joint for joint in range(JOINTS)], _ts=row / rate_hz)
        print("appended", file=out, flush=True)
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    url, name, rate_hz, rows = sys.argv[1:]
    main(url, name, float(rate_hz), int(rows))
