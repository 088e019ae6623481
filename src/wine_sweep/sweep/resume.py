"""Resume a sweep: its stored config, its data, the trials it has, and the older sweep that it learns from."""

from __future__ import annotations

import logging
import math
import pathlib
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from wine_sweep.config import ParsedConfig, SweepConfig, dump_config, parse_config
from wine_sweep.config.validation import MOST_BYTES
from wine_sweep.config.yaml_io import MAX_VALUES, read_yaml
from wine_sweep.errors import ConfigError, ConfigPath, DataError, NotFoundError, OwnershipError, Problem
from wine_sweep.messages import show
from wine_sweep.search.methods import count_trials
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.sweep.loop import Past
from wine_sweep.sweep.metadata import planned_trials, runs_of, sweep_header
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.prepare import prepare
from wine_sweep.tracking import names
from wine_sweep.tracking.encoding import SweepHeader
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import BEAT_SECONDS, is_token
from wine_sweep.tracking.reader import RESULTS, Attempt, SweepReader, SweepRecord, latest_results
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.runs import SweepRuns
from wine_sweep.tracking.writer import BackgroundWriter
from wine_sweep.trial import FIT_SECONDS, Trial, TrialState

_logger = logging.getLogger(__name__)

MAY_CHANGE = (
    ("name",),
    ("experiment",),
    ("execution",),
    ("registry",),
    ("evaluation", "bootstrap"),
    ("data", "source"),
    ("data", "new"),
    ("data", "test"),
    ("data", "max_size"),
    ("model", "folder"),
    ("model", "function"),
    *(("search", key) for key in ("trials", "timeout", "target", "patience", "max_choices")),
)
"""Keys that do not change what a trial is, nor which trial is better; the data itself is held against its digest."""


@dataclass(frozen=True)
class StoredConfig:
    """The resolved config that a sweep was run with: its text, and where that stands."""

    text: str
    source: str
    name: str

    @classmethod
    def of(cls, reader: SweepReader, sweep: SweepRecord) -> StoredConfig:
        """Read it from MLflow.

        Raises:
            TrackingError: The store failed.
        """
        text = sweep.tags.get(names.CONFIG) or reader.file(sweep, names.RESOLVED_FILE)
        return cls(text, f"{names.RESOLVED_FILE} of {sweep.run_id}", sweep.name)

    def draft(self, overrides: Sequence[str] = ()) -> ParsedConfig:
        """Parse it, with changes from the command line. What was recorded before there were limits is under none.

        What is gone since reads as what comes closest to it: ``brute_force`` as the grid of the same points, `regret` as off.

        Raises:
            ConfigError: A change cannot be applied.
        """
        data, search = self._section("data"), self._section("search")
        changes = [f"data.max_size={MOST_BYTES}"] if data and "max_size" not in data else []
        changes += [f"search.max_choices={MAX_VALUES}"] if search and "max_choices" not in search else []
        if search.get("method") == "brute_force":
            changes += ["search.method=grid", "search.sampler={}", "search.initial=[]"]
        changes += ["search.regret=false"] if self.stopped_by_regret else []
        content, folder = self.text.encode(), pathlib.Path.cwd()
        return parse_config(content, source=self.source, folder=folder, default_name=self.name, overrides=[*changes, *overrides])

    @property
    def stopped_by_regret(self) -> bool:
        """Return whether it asks for what an older version stopped by, and this one does not."""
        return bool(self._section("search").get("regret"))

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self._sections.get(name) if isinstance(self._sections, dict) else None
        return section if isinstance(section, dict) else {}

    @cached_property
    def _sections(self) -> Any:
        return read_yaml(self.text.encode(), self.source).value


def prepare_recorded(reader: SweepReader, sweep: SweepRecord, draft: ParsedConfig, *, trusted: Sequence[str]) -> SweepPlan:
    """Prepare a config for going on with a sweep; its data must be that of the sweep.

    Raises:
        ConfigError: The config is wrong.
        DataError: The data has changed since the sweep.
        TrackingError: The store failed.
    """
    prepared = prepare(draft, trusted=trusted)
    if prepared.digest != sweep.tags.get(names.DATA):
        what = prepared.material.dataset.source if prepared.material is not None else prepared.subject
        changes = prepared.why_changed(*reader.table(sweep))
        raise DataError(f"{what} has changed since the sweep '{sweep.name}' ({changes}); run a new sweep on it")
    return prepared


def restored(prepared: SweepPlan, trial: Trial) -> Trial:
    """Return a trial that was stored with the exact values that the space has for its parameters.

    Raises:
        NotFoundError: They are no point of the space: somebody else has written them, and a parameter may name a file.
    """
    for params in (trial.params, prepared.space.from_text(trial.params)):
        exact = prepared.space.restore(params)
        if prepared.space.contains(exact):
            return replace(trial, params=exact)
    raise NotFoundError(f"the run {trial.run_id}: the parameters of trial {trial.number} are none that its sweep searches")


def is_point(prepared: SweepPlan, trial: Trial) -> bool:
    """Return whether a trial that was stored is one of a sweep's; one that is not is left out with a warning."""
    try:
        restored(prepared, trial)
    except NotFoundError as error:
        _logger.warning("left out: %s", error)
        return False
    return True


def changed_keys(recorded: StoredConfig, sweep: SweepRecord, prepared: SweepPlan) -> list[ConfigPath]:
    """Return which keys of a config differ from the recorded one; none of them may be such as make trials comparable.

    Raises:
        ConfigError: With a problem for every key that differs.
    """
    before = recorded.draft().config
    if before is None:
        raise ConfigError([Problem(f"the config of the sweep '{sweep.name}' cannot be read by this version of wine_sweep")])
    differences = list(_differences(_tree(before), _tree(prepared.config)))
    problems = [
        Problem(
            f"was {_shown(old)} when the sweep began, is {_shown(new)} now; a sweep goes on as it began, so run a new one", path
        )
        for path, old, new in differences
        if not any(path[: len(free)] == free for free in MAY_CHANGE)
    ]
    if not problems and prepared.space.fingerprint() != sweep.tags.get(names.SPACE):
        version = sweep.tags.get(names.VERSION)
        problems = [Problem(f"the space is another one than wine_sweep {version} made of the same config; run a new sweep")]
    if problems:
        raise ConfigError(prepared.draft.document.locate(problems))
    return [path for path, _, _ in differences]


def _tree(config: SweepConfig) -> dict[str, Any]:
    tree = config.model_dump(mode="json", by_alias=True)
    tree["search"]["method"] = str(config.search.method)  # a sampler's file may lie elsewhere: its content counts
    return tree


def _differences(before: Any, now: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield (path, before, now) for everything that differs, as deep as both are mappings."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from _differences(before.get(key), now.get(key), (*path, key))
    elif before != now or type(before) is not type(now):
        yield path, before, now


def _shown(value: Any) -> str:
    return str(value)[:120] if isinstance(value, list) else show(value)


_FROM: ConfigPath = ("search", "from")


@dataclass(frozen=True)
class Older:
    """What is taken over: from which sweep, and its finished trials by number."""

    run_id: str
    trials: Sequence[Trial]


def find_older(prepared: SweepPlan, reader: SweepReader) -> Older:
    """Read the trials of the sweep that `search.from` names.

    Raises:
        ConfigError: There is no such sweep, its space is another, or none of its trials has what the objective needs.
        TrackingError: The store failed.
    """
    reference = prepared.config.search.from_ or ""
    try:
        sweep = reader.find(reference)
    except NotFoundError as error:
        raise _wrong(prepared, str(error)) from error
    if sweep.tags.get(names.SPACE) != prepared.space.fingerprint():
        raise _wrong(prepared, f"the sweep '{sweep.name}' searched another space{_difference(prepared, reader, sweep)}")
    trials = [restored(prepared, each) for each in reader.trials(sweep) if is_point(prepared, each)]
    usable = [replace(each, violations={}) for each in trials if _is_usable(each, prepared.objective)]
    if not usable:
        needed = ", ".join(prepared.objective.metrics)
        raise _wrong(prepared, f"no finished trial of the sweep '{sweep.name}' has {needed}; there is nothing to learn from")
    return Older(sweep.run_id, usable)


def _is_usable(trial: Trial, objective: Objective) -> bool:
    wanted = [metric for metric in objective.metrics if metric != FIT_SECONDS]
    return trial.state is TrialState.FINISHED and all(metric in trial.scores for metric in wanted)


def _difference(prepared: SweepPlan, reader: SweepReader, sweep: SweepRecord) -> str:
    """Name the parameters in which an older sweep's space differs."""
    draft = StoredConfig.of(reader, sweep).draft()
    if draft.config is None:
        return ""
    before = {each.key: each for each in Space.of(draft.config.search, draft.config.models).dimensions}
    now = {each.key: each for each in prepared.space.dimensions}
    differing: Sequence[str] = [
        key for key in {**before, **now} if key not in before or key not in now or before[key].spec != now[key].spec
    ]
    return f": {', '.join(differing)} differ" if differing else ": its conditions or constraints differ"


def _wrong(prepared: SweepPlan, message: str) -> ConfigError:
    return ConfigError(prepared.draft.document.locate([Problem(message, _FROM)]))


@dataclass(frozen=True)
class Plan:
    """How a sweep could go on.

    Args:
        sweep: The sweep.
        prepared: Its config, with what may change and did, and its data.
        older: What it learned of an older sweep, by `search.from`.
        extends: Whether it is now to stop later than it was begun with, or earlier.
        results: How many trials have a result, of a sweep that has finished.
    """

    sweep: SweepRecord
    prepared: SweepPlan
    older: Sequence[Trial]
    extends: bool
    results: int = 0

    @property
    def has_more(self) -> bool:
        """Return whether a finished sweep has something left to do: more trials, or some whose runs have been deleted."""
        count = count_trials(self.prepared.config.search, self.prepared.space)
        return self.results < self.sweep.results or (self.extends and (count is None or count > self.results))


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

    prepared: SweepPlan
    runs: SweepRuns
    past: Past
    older: Sequence[Trial]
    journal: Journal


def plan_resume(
    reader: SweepReader, sweep: SweepRecord, recorded: StoredConfig, draft: ParsedConfig, *, trusted: Sequence[str]
) -> Plan:
    """Hold a sweep against its config and data as they are now; writes nothing.

    Args:
        reader: Reads the store.
        sweep: The sweep.
        recorded: The config that it was run with.
        draft: That with changes from the command line, or another one of the same space.
        trusted: Packages that estimators may come from, beside the usual ones.

    Raises:
        ConfigError: The config is wrong, or differs in what may not change.
        DataError: The data has changed.
        TrackingError: The store failed.
    """
    prepared = prepare_recorded(reader, sweep, draft, trusted=trusted)
    changed = changed_keys(recorded, sweep, prepared)
    if prepared.sampler_digest != sweep.tags.get(names.SAMPLER):
        file = prepared.config.search.method.file
        raise DataError(f"{file} has changed since the sweep '{sweep.name}'; run a new sweep with it")
    older: Sequence[Trial] = ()
    if names.FROM in sweep.tags:
        search = prepared.config.search.model_copy(update={"from_": sweep.tags[names.FROM]})
        prepared = replace(prepared, config=prepared.config.model_copy(update={"search": search}))
        older = find_older(prepared, reader).trials
    results = reader.recounted(sweep).results if sweep.status == "FINISHED" else 0
    plan = Plan(sweep, prepared, older, extends=any(path[0] == "search" for path in changed), results=results)
    if recorded.stopped_by_regret and (sweep.status != "FINISHED" or plan.has_more):
        _logger.warning(
            "`search.regret`, which the sweep began with, is gone: it stops by its trials, timeout, patience or target"
        )
    return plan


def resume(reader: SweepReader, plan: Plan, *, stop: Callable[[], bool] = lambda: False) -> Resumption:
    """Take a sweep over, write what its journal on this machine holds, and close what a dead process left RUNNING.

    Where that fails, the sweep is let go of again, KILLED.

    Args:
        reader: Reads the store.
        plan: How the sweep goes on.
        stop: Whether somebody wants to stop, so that an outage is not waited out.

    Raises:
        OwnershipError: Another process runs it.
        TrackingError: The store failed.
    """
    runs = runs_of(plan.prepared).take_over(reader.client, plan.sweep, _undescribed(plan))
    beating = BackgroundWriter(lambda: runs)  # to read ten thousand trials from a server takes longer than a silence may
    beating.every(BEAT_SECONDS, lambda runs: runs.beat())
    try:
        return _take_stock(reader, plan, runs, stop)
    except OwnershipError:
        runs.release()
        raise
    except BaseException:
        runs.give_back(at=time.time())
        raise
    finally:
        beating.close()


def _take_stock(reader: SweepReader, plan: Plan, runs: SweepRuns, stop: Callable[[], bool]) -> Resumption:
    """Bring MLflow and the journal together, and say what there is."""
    prepared = plan.prepared
    sweep = reader.find(plan.sweep.run_id)  # anew: another process may have had it since
    attempts = [each for each in reader.attempts(sweep) if is_point(prepared, each.trial)]
    journal = _journal_of(sweep, runs)
    results = {each.number: each for each in latest_results(attempts) if each.state in RESULTS}
    timeout = prepared.config.execution.tracking_timeout
    policy = RetryPolicy(timeout, stop=stop, before_attempt=runs.ensure_owner, before_retry=runs.check_owner, has_worked=True)
    written = policy.run(lambda: _from_journal(runs, journal, attempts, results))
    ended = {each.run_id for each in written.values()}
    left = [each for each in attempts if each.is_open and each.trial.run_id not in ended]
    at = last_seen(sweep, attempts)
    policy.run(lambda: close_left_open(runs, left, results, at=at))
    results = {number: replace(each, ended=at) if math.isnan(each.ended) else each for number, each in results.items()} | written
    runs.adopt(results.values())
    policy.run(lambda: runs.note_results(results))
    if plan.extends:
        policy.run(lambda: runs.set_tags(sweep.run_id, {names.TRIALS: planned_trials(prepared)}))
        policy.run(lambda: runs.write_file(names.RESOLVED_FILE, dump_config(prepared.config)))
    restored_results = {number: restored(prepared, each) for number, each in results.items()}
    return Resumption(prepared, runs, _past(reader, plan, restored_results, attempts), plan.older, journal)


def _journal_of(sweep: SweepRecord, runs: SweepRuns) -> Journal:
    """Return a sweep's journal; a new one where the tag that names it is none of ours, and that tag is then mended."""
    token = sweep.tags.get(names.JOURNAL, sweep.run_id)
    journal = Journal.of(token) if is_token(token) else None
    if journal is None or not journal.may_belong_to(sweep.run_id):
        named = "no journal" if journal is None else "the journal of another run"
        _logger.warning("the tag %s of the run %s names %s; the sweep goes on without one", names.JOURNAL, sweep.run_id, named)
        runs.set_tags(sweep.run_id, {names.JOURNAL: (new := uuid.uuid4().hex)})
        journal = Journal.of(new)
    journal.bind(sweep.run_id)
    return journal


def discard_journal(reader: SweepReader, sweep: SweepRecord) -> None:
    """Delete what this machine still keeps of a sweep that has been finished, as another machine does that took it over.

    Only what is known to be this sweep's, and only when each trial in it has a result in MLflow.

    Raises:
        TrackingError: The store failed.
    """
    token = sweep.tags.get(names.JOURNAL, "")
    journal = Journal.of(token) if is_token(token) else None
    if journal is None or not journal.belongs_to(sweep.run_id):
        return
    known = {each.number for each in latest_results(reader.attempts(sweep)) if each.state in RESULTS}
    if known.issuperset(trial.number for trial in journal.trials() if trial.state in RESULTS):
        journal.discard()


def _from_journal(
    runs: SweepRuns, journal: Journal, attempts: Sequence[Attempt], results: Mapping[int, Trial]
) -> dict[int, Trial]:
    """Write what ended without MLflow hearing of it, each trial under the run that was made for it, if there is one."""
    open_runs = {each.trial.number: each.trial for each in attempts if each.is_open and each.trial.state is not TrialState.KILLED}
    written: dict[int, Trial] = {}
    for trial in journal.trials():
        if trial.state not in RESULTS or (trial.number in results and trial.number not in open_runs):
            continue
        if trial.number in open_runs:
            runs.adopt([open_runs[trial.number]])
        else:
            runs.start_trial(trial, trial.started)
        runs.finish_trial(trial, journal.trial_dirs.folder(trial.number))
        written[trial.number] = replace(trial, run_id=runs.trial_run_ids[trial.number])
    return written


def _undescribed(plan: Plan) -> SweepHeader | None:
    """Return what stands on a parent run from the beginning, where the sweep stopped before all of it was written."""
    sweep = plan.sweep
    if names.CONFIG not in sweep.tags:
        return None
    header = sweep_header(plan.prepared, experiment=sweep.experiment, started=sweep.started, tags=sweep.tags)
    return replace(header, params={name: value for name, value in header.params.items() if name not in sweep.params})


def close_left_open(runs: SweepRuns, left: Sequence[Attempt], results: Mapping[int, Trial], *, at: float) -> None:
    """End the runs that a dead process left open: as what their trials came to, or as killed."""
    for each in left:
        kept = results.get(each.trial.number)
        has_result = kept is not None and kept.run_id == each.trial.run_id
        runs.close_left_open(each.trial.run_id or "", each.trial.state if has_result else TrialState.KILLED, at=at)


def last_seen(sweep: SweepRecord, attempts: Sequence[Attempt]) -> float:
    """Return the last moment at which anything is known to have happened in a sweep, in seconds since the epoch."""
    times = [time for each in attempts for time in (each.trial.started, each.trial.ended) if not math.isnan(time)]
    return max([sweep.started, *times])


def _past(reader: SweepReader, plan: Plan, trials: Mapping[int, Trial], attempts: Sequence[Attempt]) -> Past:
    prepared, sweep = plan.prepared, plan.sweep
    workers = re.fullmatch("[0-9]{1,6}", sweep.tags.get(names.WORKERS, ""))
    return Past(
        trials,
        seconds=_covered([(each.trial.started, each.trial.ended) for each in attempts]),
        workers=int(workers[0]) if workers is not None else None,
        best_steps={goal.metric: reader.steps(sweep, names.best_metric(goal.metric)) for goal in prepared.objective.goals},
    )


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the seconds that lie within one span or more; a span whose end is not known has no length."""
    seconds, until = 0.0, -math.inf
    for begin, end in sorted(span for span in spans if not math.isnan(span[0]) and not math.isnan(span[1])):
        seconds += max(end - max(begin, until), 0.0)
        until = max(until, end)
    return seconds
