"""What tests of searching share: random search spaces as a config writes them, and a way to run a search without a loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import TypeAdapter

from wine_sweep.config import METHODS, Direction, FamilyConfig, SearchConfig
from wine_sweep.search.methods import make_searcher
from wine_sweep.search.searcher import Outcome, Searcher, Suggestion
from wine_sweep.search.space import Space
from wine_sweep.trial import Params, TrialState

FAMILIES = TypeAdapter(dict[str, FamilyConfig])
NAMES = [method.name for method in METHODS.values() if not method.picks]
SCALARS = [None, True, False, 0, 1, 1.0, 2, 0.5, "1", "a", "b", "", [50, 50], [50], {"estimator": "a.b"}, -3, 1e-9]
"""Values that Python holds for equal, and that have to stay apart, among them."""

HOLDS = [
    "{0} <= {1}",
    "{0} + {1} != 3",
    "{0} * 2 > {1} - 1",
    "not {0} == {1}",
    "{0} in [0, 1, 2] or {1} < 4",
    "min({0}, {1}) < 3",
]
"""Constraints between two numbers, in words that mean the same to Python."""


@dataclass(frozen=True)
class Tree:
    """The parts of a config that make a search space, as YAML gives them."""

    parameters: dict[str, Any]
    models: dict[str, dict[str, Any]] | None = None
    constraints: list[str] = field(default_factory=list)

    def config(self, method: str, **keys: Any) -> SearchConfig:
        parts = {"method": method, "parameters": self.parameters, "constraints": self.constraints}
        ends = {} if METHODS[method].is_exhaustive else {"trials": 50}
        return SearchConfig.model_validate(copy.deepcopy({**parts, **ends, **keys}))

    def space(self, config: SearchConfig) -> Space:
        families = {name: {"estimator": "a.b", "parameters": own} for name, own in (self.models or {}).items()}
        return Space.of(config, FAMILIES.validate_python(copy.deepcopy(families)) if families else None)

    def groups(self) -> dict[str | None, dict[str, Any]]:
        """The parameters by the family that they belong to."""
        return {None: self.parameters, **(self.models or {})}


@st.composite
def values(draw: Any, *, finite: bool) -> dict[str, Any]:  # noqa: PLR0911  # a case for each kind
    """Draw a parameter in its long form; its values can be listed without knowing how a grid computes them."""
    kind = draw(
        st.sampled_from(["choices", "numbers", "int", "int step", "float step", "num", "log num", "float", "log", "int log"])
    )
    low = draw(st.integers(0, 2))
    match kind:
        case "choices":
            return {"choices": draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique_by=repr))}
        case "numbers":
            return {"choices": draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))}
        case "int":
            return {"low": low, "high": low + draw(st.integers(1, 3))}
        case "int step":
            return {"low": low, "high": low + draw(st.integers(3, 5)), "step": draw(st.integers(1, 3))}
        case "float step":
            return {"low": float(low), "high": low + draw(st.sampled_from([0.5, 0.75, 1.0])), "step": 0.25}
        case "num":
            return {"low": float(low), "high": low + 2.0, "num": draw(st.sampled_from([2, 3, 5]))}
        case "log num":
            return {"low": 0.01, "high": 1.0, "log": True, "num": 3}
    if finite:
        return {"low": 1, "high": 1000, "log": True, "num": 4}
    return {
        "float": {"low": low, "high": low + 1.5},
        "log": {"low": 1e-3, "high": 10, "log": True, "type": "float"},
        "int log": {"low": 1, "high": 64, "log": True},
    }[kind]


def listed(spec: Mapping[str, Any]) -> list[Any]:
    """The values of a finite parameter, said independently of `Axis`."""
    if "choices" in spec:
        return list(spec["choices"])
    low, high = spec["low"], spec["high"]
    if spec.get("log"):
        return [low * 10**power for power in range(4)] if isinstance(low, int) else [0.01, 0.1, 1.0]
    if "num" in spec:
        return [low + index * (high - low) / (spec["num"] - 1) for index in range(spec["num"])]
    step = spec.get("step", 1)
    return [low + index * step for index in range(10) if low + index * step <= high]


def is_numeric(spec: Mapping[str, Any]) -> bool:
    """Whether every value is a number that a constraint can compute with."""
    return "low" in spec or all(isinstance(each, int | float) and not isinstance(each, bool) for each in spec["choices"])


@st.composite
def trees(draw: Any, *, finite: bool = False, most: int = 4) -> Tree:
    """Draw a search space: mixed values, conditions several levels deep, families, constraints."""
    shared: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] | None = {"one": {}, "two": {}} if draw(st.booleans()) else None
    letters = "abcdef"[: draw(st.integers(1 if models is None else 2, most))]
    for letter in letters:
        family = draw(st.sampled_from([None, "one", "two"])) if models is not None else None
        into = shared if family is None or models is None else models[family]
        spec = draw(values(finite=finite))
        visible = {**shared, **into}
        parents = [name for name in visible if is_listed(visible[name])]
        if parents and draw(st.booleans()):
            names = draw(
                st.lists(st.sampled_from(parents[-2:]), min_size=1, max_size=2, unique=True)
            )  # the last, so that they chain
            spec["when"] = {
                name: draw(st.lists(st.sampled_from(listed(visible[name])), min_size=1, max_size=2, unique_by=repr))
                for name in names
            }
        into[letter] = spec
    if models is not None and draw(st.booleans()):
        for own in models.values():  # one name, another meaning
            own["same"] = draw(values(finite=finite))
    constraints = []
    for group in [shared, *((models or {}).values())]:
        numeric = [name for name, spec in {**shared, **group}.items() if is_numeric(spec) and name != "same"]
        if len(numeric) > 1 and draw(st.booleans()):
            pair = draw(st.lists(st.sampled_from(numeric), min_size=2, max_size=2, unique=True))
            constraints.append(draw(st.sampled_from(HOLDS)).format(*pair))
    return Tree(shared, models, constraints)


def is_listed(spec: Mapping[str, Any]) -> bool:
    return (
        "choices" in spec or "step" in spec or "num" in spec or (spec["high"] - spec["low"] <= 3 and isinstance(spec["low"], int))
    )


@dataclass(frozen=True)
class Run:
    """A search run by hand, one trial after the other."""

    searcher: Searcher
    points: list[dict[str, Any]]
    values: list[Any]


def run(
    config: SearchConfig,
    space: Space,
    count: int,
    objective: Callable[[Params], float | Sequence[float]],
    *,
    directions: Sequence[Direction] = (Direction.MINIMIZE,),
    older: Sequence[Params] = (),
) -> Run:
    """Ask and tell so often, or until nothing is left; `older` trials are learned first."""
    searcher = make_searcher(config, space, directions=directions)
    for point in older:
        searcher.learn(point, finished(objective(point)))
    points, results = [], []
    for _ in range(count):
        suggestion = searcher.ask()
        if suggestion is None:
            break
        points.append(dict(suggestion.params))
        results.append(objective(suggestion.params))
        searcher.tell(suggestion, finished(results[-1]))
    return Run(searcher, points, results)


def finished(value: float | Sequence[float]) -> Outcome:
    return Outcome(TrialState.FINISHED, tuple(value) if isinstance(value, Sequence) else (value,))


@dataclass(frozen=True)
class Kit:
    """The helpers of this file, for tests that cannot import it."""

    methods: Sequence[str] = tuple(NAMES)
    trees: Callable[..., st.SearchStrategy[Tree]] = trees
    tree: type[Tree] = Tree
    listed: Callable[[Mapping[str, Any]], list[Any]] = listed
    run: Callable[..., Run] = run
    finished: Callable[[Any], Outcome] = finished
    suggestion: type[Suggestion] = Suggestion


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
