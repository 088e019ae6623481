"""Everything that can be known before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wine_sweep.config import ModelForm, ParsedConfig, known
from wine_sweep.evaluation.function import Source
from wine_sweep.execution import check_backend
from wine_sweep.targets.base import Findings, SweepPlan
from wine_sweep.targets.command import plan_command
from wine_sweep.targets.estimator import plan_estimator
from wine_sweep.targets.function import plan_function
from wine_sweep.targets.trust import ADDRESS, Trust, check_address


def prepare(draft: ParsedConfig, *, trusted: Sequence[str] = (), source: Source | None = None, frame: Any = None) -> SweepPlan:
    """Check everything about a sweep that can be checked without running it, and load its data.

    Args:
        draft: The config as read.
        trusted: Packages that estimators may come from beside the usual ones; files and folders with code of one's own; Dask
            schedulers' addresses.
        source: The function that is swept, where the config's `model` only stands for it.
        frame: The table, of pandas, polars, Arrow or the like, where the config's `data.source` only stands for it.

    Raises:
        ConfigError: With every problem found, each at its place; what only follows from another is left out.
    """
    found = Findings(draft, Trust(trusted), frame)
    found.look(lambda: check_backend(draft.known.execution))
    is_typed = draft.document.place(ADDRESS).source != draft.document.source
    found.look(lambda: check_address(draft.known.execution.address, trusted, is_typed=is_typed))
    form = known(lambda: draft.known.form, ModelForm.ESTIMATOR)
    if form is ModelForm.COMMAND:
        return plan_command(found)
    return plan_function(found, source) if form is ModelForm.FUNCTION else plan_estimator(found)
