"""A training script that knows neither wine_sweep nor MLflow: it takes its time, notes when it began and ended, and misbehaves
where it is told to. It needs the standard library alone, and so starts fast.

    python fault_command.py --shift=0.1 --scale=0.3 --pause=0.1 --deed=work
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time

NOTES = "FAULT_NOTES"
"""The environment variable with the path of the notes: a line for each trial that began, and one for each that ended."""

MOST_BLOCKS = 128
BLOCK_BYTES = 16 * 2**20


def note(*words: object) -> None:
    """Add a line to the notes, in one write that no other process can get into."""
    line = " ".join(map(str, words)) + "\n"
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def orphan() -> None:
    """Start a process in the background, and leave it there."""
    subprocess.Popen(["sleep", "3600"])


def hang() -> None:
    orphan()
    time.sleep(3600)


def hog() -> None:
    """Take memory up to 2 GiB, a quarter of a gibibyte a second: whoever limits it has to be there before the end."""
    blocks = []
    for _ in range(MOST_BLOCKS):
        blocks.append(bytearray(os.urandom(4096) * (BLOCK_BYTES // 4096)))
        time.sleep(1 / 16)
    raise RuntimeError(f"nobody stopped it at {len(blocks) * BLOCK_BYTES} bytes")


def segfault() -> None:
    import ctypes

    ctypes.string_at(0)


def fail() -> None:
    raise ValueError("as it was told to")


DEEDS = {"work": lambda: None, "orphan": orphan, "hang": hang, "hog": hog, "segfault": segfault, "fail": fail}


def metrics_of(shift: float, scale: float) -> dict[str, float]:
    """Give a trial's metrics: no two points of a grid of tenths have the same rmse."""
    return {"rmse": math.hypot(0.6, shift - 0.37, 1.3 * (scale - 0.21)), "mae": 0.5 + abs(shift - 0.37) + abs(scale - 0.21)}


def work(shift: float, scale: float, deed: str, pause: float) -> None:
    """Take half to one and a half times `pause` seconds, and do the deed."""
    time.sleep(pause * (0.5 + (shift * 7.3 + scale * 3.1) % 1))
    DEEDS[deed]()


def options(words: list[str]) -> tuple[float, float, str, float]:
    """Read the command line: shift, scale, deed, pause."""
    given = {"scale": "0.0", "deed": "work", **dict(word.removeprefix("--").split("=", 1) for word in words)}
    return float(given["shift"]), float(given["scale"]), given["deed"], float(given["pause"])


def main() -> None:
    shift, scale, deed, pause = options(sys.argv[1:])
    who = (os.getpid(), shift, scale, deed)
    note("began", *who)
    work(shift, scale, deed, pause)
    with open(os.environ["WINE_SWEEP_METRICS"], "w", encoding="utf-8") as file:
        json.dump(metrics_of(shift, scale), file)
    note("ended", *who)


if __name__ == "__main__":
    main()
