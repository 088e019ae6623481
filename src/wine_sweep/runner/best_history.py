"""The parent's ``best_…`` on their way to MLflow: what several trials improved goes there in one call, a moment later."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from wine_sweep.tracking.writer import BackgroundWriter

if TYPE_CHECKING:  # it imports MLflow, which takes seconds that the first trials should not wait for
    from wine_sweep.tracking.sweep_runs import SweepRuns

WRITE_SECONDS = 2.0
"""How long an improvement waits for others: while a sweep of quick trials climbs, each would cost a fourth call a trial."""


class Improvement(NamedTuple):
    """A metric's best value so far: its name in MLflow, the value, when in seconds since the epoch, and the trial's number."""

    metric: str
    value: float
    at: float
    step: int


class BestHistory:
    """Collects improvements, and writes them every `WRITE_SECONDS` and when it is told to.

    What a killed process has not written is put back when the sweep is resumed; the child runs have it in any case.

    Args:
        writer: Writes to MLflow.
    """

    def __init__(self, writer: BackgroundWriter[SweepRuns]) -> None:
        self._writer = writer
        self._waiting: list[Improvement] = []
        self._lock = threading.Lock()
        writer.every(WRITE_SECONDS, self._write)

    def add(self, improvement: Improvement) -> None:
        """Take note of an improvement."""
        with self._lock:
            self._waiting.append(improvement)

    def flush(self) -> None:
        """Have what is left written after all that is queued."""
        self._writer.do(self._write)

    def _write(self, runs: SweepRuns) -> None:
        with self._lock:
            improvements = tuple(self._waiting)
        if improvements:
            runs.log_history(runs.run_id, improvements)
            with self._lock:  # only now: what an outage kept from being written is written the next time
                del self._waiting[: len(improvements)]
