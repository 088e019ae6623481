"""W&B's `early_terminate` as `search.pruner`."""

from __future__ import annotations

import math
from typing import Any

from wine_sweep.wandb.document import EarlyTermination
from wine_sweep.wandb.notes import Note, approximated, carried, left_out
from wine_sweep.wording import did_you_mean

_AT = ("search", "pruner")
_KEY = "early_terminate"
_DEFAULT_FACTOR = 3


def convert_stopping(stopping: EarlyTermination) -> tuple[dict[str, Any], list[Note]]:
    """Give `search.pruner`, and notes on what is not as W&B has it."""
    factor, notes = _factor(stopping)
    lowest = _lowest(stopping)
    pruner: dict[str, Any] = {"type": "hyperband", "min_resource": lowest}
    if stopping.max_iter is None:
        pruner["type"] = "successive_halving"
        message = "as successive_halving: without max_iter, W&B compares runs at min_iter times powers of eta, which is just that"
        notes.append(approximated(f"{_KEY}.type", message, _AT))
    else:
        pruner["max_resource"] = stopping.max_iter
        message = "Optuna's hyperband deals the trials out to brackets, some of which begin later; W&B has one bracket"
        notes.append(approximated(f"{_KEY}.type", message, _AT))
    pruner["reduction_factor"] = factor
    if stopping.s is not None:
        notes.append(_about_s(stopping, lowest))
    if stopping.strict is not None:
        message = "Optuna has one rule: of those at a rung, the best 1/reduction_factor go on"
        notes.append(left_out(f"{_KEY}.strict", message, _AT))
    known = EarlyTermination.model_fields
    notes += [left_out(f"{_KEY}.{key}", f"unknown to W&B{did_you_mean(key, known)}") for key in stopping.unknown]
    message = "counts the steps that the program reports: the step of mlflow.log_metric, or of its metrics file"
    return pruner, [carried(_KEY, message, _AT), *notes]


def _factor(stopping: EarlyTermination) -> tuple[int, list[Note]]:
    if stopping.eta is None:
        return _DEFAULT_FACTOR, []
    factor = max(round(stopping.eta), 2)
    if factor == stopping.eta:
        return factor, [carried(f"{_KEY}.eta", "as reduction_factor")]
    return factor, [approximated(f"{_KEY}.eta", f"as reduction_factor {factor}: Optuna takes whole numbers", _AT)]


def _lowest(stopping: EarlyTermination) -> int:
    """Give the first rung: `min_iter`, or `max_iter` divided by `eta` as often as `s` says, 1 at least."""
    if stopping.min_iter is not None:
        return stopping.min_iter
    assert stopping.max_iter is not None  # the file has been checked: one of the two, the second with `s`
    assert stopping.s is not None
    logarithm = math.log(stopping.max_iter) - int(stopping.s) * math.log(stopping.eta or _DEFAULT_FACTOR)
    return max(int(math.exp(logarithm) + 1e-9), 1) if logarithm > 0 else 1


def _about_s(stopping: EarlyTermination, lowest: int) -> Note:
    if stopping.min_iter is not None:
        return left_out(f"{_KEY}.s", "the number of rungs follows from min_resource, max_resource and reduction_factor", _AT)
    message = f"as min_resource {lowest}: max_iter divided by eta, {stopping.s:g} times"
    return approximated(f"{_KEY}.s", message, _AT)
