"""A config held against the function that it names, before anything runs; the function's file is read and not imported."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

from pandas.api.types import is_bool_dtype, is_numeric_dtype

from wine_sweep.config import Backend, DataConfig, Draft, EvaluationConfig, Method, SearchConfig, SelectionConfig
from wine_sweep.data import load_table
from wine_sweep.data.roles import find_roles
from wine_sweep.data.table import resolve_source
from wine_sweep.errors import DataError, Path, Problem
from wine_sweep.execution import check_backend
from wine_sweep.objective.source import FunctionSource, Source
from wine_sweep.search.checks import check_space
from wine_sweep.search.space import Space
from wine_sweep.subjects.function_sweep import FunctionSweep
from wine_sweep.subjects.material import Material, load_material
from wine_sweep.subjects.method import settle_method
from wine_sweep.subjects.own_goals import OwnGoals
from wine_sweep.subjects.trust import Trust, how_to_trust
from wine_sweep.task import Needs, Task
from wine_sweep.wording import did_you_mean

_FUNCTION: Path = ("model", "function")
_TAKES = 2


class FunctionCheck:
    """Goes through the sections of a draft that are right by themselves; what depends on a broken one is left out.

    Args:
        draft: The config as read; its section `model` is right by itself, and a function.
        trusted: The values of ``--trust``.
        given: The function itself, where the config only stands for it; it is not looked for in a file then.
    """

    def __init__(self, draft: Draft, trusted: tuple[str, ...], given: Source | None = None) -> None:
        self.draft = draft
        self.trust = Trust(trusted)
        self.problems: list[Problem] = []
        self.space: Space | None = None
        self.goals: OwnGoals | None = None
        self.material: Material | None = None
        self.method: tuple[Method, str] | None = None
        file, self._name = draft.sections["model"].function_parts
        self._given = given
        self._file = (draft.folder / pathlib.Path(file).expanduser()).resolve()

    def run(self) -> None:
        """Find what is wrong."""
        sections = self.draft.sections
        evaluation: EvaluationConfig = sections.get("evaluation") or EvaluationConfig()
        if self._given is None:
            if not self.trust.covers(self._file):
                self.problems.append(Problem(f"runs code of your own; {how_to_trust(self._file)}", _FUNCTION))
            self.problems += check_function(self._file, self._name)
        if "execution" in sections:
            self.problems += check_backend(sections["execution"])
        if sections.get("data") is not None:
            self._check_data(sections["data"], evaluation)
        if sections.get("objective"):
            over = self._over(evaluation)
            self.goals = OwnGoals(sections["objective"], sections.get("selection", SelectionConfig()), over)
            self.problems += self.goals.problems
        if sections.get("search") is not None:
            self._check_search(sections["search"], evaluation)

    def prepared(self) -> FunctionSweep:
        """Give the sweep; nothing is wrong with the draft."""
        config, goals, space = self.draft.config, self.goals, self.space
        if not (config and config.model and goals and goals.objective and space and self.method):
            raise RuntimeError("a draft without problems lacks a part")
        method, reason = self.method
        changed: dict[str, object] = {"search": config.search.model_copy(update={"method": method})}
        if self._given is None:
            changed["model"] = config.model.model_copy(update={"function": f"{self._file}:{self._name}"})
        if config.data is not None and self.material is not None:
            dataset = self.material.dataset
            changed["data"] = config.data.model_copy(update={"source": dataset.source, "target": str(dataset.target.name)})
        return FunctionSweep(
            config.model_copy(update=changed),
            self.draft,
            space,
            reason,
            goals.objective,
            self.trust.given,
            self.material,
            self._given or FunctionSource(self._file, self._name),
            goals.of,
        )

    def _over(self, evaluation: EvaluationConfig) -> str:
        """Say what a mean is a mean over; empty where the function is called once."""
        if self.draft.sections.get("data") is None:
            return f"{evaluation.seeds} seeds" if evaluation.seeds > 1 else ""
        alone = evaluation.cv.holdout is not None and evaluation.seeds == 1
        return "" if alone else evaluation.describe()

    def _check_data(self, config: DataConfig, evaluation: EvaluationConfig) -> None:
        try:
            task = _task_of(config, evaluation, self.draft.folder)
            needs = Needs(task, numbers=False, takes_missing=True, model=f"{self._file.name}:{self._name}")
            self.material = load_material(config, self.draft.folder, evaluation.cv, needs)
        except DataError as error:
            self.problems.append(Problem(str(error), error.path))

    def _check_search(self, search: SearchConfig, evaluation: EvaluationConfig) -> None:
        space = Space.of(search)
        problems = check_space(search, space)
        execution = self.draft.sections.get("execution")
        if search.pruner is not None and execution is not None and execution.backend is Backend.SERIAL:
            problems.append(Problem("backend serial cannot stop a function; use `backend: processes`", ("search", "pruner")))
        self.problems += problems
        if problems:
            return
        self.space = space
        if self.goals is not None and self.goals.objective is not None and not self.draft.problems and not self.problems:
            folds = len(self.material.folds) if self.material is not None else 1
            values = folds * evaluation.seeds
            self.method, problems = settle_method(search, space, self.goals.objective, steps=0, values=values)
            self.problems += problems


def check_function(file: pathlib.Path, name: str) -> Iterator[Problem]:
    """Look for a function in a file, without running it; one that the file imports or makes otherwise is taken on trust."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except (OSError, ValueError) as error:
        yield Problem(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}", _FUNCTION)
        return
    except SyntaxError as error:
        yield Problem(f"{file.name}:{error.lineno}:{error.offset}: {error.msg}", _FUNCTION)
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
    if (takes.vararg is None and len(positional) < _TAKES) or needed > _TAKES:
        message = (
            f"is called as {function.name}(params, context), and takes {', '.join(each.arg for each in positional) or 'nothing'}"
        )
        yield Problem(message, _FUNCTION)


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
    table = load_table(source).rename(columns=str)
    target = table[find_roles(list(table.columns), config, source).target]
    return Task.REGRESSION if is_numeric_dtype(target) and not is_bool_dtype(target) else Task.CLASSIFICATION
