"""What MLflow says of a sweep, read by MLflow's own client alone: nothing of wine_sweep is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

MODEL = "fault-model"
"""The registered model of every sweep here."""

TIMES = "fit_seconds"
"""The metric that says how long it took, and so differs from one sweep to the next."""

PARENT, KIND, TRIAL, PRUNED = "mlflow.parentRunId", "wine_sweep.kind", "wine_sweep.trial", "wine_sweep.pruned"
Measured = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Account:
    """A sweep as MLflow tells of it.

    Args:
        run_id: The parent run.
        status: Its status.
        results: Trials that have a result, by number: parameters and metrics, without times.
        run_ids: The runs that these results are in.
        winner: The number of the trial that the model version comes from; None when there is no version.
        running: How many runs of the whole store are RUNNING.
        twice: How many results are there more than once, by number or by parameters.
        versions: How many versions the registered model has.
        problems: What does not agree.
    """

    run_id: str
    status: str
    results: Mapping[int, Measured]
    run_ids: Mapping[int, str]
    winner: int | None
    running: int
    twice: int
    versions: int
    problems: list[str] = field(default_factory=list)


def all_runs(client: MlflowClient) -> list[Run]:
    """Read every run of a store, page by page."""
    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs(experiments, run_view_type=ViewType.ALL, max_results=500, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def sweeps(client: MlflowClient) -> list[Run]:
    """Read the parent runs, the newest first."""
    parents = [run for run in all_runs(client) if run.data.tags.get(KIND) == "sweep"]
    return sorted(parents, key=lambda run: -run.info.start_time)


def has_result(run: Run) -> bool:
    return run.info.status in ("FINISHED", "FAILED") or PRUNED in run.data.tags


def take_account(client: MlflowClient, run_id: str) -> Account:
    """Read a sweep, and note what does not agree within it."""
    runs = all_runs(client)
    children = [run for run in runs if run.data.tags.get(PARENT) == run_id]
    (parent,) = (run for run in runs if run.info.run_id == run_id)
    results = [run for run in children if has_result(run)]
    numbers = Counter(int(run.data.tags[TRIAL]) for run in results)
    params = Counter(_params(run) for run in results)
    twice = sum(count - 1 for count in numbers.values()) + sum(count - 1 for count in params.values())
    problems = [f"trial {number} has {count} results" for number, count in numbers.items() if count > 1]
    problems += [f"{dict(each)} has {count} results" for each, count in params.items() if count > 1]
    problems += [f"{run.info.run_name} has ended without an end" for run in results if not run.info.end_time]
    problems += _histories(client, results)
    run_ids = {int(run.data.tags[TRIAL]): run.info.run_id for run in results}
    winner, versions = _version(client, run_ids, problems)
    return Account(
        run_id=run_id,
        status=parent.info.status,
        results={int(run.data.tags[TRIAL]): (_params(run), _metrics(run)) for run in results},
        run_ids=run_ids,
        winner=winner,
        running=sum(run.info.status == "RUNNING" for run in runs),
        twice=twice,
        versions=versions,
        problems=problems,
    )


def _params(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(run.data.params.items()))


def _metrics(run: Run) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((name, value) for name, value in run.data.metrics.items() if name != TIMES))


def _histories(client: MlflowClient, results: list[Run]) -> list[str]:
    """Say where a result was written more than once: a metric that has a second value at the same step."""
    problems = []
    for run in results:
        if "rmse" in run.data.metrics:
            values = client.get_metric_history(run.info.run_id, "rmse")
            if len(values) != 1:
                problems.append(f"{run.info.run_name} has rmse {len(values)} times")
    return problems


def _version(client: MlflowClient, run_ids: Mapping[int, str], problems: list[str]) -> tuple[int | None, int]:
    """Find the model version, in its stage, with its alias, of a trial's run."""
    versions = client.search_model_versions(f"name = '{MODEL}'")
    if not versions:
        return None, 0
    version = versions[0]
    if version.current_stage != "Staging":
        problems.append(f"the version is in stage {version.current_stage}")
    if str(client.get_registered_model(MODEL).aliases.get("staging")) != str(version.version):
        problems.append("the alias is not on the version in the stage")
    of_run = [number for number, run_id in run_ids.items() if run_id == version.run_id]
    if not of_run:
        problems.append("the version comes from no trial of the sweep")
    return next(iter(of_run), None), len(versions)


def complaints(
    account: Account, reference: Account, *, expected: int, has_model: bool = True, status: str = "FINISHED"
) -> list[str]:
    """Say in what a finished sweep is not as it should be.

    Args:
        account: The sweep that was disturbed.
        reference: One with the same config that was not.
        expected: How many trials it has.
        has_model: Whether its winner is to be a model version, the only one; else there is to be none.
        status: What its parent run should be.
    """
    found = list(account.problems)
    lost = set(range(expected)) - set(account.results)
    if lost or len(account.results) != expected:
        found.append(f"{len(account.results)} trials in place of {expected}; lost: {sorted(lost)}")
    if account.running:
        found.append(f"{account.running} runs are RUNNING")
    if account.status != status:
        found.append(f"the sweep is {account.status}, not {status}")
    if account.versions != int(has_model) or (account.winner is None) == has_model:
        found.append(f"{account.versions} model versions")
    if account.winner != reference.winner:
        found.append(f"the winner is trial {account.winner}, undisturbed it is {reference.winner}")
    both = sorted(set(account.results) & set(reference.results))
    other = [number for number in both if account.results[number] != reference.results[number]]
    return found + [f"trial {each} is {account.results[each]}, undisturbed {reference.results[each]}" for each in other]
