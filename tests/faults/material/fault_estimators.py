"""An estimator that takes its time, notes when it began and ended, and misbehaves where it is told to.

It lies beside the suite's configs and is trusted by name, like any estimator of a user's own.
"""

from __future__ import annotations

import ctypes
import os
import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

NOTES = "FAULT_NOTES"
"""The environment variable with the path of the notes: a line for each fit that began, and one for each that ended."""

FEW_ROWS = 50
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


def hang() -> None:
    time.sleep(3600)


def hog() -> None:
    """Take memory up to 2 GiB, a quarter of a gibibyte a second: whoever limits it has to be there before the end."""
    blocks = []
    for _ in range(MOST_BLOCKS):
        blocks.append(bytearray(os.urandom(4096) * (BLOCK_BYTES // 4096)))
        time.sleep(1 / 16)
    raise RuntimeError(f"nobody stopped it at {len(blocks) * BLOCK_BYTES} bytes")


def segfault() -> None:
    ctypes.string_at(0)


def fail() -> None:
    raise ValueError("as it was told to")


DEEDS = {"work": lambda: None, "hang": hang, "hog": hog, "segfault": segfault, "fail": fail}


class Slow(RegressorMixin, BaseEstimator):
    """Predicts the mean plus something that its parameters decide; a fit takes half to one and a half times `pause` seconds.

    Args:
        shift: Added to every prediction.
        scale: How much a row's first feature counts.
        deed: What it does once it has slept: a key of `DEEDS`.
        pause: How long a fit takes on average, in seconds.
    """

    def __init__(self, shift: float = 0.0, scale: float = 0.0, deed: str = "work", pause: float = 0.1) -> None:
        self.shift = shift
        self.scale = scale
        self.deed = deed
        self.pause = pause

    def fit(self, X, y):  # noqa: N803  # scikit-learn's name
        if len(X) <= FEW_ROWS:  # the model of a few rows before the first trial, which no test counts
            return self._learn(X, y)
        who = (os.getpid(), self.shift, self.scale, self.deed)
        note("began", *who)
        time.sleep(self.pause * (0.5 + (self.shift * 7.3 + self.scale * 3.1) % 1))
        DEEDS[self.deed]()
        self._learn(X, y)
        note("ended", *who)
        return self

    def _learn(self, X, y):  # noqa: N803
        features = np.asarray(X)
        self.mean_, self.first_ = float(np.mean(y)), float(features[:, 0].mean())
        return self

    def predict(self, X):  # noqa: N803
        return self.mean_ + (self.shift - 0.37) + (self.scale - 0.2) * (np.asarray(X)[:, 0] - self.first_) / 10
