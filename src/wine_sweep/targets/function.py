"""Sweeps of a user's function: check config and file, call it for each trial, and once more for the winner's model."""

from __future__ import annotations

import ast
import errno
import hashlib
import pathlib
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import ModelConfig, RegistryConfig, known
from wine_sweep.data.splits import TrainingData, resolved_data
from wine_sweep.data.table import absolute
from wine_sweep.errors import ConfigPath, ModelError, Problem
from wine_sweep.evaluation.capture import foreign_output_shown
from wine_sweep.evaluation.context import Rows, Table
from wine_sweep.evaluation.function import NO_FILE, FittedTrial, FunctionSource, FunctionTask, RefitTask, Source
from wine_sweep.evaluation.metrics import look_up
from wine_sweep.execution import make_workers
from wine_sweep.importing import module_name
from wine_sweep.messages import did_you_mean
from wine_sweep.targets.base import Findings, FitCount, present
from wine_sweep.targets.objectives import OwnCodeSweep, TableParts, needed_metrics, settle_own_code
from wine_sweep.targets.refit import Winner, reference_of, rows_of
from wine_sweep.targets.trust import Trust, how_to_trust
from wine_sweep.trial import DataRequirements, Task, Trial


@dataclass(frozen=True)
class FunctionSweep(OwnCodeSweep):
    """A sweep of a function.

    Args:
        source: Gives the function.
    """

    source: Source

    @property
    def kind(self) -> str:
        """See `SweepPlan`."""
        return "function"

    @property
    def subject(self) -> str:
        """The function's file and name, or its own name where it has no file of its own."""
        if isinstance(self.source, FunctionSource):
            return f"{self.source.file.name}:{self.source.name}"
        return self.source.name

    @property
    def digest(self) -> str:
        """Digest the function's file, and the table if there is one."""
        code = self.source.file.read_bytes() if isinstance(self.source, FunctionSource) else self.source.pickled
        found = hashlib.sha256(code)
        if self.material is not None:
            found.update(self.material.dataset.digest.encode())
        return found.hexdigest()

    @property
    def fits(self) -> FitCount:
        """A call for each fold and seed, and one for the winner."""
        calls = len(self.task().calls)
        return FitCount(calls, calls, winner=int(self.is_refitted))

    @property
    def trusted_packages(self) -> tuple[str, ...]:
        """Packages whose types a model may hold: the trusted ones, and the function's own module."""
        own = (module_name(self.source.file),) if isinstance(self.source, FunctionSource) else ()
        return (*super().trusted_packages, *own)

    def task(self) -> FunctionTask:
        """See `SweepPlan`."""
        return FunctionTask(
            self.source,
            self._fixed,
            self.config.search.seed,
            needed_metrics(self.objective),
            self._table(),
            self.config.evaluation.seeds,
            self.of,
            stepwise=self.config.search.pruner is not None,
            weighs=self.objective.weighs_models,
        )

    @property
    def is_refitted(self) -> bool:
        """Return whether the function is called for the winner: for its test scores, or for a model that is to be promoted."""
        return self.material is not None or self.config.registry is not None

    def refit(self, trial: Trial, common: Path | None = None) -> Winner:  # noqa: ARG002  # nobody knows what a function's model predicts
        """Call the function once more, in a process of its own, as a trial is: on all rows that are not test rows.

        See `SweepPlan`.
        """
        material, parts = self.material, None
        if material is not None:
            rows = _rows_of(material)
            parts = rows.part(material.split.train), rows.part(material.split.test)
        with tempfile.TemporaryDirectory() as folder:
            done = self._call(Trial(trial.number, trial.params), parts, Path(folder))
        model = self._load(done)
        if material is None:
            return Winner(model, {})
        train, test = rows_of(material)
        predictions = self._predictions(model, test) if hasattr(model, "get_params") else None
        reference = None
        if predictions is not None:
            objective, seed = self.objective.metric, self.config.search.seed
            reference = reference_of(model, material, predictions, objective=objective, seed=seed)
        scores = {name: score.mean for name, score in done.scores.items()}
        return Winner(model, scores, train=train, test=test, predictions=predictions, reference=reference)

    def _call(self, trial: Trial, parts: tuple[Rows, Rows] | None, folder: Path) -> Trial:
        """Have a worker call the function for the winner.

        Raises:
            ModelError: It failed.
        """
        seed = self.config.search.seed
        task = RefitTask(self.source, self._fixed, seed, needed_metrics(self.objective), of=self.of, parts=parts)
        workers = make_workers(self.config.execution.alone, task, trial_dirs=folder)
        try:
            future = workers.submit(trial)
            error = future.exception()
            done = future.result() if error is None else replace(trial, failure=workers.explain(error))
        finally:
            workers.stop()
        if done.failure is not None:
            raise ModelError(f"{self.subject} fails for the winner's model: {done.failure}")
        return done

    def _load(self, done: Trial) -> Any:
        """Load the model that a worker has sent, where it has; its class may be the function's own module's.

        Raises:
            ModelError: It cannot be loaded here.
        """
        if not isinstance(done, FittedTrial):
            return None
        try:
            with foreign_output_shown():
                if isinstance(self.source, FunctionSource):
                    self.source.load()
                return pickle.loads(done.model)  # noqa: S301  # it came through the pipe to a worker of this process
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever importing a user's module, or making its objects, raises
            raise ModelError(f"the model of {self.subject} cannot be loaded: {type(error).__name__}: {error}") from error

    def _predictions(self, model: Any, rows: pd.DataFrame) -> np.ndarray:
        try:
            with foreign_output_shown():
                return np.asarray(model.predict(rows.copy()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a model of the user's may raise anything
            message = f"the model of {self.subject} does not predict the test rows: {type(error).__name__}: {error}"
            raise ModelError(message) from error

    def why_no_model(self, trial: Trial) -> str:  # noqa: ARG002  # the interface's signature
        """See `SweepPlan`."""
        return f"{self.subject} returns metrics and no model to promote: have it return (metrics, model), or leave `registry` out"

    def why_changed(self, rows: int, columns: Sequence[str]) -> str:
        """See `SweepPlan`."""
        if self.material is None:
            return "the content of the file"
        return f"the content of {self.subject.partition(':')[0]}, or the table: {self.material.why_changed(rows, columns)}"

    @property
    def _fixed(self) -> Mapping[str, Any]:
        return self.config.model.params if self.config.model is not None else {}

    def _table(self) -> Table | None:
        if self.material is None:
            return None
        return Table(_rows_of(self.material).part(self.material.split.train), self.material.folds)


def _rows_of(material: TrainingData) -> Rows:
    dataset = material.dataset
    return Rows(dataset.features, dataset.target.to_numpy(), dataset.weights)


_FUNCTION: ConfigPath = ("model", "function")
_TAKES = 2


def _check_judge(registry: RegistryConfig | None) -> Iterator[Problem]:
    """Find a metric of the gate that nobody here can compute: what the function measures, only the function can."""
    name = registry.gate.metric if registry is not None and registry.gate is not None else None
    if name is not None and look_up(name) is None:
        message = f"models of a function are judged by a metric of scikit-learn, and there is no '{name}'"
        yield Problem(message, ("registry", "gate", "metric"), code="unknown-metric")


def plan_function(found: Findings, given: Source | None = None) -> FunctionSweep:
    """Plan a sweep of a function, and load its table.

    Args:
        found: What is wrong; its draft's `model` is a function.
        given: The function itself, where the config only stands for it; it is not looked for in a file then.

    Raises:
        ConfigError: With every problem found.
    """
    config, folder = found.draft.known, found.draft.folder
    source = found.part(lambda: _source_of(present(config.model), folder))
    found.look(lambda: _check_source(source(), found.trust) if given is None else ())

    def needs(table: TableParts) -> DataRequirements:
        name = known(lambda: f"{source().file.name}:{source().name}", "the function")
        is_stratified = known(lambda: config.evaluation.cv.stratified, None)
        task = Task.CLASSIFICATION if is_stratified else _task_of(table.target())
        return DataRequirements(task, numbers=False, takes_missing=True, model=name)

    def over() -> str:
        """Describe what a mean is a mean over; empty where the function is called once."""
        evaluation = config.evaluation
        if config.data is None:
            return f"{evaluation.seeds} seeds" if evaluation.seeds > 1 else ""
        return "" if evaluation.cv.count == 1 and evaluation.seeds == 1 else evaluation.describe()

    def values() -> int:
        return (1 if config.data is None else table.count_splits()) * config.evaluation.seeds

    found.look(lambda: _check_judge(config.registry))
    table = TableParts(found, needs)
    goals, settled = settle_own_code(found, "function", over=over, values=values)
    found.finish()
    plan = settled()
    changed: dict[str, object] = {"search": plan.search}
    if given is None:
        file = f"{source().file}:{source().name}"
        changed["model"] = present(config.model).model_copy(update={"function": file})
    material = None
    if config.data is not None:
        material = table.material()
        changed["data"] = resolved_data(config.data, material.dataset, folder)
    made = config.model_copy(update=changed), found.draft, plan.space, plan.reason, plan.objective, found.trust.given
    return FunctionSweep(*made, material, goals().of, given or source())


def _source_of(model: ModelConfig, folder: pathlib.Path) -> FunctionSource:
    present(model.function)
    file, name = model.function_parts
    return FunctionSource(absolute(file, folder), name)


def _check_source(source: FunctionSource, trust: Trust) -> Iterator[Problem]:
    if source.file.name == NO_FILE and not source.file.is_file():
        yield Problem("the function was given from Python, and MLflow does not have it; only Sweep can run it again", _FUNCTION)
        return
    if not trust.covers(source.file):
        yield Problem(f"runs code of your own; {how_to_trust(source.file)}", _FUNCTION, code="untrusted")
    yield from check_function(source.file, source.name)


def check_function(file: pathlib.Path, name: str) -> Iterator[Problem]:
    """Look for a function in a file, without running it; one that the file imports or makes otherwise is taken on trust."""
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise OSError(errno.EINVAL, "it is no regular file")  # a pipe would be waited for
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (OSError, ValueError) as error:
        yield Problem(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}", _FUNCTION)
        return
    except SyntaxError as error:
        yield Problem(f"{file.name}:{error.lineno}:{error.offset}: {error.msg}", _FUNCTION)
        return
    if any(isinstance(each, ast.AsyncFunctionDef) and each.name == name for each in tree.body):
        yield Problem(f"{name} is async; a function that is swept is a plain `def`", _FUNCTION)
        return
    functions = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    if name in functions:
        yield from _check_signature(functions[name])
    elif name not in _bound(tree):
        yield Problem(f"there is no function '{name}' in {file.name}{did_you_mean(name, functions)}", _FUNCTION)


def _check_signature(function: ast.FunctionDef) -> Iterator[Problem]:
    takes = function.args
    positional = [*takes.posonlyargs, *takes.args]
    needed = len(positional) - len(takes.defaults)
    keywords = [each for each, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True) if default is None]
    if (takes.vararg is None and len(positional) < _TAKES) or needed > _TAKES or keywords:
        found = ", ".join(each.arg for each in [*positional, *keywords]) or "nothing"
        yield Problem(f"is called as {function.name}(params, context), and takes {found}", _FUNCTION)


def _bound(tree: ast.Module) -> set[str]:
    """List the names that a module's own lines bind, wherever they stand."""
    names = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in each.names}
        elif isinstance(each, ast.FunctionDef | ast.ClassDef):
            names.add(each.name)
    return names


def _task_of(target: pd.Series) -> Task:
    """Return whether a target is numbers, or classes."""
    return Task.REGRESSION if is_numeric_dtype(target) and not is_bool_dtype(target) else Task.CLASSIFICATION
