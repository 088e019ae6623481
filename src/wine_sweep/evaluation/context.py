"""What a function that is swept is given beside its parameters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from wine_sweep.data import Fold
from wine_sweep.evaluation.estimators import part_of
from wine_sweep.evaluation.metrics import refusal_of_name, refusal_of_step
from wine_sweep.trial import Report


class StopTrial(BaseException):  # nothing went wrong
    """The pruner has said stop. No `Exception`, so that ``except Exception`` in a training loop lets it through."""


@dataclass(frozen=True)
class Rows:
    """Rows of the config's table.

    Args:
        features: Of shape (rows, features).
        target: The truth, of shape (rows,).
        weights: How much each row counts, of shape (rows,); None when all count the same.
    """

    features: pd.DataFrame
    target: np.ndarray
    weights: np.ndarray | None = None

    def part(self, numbers: np.ndarray) -> Rows:
        """Return the rows of these numbers, copied."""
        features = self.features.iloc[numbers].reset_index(drop=True)
        return Rows(features, self.target[numbers], part_of(self.weights, numbers))


@dataclass(frozen=True)
class Table:
    """The config's table without its test rows, and the folds of it.

    Args:
        rows: All of them.
        folds: Row numbers to fit on and to measure on.
    """

    rows: Rows
    folds: Sequence[Fold]

    def parts(self, fold: int) -> tuple[Rows, Rows]:
        """Return what to fit on and what to measure on."""
        return self.rows.part(self.folds[fold].fit), self.rows.part(self.folds[fold].measure)


class TrialContext:
    """One call of a function that is swept: what it may use, and what it can say.

    Args:
        trial: The trial's number.
        seed: For whatever the function draws: ``search.seed``, and one more for each repeat of `evaluation.seeds`.
        fold: Which fold, from 0; None where there are none, and when the winner is fitted on all rows.
        rows: What to fit on and what to measure on; None where the config has no `data`.
        folder: Where the files go that it logs.
        tell: Takes each report, and raises when the trial is to stop.
    """

    def __init__(
        self,
        *,
        trial: int,
        seed: int,
        fold: int | None,
        rows: tuple[Rows, Rows] | None,
        folder: Callable[[], Path],
        tell: Callable[[Report], object],
    ) -> None:
        self.trial = trial
        self.seed = seed
        self.fold = fold
        self._rows = rows
        self._folder = folder
        self._tell = tell
        self._last_step = -1

    @property
    def fit(self) -> Rows:
        """The rows to learn from.

        Raises:
            LookupError: The config has no `data`.
        """
        return self._part(0)

    @property
    def measure(self) -> Rows:
        """The rows to measure on; the test rows when the winner is fitted.

        Raises:
            LookupError: The config has no `data`.
        """
        return self._part(1)

    def report(self, step: int, **metrics: float) -> None:
        """Describe how training goes. With `search.pruner` the trial may end here; the function need not catch anything.

        Args:
            step: Counts up from 0 or more: a round, an epoch.
            metrics: Their values at this step.

        Raises:
            ValueError: The step is no whole number above the last one, or a metric is no number or has no possible name.
        """
        number = int(step) if isinstance(step, np.integer) else step
        if (refused := refusal_of_step(number)) is not None:
            raise ValueError(f"context.report: {refused}")
        if number <= self._last_step:
            raise ValueError(f"context.report: a step is above the last one, {self._last_step}; got {number}")
        self._last_step = number
        self._tell(Report(number, numbers_of(metrics, "context.report")))

    def log_artifact(self, path: str | Path, name: str | None = None) -> None:
        """Keep a file or a folder with the trial's run, as it is now.

        Args:
            path: The file or folder.
            name: What it is called there; its own name by default. ``plots/roc.png`` puts it into a folder.

        Raises:
            FileNotFoundError: There is no such file or folder.
        """
        source = Path(path)
        if source.is_dir():
            shutil.copytree(source, self._place(name or source.name), dirs_exist_ok=True)
        else:
            shutil.copyfile(source, self._place(name or source.name))

    def log_text(self, text: str, name: str) -> None:
        """Keep text as a file of that name with the trial's run."""
        self._place(name).write_text(text, encoding="utf-8")

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a figure with the trial's run: Matplotlib's by its ``savefig``, Plotly's as HTML or, named so, as an image.

        Args:
            figure: The figure.
            name: The file's name, whose ending says the format: ``roc.png``, ``roc.html``.

        Raises:
            TypeError: It is no figure that can be written.
        """
        place = self._place(name)
        if hasattr(figure, "savefig"):
            figure.savefig(place)
        elif hasattr(figure, "write_html"):
            figure.write_html(place) if place.suffix == ".html" else figure.write_image(place)
        else:
            raise TypeError(f"{type(figure).__name__} is no figure of Matplotlib's or Plotly's")

    def _part(self, index: int) -> Rows:
        if self._rows is None:
            raise LookupError("the config has no `data`, so there are no rows here")
        return self._rows[index]

    def _place(self, name: str) -> Path:
        """Return the path for a file, its folders made.

        Raises:
            ValueError: The name leads out of the trial's own folder.
        """
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts or not PurePath(name).name:
            raise ValueError(f"an artifact's name is a path within the run's artifacts; got {name!r}")
        place = self._folder() / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def numbers_of(metrics: Mapping[str, Any], where: str) -> dict[str, float]:
    """Turn metrics into floats.

    Raises:
        ValueError: One is no number, or has no possible name; `where` says who gave it.
    """
    found = {}
    for name, value in metrics.items():
        refused = refusal_of_name(str(name))
        if refused:
            raise ValueError(f"{where}: {refused}")
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{where}: the metric {name!r} is {type(value).__name__} {value!r:.60}; a number is needed"
            ) from error
    return found
