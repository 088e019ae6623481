"""A W&B sweep as a config of ours, and what became of each of its keys. Pure: nothing is read, written or run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from wine_sweep.wandb.command import convert_command
from wine_sweep.wandb.document import KEYS, UNUSED, Strategy, WandbGoal, WandbMetric, WandbSweep
from wine_sweep.wandb.notes import Note, NoteKind, approximated, carried, left_out
from wine_sweep.wandb.parameters import convert_leaves, leaves, notes_on_groups
from wine_sweep.wandb.stopping import convert_stopping
from wine_sweep.wording import did_you_mean

TRIALS = 100
"""As many trials where W&B would go on until somebody stops it."""

METRIC = "loss"
"""Stands in for a metric where the file names none."""

_METHODS = {Strategy.GRID: "grid", Strategy.RANDOM: "random", Strategy.BAYES: "tpe", Strategy.CUSTOM: "random"}


@dataclass(frozen=True)
class Translation:
    """What a W&B sweep is as a config of ours.

    Args:
        tree: The config as plain values, its sections in the order of the documentation.
        notes: What became of the keys; what the program itself has to do differently comes first.
        description: What W&B's file says that the sweep is for; empty where it says nothing.
    """

    tree: dict[str, Any]
    notes: tuple[Note, ...]
    description: str = ""


def translate(sweep: WandbSweep, *, folder: str | None = None) -> Translation:
    """Say a W&B sweep in our terms.

    Args:
        sweep: The sweep.
        folder: Where its command runs, relative to the config; None for the config's own folder.
    """
    found = leaves(sweep.parameters)
    names = [leaf.name for leaf in found]
    values = [value for leaf in found for value in leaf.values]
    words, about_command = convert_command(sweep.command, sweep.program, names, values)
    parameters, about_parameters = convert_leaves(found, in_grid=sweep.method is Strategy.GRID)
    search, about_search = _search(sweep, parameters)
    objective, about_metric = _objective(sweep.objectives)
    tree = {
        **({"name": sweep.name} if sweep.name is not None else {}),
        **({"experiment": sweep.project} if sweep.project is not None else {}),
        "model": {"command": words, **({"folder": folder} if folder is not None else {})},
        "search": search,
        "objective": objective,
        "execution": {"workers": 1},
    }
    about_top = list(_about_top(sweep))
    groups = list(notes_on_groups(sweep.parameters))
    notes = (*_about_program(sweep), *about_top, *about_command, *about_metric, *about_search, *groups, *about_parameters)
    return Translation(tree, notes, sweep.description or "")


def _about_program(sweep: WandbSweep) -> list[Note]:
    """Say what no config can carry over, since the program itself has to change."""
    metric = sweep.objectives[0].name if sweep.objectives else METRIC
    how = f'log it to MLflow (mlflow.log_metric("{metric}", …)), or write it as JSON to the file $WINE_SWEEP_METRICS'
    words = "the program has its parameters from its arguments, or as JSON from $WINE_SWEEP_PARAMS"
    quiet = "it would still begin a run at W&B for each trial; WANDB_MODE=disabled keeps it from that"
    alone = "W&B's agents run one trial at a time, and so does this config; more workers for more at once"
    return [
        left_out("wandb.log", f"what the program gives to wandb.log is not seen here: {how}"),
        left_out("wandb.config", f"it is not filled here: {words}"),
        left_out("wandb.init", quiet),
        approximated("wandb agent", alone, ("execution", "workers")),
    ]


def _about_top(sweep: WandbSweep) -> Iterator[Note]:
    if sweep.project is not None:
        yield carried("project", "as experiment, which is MLflow's word for it")
    if sweep.description:
        yield carried("description", "as a comment at the top")
    for key in sweep.unknown:
        yield left_out(key, UNUSED.get(key) or f"unknown to W&B{did_you_mean(key, KEYS)}")


def _search(sweep: WandbSweep, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """Give the section `search`, but for what its parameters say of themselves."""
    search: dict[str, Any] = {"method": _METHODS[sweep.method]}
    notes = list(_about_method(sweep))
    if sweep.run_cap is not None:
        search["trials"] = sweep.run_cap
        notes.append(carried("run_cap", "as search.trials"))
    elif sweep.method is not Strategy.GRID:
        search["trials"] = TRIALS
        message = f"without it W&B goes on until it is stopped; here after {TRIALS} trials"
        notes.append(approximated("run_cap", message, ("search", "trials")))
    objectives = sweep.objectives
    if len(objectives) == 1 and objectives[0].target is not None:
        search["target"] = objectives[0].target
        notes.append(carried("metric.target", "as search.target"))
    search["parameters"] = parameters
    if sweep.early_terminate is not None:
        search["pruner"], about_pruner = convert_stopping(sweep.early_terminate)
        notes += about_pruner
    return search, notes


def _about_method(sweep: WandbSweep) -> Iterator[Note]:
    at = ("search", "method")
    if sweep.method is Strategy.BAYES:
        message = "as tpe; W&B's is a Gaussian process, which is gp here and needs torch (pip install 'wine-sweep[gp]')"
        yield approximated("method", message, at)
    elif sweep.method is Strategy.CUSTOM:
        yield left_out("method", "custom is a scheduler of the user's own; random stands in for it", at)


def _objective(metrics: Sequence[WandbMetric]) -> tuple[Any, list[Note]]:
    """Give the section `objective`: one metric, or a list of several."""
    at = ("objective",)
    if not metrics:
        message = f"the file names none, so that {METRIC} stands in for it; write here which metric decides, and which way"
        return {"metric": METRIC, "direction": WandbGoal.MINIMIZE.value}, [approximated("metric", message, at)]
    notes: list[Note] = []
    for index, metric in enumerate(metrics):
        key = "metric" if len(metrics) == 1 else f"metrics.{index}"
        notes += _about_metric(metric, key, alone=len(metrics) == 1)
    objectives = [{"metric": metric.name, "direction": metric.goal.value} for metric in metrics]
    return objectives[0] if len(objectives) == 1 else objectives, notes


def _about_metric(metric: WandbMetric, key: str, *, alone: bool) -> Iterator[Note]:
    best = "min" if metric.goal is WandbGoal.MINIMIZE else "max"
    message = f"the last value that a trial logs counts; W&B's search goes by the best of them, which is `of: {best}` here"
    yield Note(f"{key}.name", NoteKind.CARRIED, message, ("objective",))
    if "goal" not in metric.model_fields_set:
        yield carried(f"{key}.goal", "minimize, which is W&B's default")
    if metric.target is not None and not alone:
        yield left_out(f"{key}.target", "search.target goes with one objective")
    if metric.impute is not None:
        yield left_out(f"{key}.impute", "a trial that failed has no value; the search learns from the others")
    if metric.impute_while_running is not None:
        yield left_out(f"{key}.impute_while_running", "the search learns from trials once they have ended")
    for name in metric.unknown:
        yield left_out(f"{key}.{name}", f"unknown to W&B{did_you_mean(name, WandbMetric.model_fields)}")
