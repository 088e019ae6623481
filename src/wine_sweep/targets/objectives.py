"""Check the sections `evaluation`, `objective`, `selection`, `search` and `registry.gate` against model and table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from wine_sweep.config import (
    METHODS,
    Choices,
    Cost,
    CrossValidation,
    DataConfig,
    Direction,
    End,
    EvaluationConfig,
    Expression,
    HistoryReducer,
    Method,
    MetricConfig,
    NotKnown,
    ObjectiveConfig,
    PickConfig,
    RegistryConfig,
    SearchConfig,
    SelectionConfig,
    SelectRule,
    SweepConfig,
    known,
)
from wine_sweep.data import Dataset
from wine_sweep.data.dataset import find_roles, make_dataset, wrong_roles
from wine_sweep.data.splits import divide, load_rows
from wine_sweep.data.table import absolute
from wine_sweep.errors import Code, ConfigPath, Problem
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.metrics import (
    Metric,
    MetricError,
    default_metrics,
    look_up,
    metric_of,
    refusal_of_name,
    usual_direction,
)
from wine_sweep.evaluation.scorers import OwnFunction, freeze
from wine_sweep.gate.comparison import refusal
from wine_sweep.messages import one_of, shell_word, show
from wine_sweep.search.methods import check_space, settle_method
from wine_sweep.search.space import Dimension, Space, describe
from wine_sweep.selection import Goal, Objective, OneStandardError
from wine_sweep.selection.objective import SPREAD, ParameterOrder
from wine_sweep.targets.base import Findings, SweepPlan, present
from wine_sweep.targets.trust import Trust, how_to_trust
from wine_sweep.trial import FIT_SECONDS, MODEL_SIZE, DataRequirements, Task


def check_gate(registry: RegistryConfig | None, columns: Sequence[str], dataset: Callable[[], Dataset]) -> Iterator[Problem]:
    """Find slices that the table's rows cannot be cut into.

    Args:
        registry: The section `registry`, if there is one.
        columns: The table's columns.
        dataset: Gives the table, or raises `NotKnown`; then it is only looked at whether there are such columns.
    """
    gate = registry.gate if registry is not None else None
    for index, name in enumerate(gate.slices if gate is not None else ()):
        try:
            message = refusal(dataset(), name)
        except NotKnown:
            message = None if name in columns else f"there is no column '{name}' in the table; {one_of(name, columns, most=30)}"
        if message is not None:
            code: Code = "invalid" if name in columns else "unknown-column"
            yield Problem(message, ("registry", "gate", "slices", index), code=code)


class TableParts:
    """The table of a config, as far as it is right; what is wrong with it is noted.

    Args:
        found: Where that is noted.
        needs: Gives what the model needs of a table; it may look at the target.

    Attributes:
        rows: Gives the table as read, as do the others: or raises `NotKnown`, see `Findings.part`.
        dataset: Gives it taken apart into features and target.
        material: Gives it divided into test rows and folds.
    """

    def __init__(self, found: Findings, needs: Callable[[TableParts], DataRequirements]) -> None:
        config = found.draft.known
        self._config = config
        self._cv = known(lambda: config.evaluation.cv, CrossValidation(folds=2))
        self.rows = found.part(lambda: load_rows(present(config.data), found.draft.folder, self._cv, frame=found.frame))
        self._is_sound = found.look(lambda: self._check_columns(present(config.data)))
        self.dataset = found.part(lambda: self._make_dataset(needs(self)))
        self.material = found.part(lambda: divide(self.dataset(), self._data(), self._cv, needs(self).task))
        found.look(lambda: check_gate(config.registry, list(self.rows().table.columns), self.dataset))

    def _check_columns(self, config: DataConfig) -> Iterator[Problem]:
        rows = self.rows()
        for error in (*rows.wrong, *wrong_roles(list(rows.table.columns), config, rows.source, self._cv)):
            yield Problem(str(error), error.path, code=error.code)

    def _data(self) -> DataConfig:
        return present(self._config.data if self._is_sound else None)

    def _make_dataset(self, needs: DataRequirements) -> Dataset:
        rows = self.rows()
        return make_dataset(
            rows.table, self._data(), source=rows.source, needs=needs, is_new=rows.is_new, cv=self._cv, test=rows.test
        )

    def target(self) -> pd.Series:
        """Return the column to predict, as it was read."""
        rows, config = self.rows(), self._data()
        return rows.table[find_roles(list(rows.table.columns), config, rows.source, self._cv).target]

    def count_splits(self) -> int:
        """Count the splits that a trial is measured on.

        Raises:
            NotKnown: The table decides, and is wrong.
        """
        count = self._config.evaluation.cv.count
        return len(self.material().folds) if count is None else count


class Goals:
    """What is measured, and what decides.

    Args:
        config: The config, as far as it is right.
        task: What the model does; None where that is not known, and then metrics are only looked up.
        folder: Where the paths of a function of the user's own begin.
        trust: Whom the person at the keyboard trusts; code of the user's own is imported only if it is among that.
        is_known: Whether it is known that the sweep is of estimators; else the metrics may be of somebody's own.

    Attributes:
        metrics: What is measured, the objective's metrics first.
        objective: What decides; None when that cannot be said.
        problems: What is wrong with the sections.
    """

    def __init__(self, config: SweepConfig, task: Task | None, *, folder: Path, trust: Trust, is_known: bool = True) -> None:
        objectives = known(lambda: config.objective, None) or []
        self._objectives = [each.metric for each in objectives]
        self._folder, self._trust = folder, trust
        self._given: list[MetricConfig] = known(lambda: config.evaluation.metrics or [], [])
        self._listed = [each.plain_name for each in self._given]
        self.metrics: list[Metric] = []
        self.problems: list[Problem] = []
        self.objective: Objective | None = None
        if not is_known:
            return
        goals = self._find_metrics(list(objectives), task)
        pick, limits = known(lambda: config.selection.pick, None), known(lambda: config.selection.constraints, [])
        if task is not None or self._listed:
            self._check_limits(limits)
            self._check_judge(known(lambda: present(present(config.registry).gate).metric, None))
        if None not in goals:
            self.problems += check_weights(pick, [goal.metric for goal in goals if goal is not None])
        if task is not None:
            self.objective = known(lambda: self._make_objective(goals, config.evaluation.describe(), pick, limits), None)

    def resolved(self, config: EvaluationConfig) -> EvaluationConfig:
        """Return the section with the files of functions of the user's own as absolute paths."""
        made = {each.name: each.made for each in self.metrics}
        entries = [
            entry.model_copy(update={"metric": f"{own.source}:{own.name}"})
            if isinstance(own := made.get(entry.plain_name), OwnFunction) and isinstance(own.source, Path)
            else entry
            for entry in self._given
        ]
        return config.model_copy(update={"metrics": entries}) if entries != self._given else config

    def path_of(self, metric: str) -> ConfigPath:
        """Return the config key that names a metric."""
        if metric in self._listed:
            return ("evaluation", "metrics", self._listed.index(metric))
        return (
            ("objective", self._objectives.index(metric), "metric") if metric in self._objectives else ("evaluation", "metrics")
        )

    def _find_metrics(self, objectives: list[ObjectiveConfig], task: Task | None) -> list[Goal | None]:
        """Look up every metric that is named; give the objectives' goals, None for one that is wrong."""
        usual = default_metrics(task) if task is not None and not self._given else []
        given = self._given or [MetricConfig(metric=name) for name in usual]
        listed = [each.plain_name for each in given]
        wanted = [self._entry_of(index, each.metric, given) for index, each in enumerate(objectives)]
        chosen = set(self._objectives)
        named = [*wanted, *((("evaluation", "metrics", at), each) for at, each in enumerate(given) if listed[at] not in chosen)]
        found: dict[str, Metric] = {}
        for path, entry in named:
            name = entry.plain_name
            if name == FIT_SECONDS and path[0] == "objective":
                continue
            if name in found:
                self.problems.append(Problem(f"{name} is given twice", path, code="duplicate"))
                continue
            direction = next((each.direction for each in objectives if each.metric == name), None)
            try:
                found[name] = self._make(entry, task, direction)
            except MetricError as error:
                self.problems.append(Problem(str(error), (*path, *error.path), code=error.code))
        self.metrics = list(found.values())
        if not objectives:
            first = found.get(listed[0]) if listed else None
            return [Goal(first.name, first.direction) if first is not None else None]
        return [self._goal(each, found.get(each.metric), index) for index, each in enumerate(objectives)]

    def _entry_of(self, index: int, name: str, given: Sequence[MetricConfig]) -> tuple[ConfigPath, MetricConfig]:
        """Return the entry that an objective's name means, and where a mistake in it is reported."""
        for at, entry in enumerate(given):
            if entry.plain_name == name and entry.metric != name:
                return ("evaluation", "metrics", at), entry
        entry = next((each for each in given if each.plain_name == name), MetricConfig.model_construct(metric=name))
        return (("objective", index, "metric") if entry.metric == name else ("evaluation", "metrics")), entry

    def _make(self, entry: MetricConfig, task: Task | None, direction: Direction | None) -> Metric:
        """Return the metric of an entry; a function of the user's own is imported for it, if it is trusted.

        Args:
            entry: What the config says.
            task: What the model does; None where that is not known.
            direction: Which way the objective says that it is better.

        Raises:
            MetricError: The entry is wrong.
        """
        own = entry.own_parts
        if refused := refusal_of_name(entry.plain_name):
            raise MetricError(refused)
        if own is None:
            return metric_of(entry, task)
        if entry.positive is not None:
            raise MetricError("a function of your own is given its arguments by `params`; leave `positive` out", "positive")
        if (known_one := look_up(entry.plain_name)) is not None:
            raise MetricError(f"{known_one.name} is another metric's name; give this one a `name`", code="duplicate")
        direction = entry.direction or direction
        function = self._own_function(entry, *own)
        if direction is None:
            message = f"say which way it is better: {{metric: {entry.metric}, direction: maximize}}, or minimize"
            raise MetricError(message)
        return Metric(entry.plain_name, "", task, direction, made=function)

    def _own_function(self, entry: MetricConfig, where: str, name: str) -> OwnFunction:
        try:
            params = tuple((key, freeze(value)) for key, value in entry.params.items())
        except TypeError as error:
            raise MetricError(str(error), "params") from error
        package, digest = where.partition(".")[0], ""
        source: Path | str = where
        if where.endswith(".py"):
            source = absolute(where, self._folder)
            if not self._trust.covers(source):
                raise MetricError(f"runs code of your own; {how_to_trust(source)}", code="untrusted")
            if not source.is_file():
                raise MetricError(f"there is no file {source}", code="missing-file")
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
        elif package not in self._trust.packages:
            how = f"run with --trust {shell_word(package)} if you trust its code"
            raise MetricError(f"the package '{package}' is not trusted; {how}", code="untrusted")
        function = OwnFunction(source, name, params, digest)
        try:
            with foreign_output_shown():
                refused = function.refusal()
        except (Exception, SystemExit) as error:
            raise MetricError(f"'{name}' cannot be imported from {where}: {type(error).__name__}: {error}") from error
        if refused is not None:
            raise MetricError(refused)
        return function

    def _goal(self, config: ObjectiveConfig, metric: Metric | None, index: int) -> Goal | None:
        if config.metric != FIT_SECONDS and metric is None:
            return None
        direction = Direction.MINIMIZE if metric is None else metric.direction
        if config.direction not in (None, direction):
            better = "lower" if direction is Direction.MINIMIZE else "higher"
            message = f"{config.metric} is better when {better}: leave `direction` out, or say {direction.value}"
            self.problems.append(Problem(message, ("objective", index, "direction")))
        return Goal(config.metric, direction)

    def _make_objective(
        self, goals: Sequence[Goal | None], evaluation: str, pick: PickConfig | None, limits: Sequence[str]
    ) -> Objective | None:
        known_goals = [goal for goal in goals if goal is not None]
        if len(known_goals) < len(goals):
            return None
        if not self.metrics:
            self.problems.append(Problem("nothing is measured but time; name a metric", ("evaluation", "metrics")))
            return None
        first, *others = known_goals
        return Objective(
            first.metric, first.direction, evaluation, others=tuple(others), pick=pick or PickConfig(), limits=tuple(limits)
        )

    def _check_judge(self, name: str | None) -> None:
        measured = [metric.name for metric in self.metrics]
        if name is not None and name not in measured:
            message = f"'{name}' is not measured; {one_of(name, measured)}"
            self.problems.append(Problem(message, ("registry", "gate", "metric"), code="unknown-name"))

    def _check_limits(self, limits: Sequence[str]) -> None:
        known = [FIT_SECONDS, *(name for metric in self.metrics for name in (metric.name, f"{metric.name}{SPREAD}"))]
        for index, limit in enumerate(limits):
            for name in Expression(limit).names:
                if name not in known:
                    message = f"'{name}' is not measured; {one_of(name, known)}"
                    self.problems.append(Problem(message, ("selection", "constraints", index), code="unknown-name"))


def check_weights(pick: PickConfig | None, known_goals: Sequence[str]) -> Iterator[Problem]:
    """Find weights of what is no objective."""
    for name in pick.weights if pick is not None and pick.weights else {}:
        if name not in known_goals:
            path = ("selection", "pick", "weights", name)
            yield Problem(f"is no objective; {one_of(name, known_goals)}", path, at_key=True, code="unknown-name")


def check_search(search: SearchConfig, space: Space) -> list[Problem]:
    """Check a space as `check_space` does; where the method or the seed is wrong, as for the method that asks for least."""
    method, seed = known(lambda: search.method, METHODS["random"]), known(lambda: search.seed, 0)
    return check_space(search.model_copy(update={"method": method, "seed": seed}), space)


@dataclass(frozen=True)
class Settled:
    """What is searched, how, and what decides.

    Args:
        space: What is searched.
        search: The section `search`, its method not ``auto``.
        reason: Why ``auto`` picked the method; empty where the config names one.
        objective: What decides.
    """

    space: Space
    search: SearchConfig
    reason: str
    objective: Objective


def settle(
    found: Findings,
    space: Callable[[], Space],
    objective: Callable[[], Objective],
    *,
    steps: Callable[[], int],
    values: Callable[[], int],
) -> Callable[[], Settled]:
    """Settle the method and the rule of selection, and note what they lack; see `settle_method` and `Findings.part`.

    Where it is another part that is wrong, only the options of a method that the config names are looked at; and a sampler of the
    user's own is imported only when it is trusted.
    """
    config, folder = found.draft.known, found.draft.folder
    may_import = found.look(lambda: _check_sampler(config.search.method, folder, found.trust))

    def make() -> Settled:
        search = config.search
        try:
            where, goals = space(), objective()
        except NotKnown:
            is_settled = not search.method.picks and not any("method" in each.path for each in found.draft.problems)
            if may_import and is_settled and not (search.sampler and not search.method.sampler):
                found.problems += settle_method(search, None, 1, limits=False, steps=known(steps, 0), folder=folder)[1]
            raise
        if not may_import:
            raise NotKnown
        (method, reason), problems = settle_method(
            search, where, len(goals.goals), bool(goals.limits), steps=steps(), folder=folder
        )
        found.problems += [*problems, *check_spread(config.selection, goals, values=values())]
        rule = one_standard_error_of(config.selection, where, values=values())
        settled = search.model_copy(update={"method": method})
        return Settled(where, settled, reason, replace(goals, one_standard_error=rule))

    return found.part(make)


def _check_sampler(method: Method, folder: Path, trust: Trust) -> Iterator[Problem]:
    """Refuse a sampler of the user's own that nobody at the keyboard trusts, or whose file is not there; it is not imported."""
    path: ConfigPath = ("search", "method")
    if method.file is not None:
        file = absolute(method.source, folder)
        if not trust.covers(file):
            yield Problem(f"runs code of your own; {how_to_trust(file)}", path, code="untrusted")
        if not file.is_file():
            yield Problem(f"there is no file {file}", path, code="missing-file")
    elif method.source and (package := method.source.partition(".")[0]) not in trust.packages:
        how = f"run with --trust {shell_word(package)} if you trust its code"
        yield Problem(f"the package '{package}' is not trusted; {how}", path, code="untrusted")


class UserObjective:
    """What decides among trials whose metrics are known by name alone.

    Args:
        config: The config, as far as it is right; its objective is.
        evaluation: Describes what a mean is a mean over; empty where there is none.

    Attributes:
        objective: What decides; None when that cannot be said.
        of: Which value of a metric's history counts, where that is not the last.
        problems: What is wrong with the sections.
    """

    def __init__(self, config: SweepConfig, evaluation: Callable[[], str]) -> None:
        objectives = config.objective or []
        self.problems: list[Problem] = []
        self.objective: Objective | None = None
        self.of = {each.metric: each.of for each in objectives if each.of is not None and each.of is not HistoryReducer.LAST}
        goals = [self._goal(each, index) for index, each in enumerate(objectives)]
        pick, limits = known(lambda: config.selection.pick, None), known(lambda: config.selection.constraints, [])
        self.problems += check_weights(pick, [each.metric for each in objectives])
        over = evaluation()
        self._check_limits(limits, is_spread=bool(over))
        if goals and not self.problems:
            first, *others = goals
            self.objective = Objective(
                first.metric, first.direction, over, others=tuple(others), pick=pick or PickConfig(), limits=tuple(limits)
            )

    def _goal(self, config: ObjectiveConfig, index: int) -> Goal:
        direction = config.direction or usual_direction(config.metric)
        if direction is None:
            message = f"say which way {config.metric} is better: {{metric: {config.metric}, direction: minimize}}, or maximize"
            self.problems.append(Problem(message, ("objective", index, "metric")))
        if (refused := refusal_of_name(config.metric)) is not None:
            self.problems.append(Problem(refused, ("objective", index, "metric")))
        if config.metric == FIT_SECONDS and config.of is not None:
            self.problems.append(Problem(f"{FIT_SECONDS} has no history", ("objective", index, "of")))
        return Goal(config.metric, direction or Direction.MINIMIZE)

    def _check_limits(self, limits: Sequence[str], *, is_spread: bool) -> None:
        for index, limit in enumerate(limits):
            name = next((name for name in Expression(limit).names if name.endswith(SPREAD)), None)
            if name is not None and not is_spread:
                message = f"'{name}' would be a spread over folds or seeds, and there is one value a trial"
                self.problems.append(Problem(message, ("selection", "constraints", index)))


def needed_metrics(objective: Objective) -> list[str]:
    """List the metrics that a finished trial must have: the goals', and those that limits speak of."""
    limited = [name.removesuffix(SPREAD) for limit in objective.limits for name in Expression(limit).names]
    return [name for name in dict.fromkeys([*objective.metrics, *limited]) if name != FIT_SECONDS]


_SELECT: ConfigPath = ("selection", "select")
_CHEAPEST: ConfigPath = ("selection", "cheapest")


def check_cheapest(selection: SelectionConfig, space: Space) -> list[Problem]:
    """Hold an order of parameters against the space."""
    if not isinstance(selection.cheapest, list):
        return []
    problems: list[Problem] = []
    for index, entry in enumerate(selection.cheapest):
        for name, order in entry.items():
            problems += _check_order(name, order, space, (*_CHEAPEST, index, name))
    return problems


def check_spread(selection: SelectionConfig, objective: Objective, *, values: int) -> list[Problem]:
    """Find what the rule lacks: it needs the spread over two values or more of one trial.

    Args:
        selection: The section `selection`.
        objective: What decides.
        values: How many values the objective's mean is a mean over.
    """
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return []
    why = f"{FIT_SECONDS} has none" if objective.metric == FIT_SECONDS else "here each trial is measured once"
    if objective.metric == FIT_SECONDS or values < 2:
        return [Problem(f"one_standard_error needs the spread of a metric over two folds or seeds, or more; {why}", _SELECT)]
    return []


def one_standard_error_of(selection: SelectionConfig, space: Space, *, values: int) -> OneStandardError | None:
    """Return the rule of a selection that is right; None where the best mean wins."""
    if selection.select is not SelectRule.ONE_STANDARD_ERROR:
        return None
    cheapest = selection.cheapest or Cost.FIT_SECONDS
    if isinstance(cheapest, Cost):
        return OneStandardError(values, cheapest)
    orders = [
        ParameterOrder(name, order if isinstance(order, End) else tuple(_typed(value, _named(name, space)) for value in order))
        for entry in cheapest
        for name, order in entry.items()
    ]
    return OneStandardError(values, tuple(orders))


def _check_order(name: str, order: End | list[Any], space: Space, path: ConfigPath) -> Iterator[Problem]:
    dimensions = _named(name, space)
    if not dimensions:
        yield Problem(f"is not searched; {one_of(name, space.names)}", path, at_key=True, code="unknown-name")
    elif isinstance(order, End):
        strange = [value for value in _choices(dimensions) if not _is_number(value)]
        if strange:
            message = f"'{order}' is for numbers, and {name} may be {_shown(strange[0])}; list its values, the cheapest first"
            yield Problem(message, path)
    else:
        for index, value in enumerate(order):
            if not any(each.contains(_typed(value, [each])) for each in dimensions):
                yield Problem(f"{name} is never {_shown(value)}{_allowed(value, dimensions)}", (*path, index))


def _allowed(value: Any, dimensions: Sequence[Dimension]) -> str:
    choices = _choices(dimensions)
    return f"; {one_of(value, map(_plain, choices))}" if choices else f"; it is {describe(dimensions[0].spec)}"


def _choices(dimensions: Sequence[Dimension]) -> list[Any]:
    return [value for each in dimensions if isinstance(each.spec, Choices) for value in each.spec.choices]


def _named(name: str, space: Space) -> list[Dimension]:
    return [each for each in space.dimensions if each.name == name]


def _typed(value: Any, dimensions: Sequence[Dimension]) -> Any:
    """Convert a value to the type that the space has for it."""
    if not _is_number(value):
        return value
    return next((typed for each in dimensions if each.contains(typed := each.typed(value))), value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return "null" if value is None else show(value)


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)


@dataclass(frozen=True)
class OwnCodeSweep(SweepPlan):
    """A sweep of code of the user's own.

    Args:
        chosen: Which value of a metric's history counts, where that is not the last.
    """

    chosen: Mapping[str, HistoryReducer]

    @property
    def of(self) -> Mapping[str, HistoryReducer]:
        """See `SweepPlan`."""
        return self.chosen

    @property
    def steps(self) -> int:
        """0: the code counts its steps itself."""
        return 0

    @property
    def measured(self) -> Sequence[str]:
        """What decides or is limited; whatever else the code gives is kept too."""
        return [*needed_metrics(self.objective), *([MODEL_SIZE] if self.objective.weighs_models else [])]


def settle_own_code(
    found: Findings, kind: str, *, over: Callable[[], str], values: Callable[[], int]
) -> tuple[Callable[[], UserObjective], Callable[[], Settled]]:
    """Check the sections `objective`, `selection` and `search`, and settle the method; see `Findings.part`.

    Args:
        found: Where what is wrong is noted.
        kind: What the code is, in a word.
        over: Describes what a mean is a mean over; empty where there is one value a trial.
        values: Gives how many values the objective's mean is a mean over.
    """
    config = found.draft.known
    goals = found.part(lambda: UserObjective(config, over))
    found.look(lambda: goals().problems)
    space = found.part(lambda: Space.of(config.search))
    is_sound = found.look(lambda: check_search(config.search, space()))
    found.look(lambda: check_cheapest(config.selection, space()))
    found.look(lambda: _check_pruner(config, kind))
    is_sound = is_sound and not found.draft.problems
    sound = found.part(lambda: present(space() if is_sound else None))
    return goals, settle(found, sound, lambda: present(goals().objective), steps=lambda: 0, values=values)


def _check_pruner(config: SweepConfig, kind: str) -> Iterator[Problem]:
    backend = config.execution.backend
    if config.search.pruner is not None and not backend.traits.can_kill:
        message = f"backend {backend} cannot stop a {kind}; use `backend: processes`"
        yield Problem(message, ("search", "pruner"), code="conflict")
