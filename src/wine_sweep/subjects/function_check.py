"""A config held against the function that it names, before anything runs; the function's file is read and not imported."""

from __future__ import annotations

import ast
import errno
import pathlib
from collections.abc import Iterator

from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import DataConfig, EvaluationConfig, ParsedConfig
from wine_sweep.data import load_table
from wine_sweep.data.roles import find_roles
from wine_sweep.data.table import absolute, resolve_source
from wine_sweep.errors import ConfigPath, DataError, Problem
from wine_sweep.execution import check_backend
from wine_sweep.objective.source import NO_FILE, FunctionSource, Source
from wine_sweep.search.space import Space
from wine_sweep.subjects.function_sweep import FunctionSweep
from wine_sweep.subjects.gate_check import check_gate
from wine_sweep.subjects.material import TrainingData, load_material, resolved_data
from wine_sweep.subjects.own_code import OwnCodeCheck
from wine_sweep.subjects.trust import how_to_trust
from wine_sweep.task import DataRequirements, Task
from wine_sweep.wording import did_you_mean

_FUNCTION: ConfigPath = ("model", "function")
_TAKES = 2


class FunctionCheck(OwnCodeCheck):
    """Holds a draft against its function, and loads its table.

    Args:
        draft: The config as read; its section `model` is right by itself, and a function.
        trusted: The values of ``--trust``.
        given: The function itself, where the config only stands for it; it is not looked for in a file then.
    """

    def __init__(self, draft: ParsedConfig, trusted: tuple[str, ...], given: Source | None = None) -> None:
        super().__init__(draft, trusted, "function")
        self._material: TrainingData | None = None
        file, self._name = draft.sections["model"].function_parts
        self._given = given
        self._file = absolute(file, draft.folder)

    def run(self) -> None:
        """Find what is wrong."""
        sections = self.draft.sections
        evaluation: EvaluationConfig = sections.get("evaluation") or EvaluationConfig()
        if self._given is None and self._file.name == NO_FILE and not self._file.is_file():
            message = "the function was given from Python, and MLflow does not have it; only Sweep can run it again"
            self.problems.append(Problem(message, _FUNCTION))
        elif self._given is None:
            if not self.trust.covers(self._file):
                self.problems.append(Problem(f"runs code of your own; {how_to_trust(self._file)}", _FUNCTION))
            self.problems += check_function(self._file, self._name)
        if "execution" in sections:
            self.problems += check_backend(sections["execution"])
        if sections.get("data") is not None:
            self._check_data(sections["data"], evaluation)
        self.check_goals(self._over(evaluation))
        if (search := sections.get("search")) is not None:
            folds = len(self._material.folds) if self._material is not None else 1
            self.check_search(Space.of(search), (), values=folds * evaluation.seeds)

    def prepared(self) -> FunctionSweep:
        """Give the sweep; nothing is wrong with the draft."""
        config = self.draft.config
        if not (config and config.model):
            raise RuntimeError("a draft without problems lacks a part")
        changed: dict[str, object] = {}
        if self._given is None:
            changed["model"] = config.model.model_copy(update={"function": f"{self._file}:{self._name}"})
        if config.data is not None and self._material is not None:
            changed["data"] = resolved_data(config.data, self._material.dataset, self.draft.folder)
        source = self._given or FunctionSource(self._file, self._name)
        return FunctionSweep(*self.common(changed, self._material), source)

    def _over(self, evaluation: EvaluationConfig) -> str:
        """Say what a mean is a mean over; empty where the function is called once."""
        if self.draft.sections.get("data") is None:
            return f"{evaluation.seeds} seeds" if evaluation.seeds > 1 else ""
        alone = evaluation.cv.holdout is not None and evaluation.seeds == 1
        return "" if alone else evaluation.describe()

    def _check_data(self, config: DataConfig, evaluation: EvaluationConfig) -> None:
        try:
            task = _task_of(config, evaluation, self.draft.folder)
            needs = DataRequirements(task, numbers=False, takes_missing=True, model=f"{self._file.name}:{self._name}")
            self._material = load_material(config, self.draft.folder, evaluation.cv, needs)
        except DataError as error:
            self.problems.append(Problem(str(error), error.path))
            return
        self.problems += check_gate(self.draft.sections.get("registry"), self._material.dataset)


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


def _task_of(config: DataConfig, evaluation: EvaluationConfig, folder: pathlib.Path) -> Task:
    """Say whether the target is classes or numbers: classes where it is no number, or folds are to be stratified."""
    if evaluation.cv.stratified:
        return Task.CLASSIFICATION
    source = resolve_source(config.source, folder)
    table = load_table(source, max_size=config.max_size).rename(columns=str)
    target = table[find_roles(list(table.columns), config, source).target]
    return Task.REGRESSION if is_numeric_dtype(target) and not is_bool_dtype(target) else Task.CLASSIFICATION
