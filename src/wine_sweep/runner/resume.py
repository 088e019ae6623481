"""Brings a sweep that stopped back into this process's hands: what it has behind it, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from wine_sweep.config import Draft, dump_config
from wine_sweep.runner.header import trials_param
from wine_sweep.runner.preflight import Prepared
from wine_sweep.runner.recorded import changed_keys, prepare_recorded
from wine_sweep.runner.trials import Past
from wine_sweep.runner.warm_start import find_older
from wine_sweep.search.methods import count_trials
from wine_sweep.tracking import names
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.reader import SweepReader, SweepRecord
from wine_sweep.tracking.sweep_runs import SweepRuns
from wine_sweep.trial import Trial, TrialState


@dataclass(frozen=True)
class Plan:
    """How a sweep could go on.

    Args:
        sweep: The sweep.
        prepared: Its config, with what may change and did, and its data.
        older: What it learned of an older sweep, by `search.from`.
        extends: Whether it is now to stop later than it was begun with, or earlier.
    """

    sweep: SweepRecord
    prepared: Prepared
    older: Sequence[Trial]
    extends: bool


@dataclass(frozen=True)
class Resumption:
    """A sweep that goes on.

    Args:
        prepared: Its config and data.
        runs: Its runs, in this process's hands.
        past: What it has behind it.
        older: What it learned of an older sweep.
        journal: Keeps its results until they are written.
    """

    prepared: Prepared
    runs: SweepRuns
    past: Past
    older: Sequence[Trial]
    journal: Journal


def plan_resume(reader: SweepReader, sweep: SweepRecord, draft: Draft, *, trusted: Sequence[str]) -> Plan:
    """Hold a sweep against its config and data as they are now; writes nothing.

    Args:
        reader: Reads the store.
        sweep: The sweep.
        draft: The recorded config with changes from the command line, or another one of the same space.
        trusted: Packages that estimators may come from, beside the usual ones.

    Raises:
        ConfigError: The config is wrong, or differs in what may not change.
        DataError: The data has changed.
        TrackingError: The store failed.
    """
    prepared = prepare_recorded(reader, sweep, draft, trusted=trusted)
    changed = changed_keys(reader, sweep, prepared)
    older: Sequence[Trial] = ()
    if names.FROM in sweep.tags:
        search = prepared.config.search.model_copy(update={"from_": sweep.tags[names.FROM]})
        prepared = replace(prepared, config=prepared.config.model_copy(update={"search": search}))
        older = find_older(prepared, reader).trials
    return Plan(sweep, prepared, older, extends=any(path[0] == "search" for path in changed))


def resume(reader: SweepReader, plan: Plan) -> Resumption:
    """Take a sweep over, write what its journal on this machine holds, and close what a dead process left RUNNING.

    Raises:
        OwnershipError: Another process runs it.
        TrackingError: The store failed.
    """
    sweep, prepared = plan.sweep, plan.prepared
    runs = SweepRuns.take_over(reader.client, sweep)
    attempts = reader.attempts(sweep)
    trials = {each.number: each for each in attempts if _has_result(each)}
    journal = Journal.of(sweep.tags.get(names.JOURNAL, sweep.run_id))
    unwritten = [each for each in journal.trials() if _has_result(each) and each.number not in trials]
    seen = max((time for each in attempts for time in (each.started, each.ended) if not math.isnan(time)), default=sweep.started)
    open_runs = {each.number: each for each in attempts if each.state is TrialState.RUNNING}
    for trial in unwritten:
        left = open_runs.pop(trial.number, None)
        if left is not None:
            runs.adopt([left])
        else:
            runs.start_trial(trial, trial.started)
        runs.finish_trial(trial)
        trials[trial.number] = replace(trial, run_id=runs.trial_run_ids[trial.number])
    for left in open_runs.values():
        runs.close_dead(left.run_id or "", at=seen)
    runs.adopt(trials.values())
    if plan.extends:
        count = count_trials(prepared.config.search, prepared.space)
        runs.set_tags(sweep.run_id, {names.TRIALS: trials_param(count)})
        runs.write_file(names.RESOLVED_FILE, dump_config(prepared.config))
    restored = {number: replace(each, params=prepared.space.restore(each.params)) for number, each in trials.items()}
    return Resumption(prepared, runs, _past(reader, plan, restored, attempts), plan.older, journal)


def _has_result(trial: Trial) -> bool:
    return trial.state in (TrialState.FINISHED, TrialState.FAILED, TrialState.PRUNED)


def _past(reader: SweepReader, plan: Plan, trials: Mapping[int, Trial], attempts: Sequence[Trial]) -> Past:
    prepared, sweep = plan.prepared, plan.sweep
    workers = sweep.tags.get(names.WORKERS, "")
    return Past(
        trials,
        seconds=_covered([(each.started, each.ended) for each in attempts]),
        workers=int(workers) if workers.isdigit() and prepared.config.execution.workers is None else None,
        best_steps={goal.metric: reader.steps(sweep, names.best_metric(goal.metric)) for goal in prepared.objective.goals},
    )


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Give the seconds that lie within one span or more; a span whose end is not known has no length."""
    seconds, until = 0.0, -math.inf
    for begin, end in sorted(span for span in spans if not math.isnan(span[0]) and not math.isnan(span[1])):
        seconds += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return seconds
