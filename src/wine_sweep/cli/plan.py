"""The commands ``plan`` and ``schema``. Imports neither MLflow nor Optuna, but for ``plan --fit``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from wine_sweep.cli.exits import print_json
from wine_sweep.cli.startup import let_import_from
from wine_sweep.config import FAMILY, DataConfig, ExecutionConfig, RegistryConfig, SearchConfig, SweepConfig, read_config
from wine_sweep.data.dataset import short_name
from wine_sweep.data.remarks import remarks
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.evaluation.row_losses import row_loss_of
from wine_sweep.execution import count_workers
from wine_sweep.messages import format_duration, show_bytes
from wine_sweep.progress.display import plain_table, stdout, styled
from wine_sweep.report.trials import describe_params
from wine_sweep.search.grid import grid_points
from wine_sweep.search.methods import count_trials
from wine_sweep.search.searcher import describe_reproducibility
from wine_sweep.search.space import Dimension, describe
from wine_sweep.selection import Objective, rule
from wine_sweep.sweep.metadata import experiment_name
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.prepare import prepare
from wine_sweep.trial import Task

FIRST = 3


def plan_command(
    configs: Sequence[Path],
    *,
    overrides: Sequence[str],
    trusted: Sequence[str],
    experiment: str | None,
    as_json: bool,
    fits: bool = False,
) -> None:
    """Check every config, then show what each would do; the problems of all of them are reported together.

    Args:
        configs: The files.
        overrides: Changes, each ``key.path=value``.
        trusted: What the person at the keyboard trusts.
        experiment: The MLflow experiment, in place of the configs'.
        as_json: Whether to print one JSON document.
        fits: Whether a model of each structure is fitted on a few rows, saved and loaded back; MLflow is imported for that.

    Raises:
        ConfigError: With the problems of all configs.
    """
    problems: list[Problem] = []
    plans: list[dict[str, Any]] = []
    for path in configs:
        try:
            draft = read_config(path, overrides)
            let_import_from(draft.folder, trusted)
            prepared = prepare(draft, trusted=trusted)
            fitted = _rehearse(prepared) if fits else None
        except ConfigError as error:
            problems += error.problems
        else:
            plans.append({**_describe(path, prepared, experiment), **({} if fitted is None else {"fitted": fitted})})
    if problems:
        raise ConfigError(problems)
    if as_json:
        print_json(plans)
        return
    console = stdout()
    for index, described in enumerate(plans):
        if index:
            console.print()
        console.print(styled((described["name"], "bold"), "  ", (described["file"], "dim")))
        table = plain_table(["", ""])
        table.show_header = False
        for name, text in _lines(described):
            table.add_row(name, text)
        console.print(table)


def _rehearse(prepared: SweepPlan) -> int:
    from wine_sweep.sweep.rehearsal import rehearse

    return rehearse(prepared)


def _describe_fitted(count: int) -> str:
    """Describe what `plan --fit` did."""
    if not count:
        return "nothing: what makes the models is code that only trials run"
    models = "a model was" if count == 1 else f"{count} models of different structure were"
    return f"{models} fitted on a few rows, saved and loaded back"


def _describe(path: Path, prepared: SweepPlan, experiment: str | None) -> dict[str, Any]:
    config = prepared.config
    registry = config.registry
    search, space, objective, material = config.search, prepared.space, prepared.objective, prepared.material
    first = islice(grid_points(search, space), FIRST) if search.method.is_exhaustive else search.initial[:FIRST]
    return {
        "file": str(path),
        "name": prepared.name,
        "experiment": experiment_name(prepared, experiment),
        "method": str(search.method),
        "method_reason": prepared.method_reason,
        "trials": count_trials(search, space),
        "timeout": config.search.timeout,
        "workers": count_workers(config.execution),
        "cluster": config.execution.address,
        "limits_of_a_trial": _limits(config.execution),
        "fits": _fits(prepared),
        prepared.kind: prepared.subject,
        "parameters": {each.key: _parameter(each) for each in space.dimensions},
        "constraints": list(search.constraints),
        "from": search.from_,
        "pruning": _pruning(prepared),
        "stops": _stops(search, objective, config.execution),
        "repeats": describe_reproducibility(
            search, workers=count_workers(config.execution), goals=objective.metrics, limits=objective.limits
        ),
        "first_trials": [dict(point) for point in first],
        "data": _data(config.data, material, prepared.columns()) if config.data and material else None,
        "evaluation": prepared.objective.evaluation,
        "folds": None if config.evaluation.cv.count is not None or material is None else len(material.folds),
        "metrics": list(prepared.measured),
        "objective": objective.describe(),
        "limits": list(objective.limits),
        "selection": rule(objective),
        "promotion": _promotion(registry, prepared) if registry else None,
    }


def _promotion(registry: RegistryConfig, prepared: SweepPlan) -> dict[str, Any]:
    gate = prepared.gate
    return {
        "model": registry.name,
        "stage": registry.stage.value,
        "alias": registry.stage.alias,
        "gate": {**gate.model_dump(mode="json"), "metric": _compared_by(prepared)} if gate is not None else None,
    }


def _compared_by(prepared: SweepPlan) -> str:
    """Name the metric that models are compared by: the one that decides, or what stands in for it."""
    task = prepared.material.dataset.task if prepared.material is not None else Task.REGRESSION
    name = prepared.judging_metric
    metric = prepared.find_metric(name)
    is_measured = metric is not None and metric.task is task
    return name if is_measured else row_loss_of(name, task, probabilities=True).value


def _describe_gate(gate: dict[str, Any] | None) -> str:
    """Describe what the winner must show to be promoted."""
    if gate is None:
        return "none: whatever wins is promoted"
    by = f" by more than {gate['min_improvement']:g}" if gate["min_improvement"] else ""
    slices = f"; and no worse in any slice of {', '.join(gate['slices'])}" if gate["slices"] else ""
    return (
        f"better than what is there in {gate['metric']}{by}, with a confidence of {gate['confidence']:.4g}, on new rows{slices}"
    )


def _lines_of_data(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    test = f"{data['test_rows']:,} test rows" + (f" of {data['test_source']}" if data["test_source"] else "")
    yield "data", f"{data['source']}, target {data['target']}: {data['train_rows']:,} rows to learn from, {test}"
    if data["groups"]:
        yield "  groups", f"rows with the same {data['groups']} stay on one side of every split"
    if data["weights"]:
        yield "  weights", f"rows count by {data['weights']}, in fitting and in measuring"
    for kind, names in data["columns"].items():
        yield "  columns", f"{kind}: {', '.join(names)}"
    if data["time"]:
        yield "  time", f"rows are in the order of {data['time']}; the first test row is of {data['test_from']}"
    for text in data["remarks"]:
        yield "  look at", text


def _fits(prepared: SweepPlan) -> int | None:
    """Count the fits, the winner's own among them; with a pruner there will be fewer."""
    count = count_trials(prepared.config.search, prepared.space)
    return None if count is None else count * prepared.fits.trial + prepared.fits.winner


def _data(config: DataConfig, material: TrainingData, columns: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    test = material.dataset.test_table
    return {
        "source": material.dataset.name,
        "target": material.dataset.target.name,
        "rows": len(material.dataset.target),
        "train_rows": len(material.split.train),
        "test_rows": len(material.split.test),
        "groups": None if material.dataset.group_column is None else str(material.dataset.group_column.name),
        "weights": config.weights,
        "columns": {kind: list(names) for kind, names in columns.items()},
        "time": config.time,
        "test_from": material.test_from,
        "test_source": None if test is None else short_name(test.source),
        "remarks": [*material.overlaps, *remarks(material.dataset, config)],
    }


def _parameter(dimension: Dimension) -> str:
    conditions = [
        f"{name} is {' or '.join(map(str, values))}"
        for name, values in dimension.when.items()
        if not (name == FAMILY and dimension.family is not None)
    ]
    return describe(dimension.spec) + (f", when {' and '.join(conditions)}" if conditions else "")


def _pruning(prepared: SweepPlan) -> str | None:
    pruner, budget = prepared.config.search.pruner, prepared.config.search.budget
    if pruner is None:
        return None
    if not prepared.steps:
        steps = f"at each step that the {prepared.kind} reports"
    elif budget is None:
        steps = f"after each of {prepared.steps} folds"
    elif budget.parameter is not None:
        steps = f"at {budget.parameter} {', '.join(f'{value:g}' for value in budget.steps())}"
    else:
        steps = f"at {', '.join(f'{value:.3g}' for value in budget.steps())} of the rows"
    first = f", by {prepared.objective.metric} alone" if prepared.objective.others else ""
    return f"{pruner.type.value}, {steps}{first}"


def _limits(execution: ExecutionConfig) -> list[str]:
    limits = [f"takes longer than {format_duration(execution.trial_timeout)}"] if execution.trial_timeout is not None else []
    return limits + ([f"uses more than {show_bytes(execution.memory_limit)}"] if execution.memory_limit is not None else [])


def _stops(search: SearchConfig, objective: Objective, execution: ExecutionConfig) -> list[str]:
    stops = [f"{objective.metric} reaches {search.target:g}"] if search.target is not None else []
    stops += [f"{search.patience} trials in a row are no better"] if search.patience is not None else []
    return stops + ([f"{execution.max_failures} trials have failed"] if execution.max_failures is not None else [])


def _lines(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    data = plan["data"]
    trials = f"{plan['trials']:,}" if plan["trials"] is not None else "until the timeout"
    limit = f", at most {plan['timeout']:g} s" if plan["timeout"] else ""
    count = plan["workers"]
    workers = f"{count} worker{'s' * (count > 1)}" if count is not None else f"the workers of {plan['cluster']}"
    yield "trials", f"{trials} by {plan['method']}{limit}, on {workers}"
    if plan["limits_of_a_trial"]:
        yield "", f"a trial is ended when it {' or '.join(plan['limits_of_a_trial'])}"
    if plan["method_reason"]:
        yield "", f"auto picked {plan['method']}: {plan['method_reason']}"
    kind = next(kind for kind in ("estimator", "function", "command") if kind in plan)
    yield kind, plan[kind]
    for name, text in plan["parameters"].items():
        yield f"  {name}", text
    for text in plan["constraints"]:
        yield "  constraint", text
    for index, point in enumerate(plan["first_trials"]):
        yield f"  trial {index:04d}", describe_params(point)
    if data is not None:
        yield from _lines_of_data(data)
    if "fitted" in plan:
        yield "fitted", _describe_fitted(plan["fitted"])
    over = f" over {plan['evaluation']}" if plan["evaluation"] else ""
    count = f", {plan['folds']:,} in all" if plan["folds"] else ""
    yield "measured", ", ".join(plan["metrics"]) + over + count
    yield "objective", plan["objective"]
    for text in plan["limits"]:
        yield "  limit", text
    yield "winner", plan["selection"]
    if plan["from"]:
        yield "learns from", f"the finished trials of {plan['from']}, looked up when it runs"
    if plan["pruning"]:
        yield "prunes", plan["pruning"]
    if plan["stops"]:
        yield "stops", f"before that when {', or '.join(plan['stops'])}"
    yield "repeats", plan["repeats"]
    yield "experiment", plan["experiment"]
    promotion = plan["promotion"]
    yield (
        "promotion",
        f"{promotion['model']} to {promotion['stage']}, alias {promotion['alias']}"
        if promotion
        else "none: the config has no registry",
    )
    if promotion:
        yield "  gate", _describe_gate(promotion["gate"])


def schema_command() -> None:
    """Print the config's JSON Schema (draft 2020-12)."""
    schema = SweepConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    print_json(schema)
