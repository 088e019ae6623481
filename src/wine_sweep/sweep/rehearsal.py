"""Before a sweep: a model of each structure is fitted on a few rows, saved as the winner will be, and loaded back."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Callable
from contextlib import suppress

from wine_sweep.errors import ConfigError, ModelError, Problem, TrackingError
from wine_sweep.evaluation.capture import foreign_output_hidden
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.structures import FewRowsModel


class Rehearsal:
    """Is held by the thread that runs the trials, before the first; whoever opens the store waits for it, and then writes.

    One thread at a time prints and is printed for: libraries that are asked to be silent change the process's streams.

    Args:
        prepared: The checked config and its data.
        stop: Whether somebody wants to stop.
    """

    def __init__(self, prepared: SweepPlan, stop: Callable[[], bool]) -> None:
        self._prepared = prepared
        self._stop = stop
        self._over = threading.Event()
        self._error: BaseException | None = None

    def hold(self) -> None:
        """Do as `rehearse` does, and raise as it does."""
        try:
            rehearse(self._prepared, self._stop)
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._over.set()

    def abandon(self) -> None:
        """Have nobody wait any more: it is over, or is not held."""
        if not self._over.is_set():
            self._error = TrackingError("the sweep ended before its first trial")
            self._over.set()

    def wait(self) -> None:
        """Wait until it is over.

        Raises:
            BaseException: What ended it.
        """
        self._over.wait()
        if self._error is not None:
            raise self._error


def rehearse(prepared: SweepPlan, stop: Callable[[], bool] = lambda: False) -> int:
    """Fit, save and load back a model of each structure that a sweep may try; no store is touched.

    Args:
        prepared: The checked config and its data.
        stop: Whether somebody wants to stop; what is left is not looked at then.

    Returns:
        How many there are; 0 where it is a function or a command that makes models.

    Raises:
        ConfigError: With what cannot be fitted, saved or loaded, each at the key that decides for it.
    """
    with suppress(ImportError):  # MLflow imports it in another thread, and scikit-learn would use what is there of it
        importlib.import_module("polars")
    problems: dict[str, Problem] = {}
    count = 0
    with foreign_output_hidden():  # of few rows libraries say what does not hold of all
        for found in itertools.takewhile(lambda _sample: not stop(), prepared.samples()):
            count += 1
            problem = found if isinstance(found, Problem) else _refusal(found, prepared)
            if problem is not None:
                problems.setdefault(problem.message, problem)  # what holds of several structures is said of the first
    if problems:
        raise ConfigError(prepared.draft.document.locate([*problems.values()]))
    return count


def _refusal(sample: FewRowsModel, prepared: SweepPlan) -> Problem | None:
    """Describe why a model could not be kept at the end of the sweep; None where it can."""
    from wine_sweep.tracking.models import ModelToLog, check_can_be_kept

    try:
        to_log = ModelToLog(sample.model, sample.features, prepared.trusted_packages)
        check_can_be_kept(to_log, sample.features, sample.predictions)
    except ModelError as error:
        return Problem(f"a model of it, fitted on a few rows, could not be kept: {error}", sample.structure.path)
    return None
