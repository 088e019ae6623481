"""``wine-sweep plan``. Imports neither MLflow nor Optuna."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.text import Text

from wine_sweep.cli.console import plain_table, stdout
from wine_sweep.cli.trust import let_import_from
from wine_sweep.config import Method, read_config
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.execution import count_workers
from wine_sweep.report.leaderboard import params_in_words
from wine_sweep.runner.header import estimator_name, experiment_name
from wine_sweep.runner.preflight import Prepared, prepare
from wine_sweep.search.grid import grid_points
from wine_sweep.search.initial import describe
from wine_sweep.search.methods import count_trials
from wine_sweep.search.space import Space

FIRST = 3


def plan_command(
    configs: Sequence[Path], *, overrides: Sequence[str], trusted: Sequence[str], experiment: str | None, as_json: bool
) -> None:
    """Check every config, then show what each would do; the problems of all of them are reported together.

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
        except ConfigError as error:
            problems += error.problems
        else:
            plans.append(_describe(path, prepared, experiment))
    if problems:
        raise ConfigError(problems)
    if as_json:
        print(json.dumps(plans, indent=2, ensure_ascii=False))
        return
    console = stdout()
    for index, described in enumerate(plans):
        if index:
            console.print()
        console.print(f"[bold]{escape(described['name'])}[/bold]  [dim]{escape(described['file'])}[/dim]")
        table = plain_table(["", ""])
        table.show_header = False
        for name, text in _lines(described):
            table.add_row(Text(name), Text(text))
        console.print(table)


def _describe(path: Path, prepared: Prepared, experiment: str | None) -> dict[str, Any]:
    config, material = prepared.config, prepared.material
    registry = config.registry
    first = islice(grid_points(config.search), FIRST) if config.search.method is Method.GRID else config.search.initial[:FIRST]
    return {
        "file": str(path),
        "name": prepared.name,
        "experiment": experiment_name(prepared, experiment),
        "method": config.search.method.value,
        "trials": count_trials(config.search),
        "timeout": config.search.timeout,
        "workers": count_workers(config.execution),
        "fits": _fits(prepared),
        "estimator": estimator_name(prepared),
        "parameters": {name: describe(spec) for name, spec in Space.of(config.search).parameters.items()},
        "first_trials": [dict(point) for point in first],
        "data": {
            "source": material.dataset.name,
            "target": material.dataset.target.name,
            "rows": len(material.dataset.target),
            "train_rows": len(material.split.train),
            "test_rows": len(material.split.test),
            "groups": config.data.groups,
            "weights": config.data.weights,
        },
        "evaluation": prepared.objective.evaluation,
        "metrics": [metric.name for metric in prepared.metrics],
        "objective": f"{prepared.objective.direction.value} {prepared.objective.metric}",
        "promotion": {"model": registry.name, "stage": registry.stage.value, "alias": registry.stage.alias} if registry else None,
    }


def _fits(prepared: Prepared) -> int | None:
    count = count_trials(prepared.config.search)
    return None if count is None else count * len(prepared.material.folds) + 1


def _lines(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    data = plan["data"]
    trials = f"{plan['trials']:,}" if plan["trials"] is not None else "until the timeout"
    limit = f", at most {plan['timeout']:g} s" if plan["timeout"] else ""
    yield "trials", f"{trials} by {plan['method']}{limit}, on {plan['workers']} worker{'s' * (plan['workers'] > 1)}"
    yield "estimator", plan["estimator"]
    for name, text in plan["parameters"].items():
        yield f"  {name}", text
    for index, point in enumerate(plan["first_trials"]):
        yield f"  trial {index:04d}", params_in_words(point)
    yield (
        "data",
        f"{data['source']}, target {data['target']}: {data['train_rows']:,} rows to learn from, {data['test_rows']:,} test rows",
    )
    if data["groups"]:
        yield "  groups", f"rows with the same {data['groups']} stay on one side of every split"
    if data["weights"]:
        yield "  weights", f"rows count by {data['weights']}, in fitting and in measuring"
    yield "measured", f"{', '.join(plan['metrics'])} over {plan['evaluation']}"
    yield "objective", plan["objective"]
    yield "experiment", plan["experiment"]
    promotion = plan["promotion"]
    yield (
        "promotion",
        f"{promotion['model']} to {promotion['stage']}, alias {promotion['alias']}"
        if promotion
        else "none: the config has no registry",
    )
