"""Check a trial's parameters against its estimator, refuse those that name files, and build the unfitted estimator.

A config is data, and so is what lies beside it: a folder that joblib caches in holds pickles, and whoever loads one runs it. Such
a parameter takes a path that the person at the keyboard trusts, or is refused. The list was found by an audit hook over fitting
every estimator with text for every parameter that takes text, which ``tests/security`` does again; LightGBM and CatBoost
read their files in C++, where no hook hears of it, so theirs is from their documentation.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import Any, NamedTuple

from wine_sweep.config import FAMILY, Choices, EarlyStoppingConfig, EstimatorConfig, Range
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.evaluation.early_stopping import set_iterations
from wine_sweep.evaluation.estimators import MEMBERS, EstimatorError, copy_of, find_class, refusal, set_params, set_seed
from wine_sweep.evaluation.library_inputs import TableInputs, adapted
from wine_sweep.evaluation.library_params import open_threads
from wine_sweep.evaluation.nested import dotted_paths, is_dotted, is_pipeline, names_set, params_of, steps_of
from wine_sweep.evaluation.preprocessing import last_step, preprocessed
from wine_sweep.importing import lies_in, start_scripts_as_usual
from wine_sweep.messages import shell_word
from wine_sweep.trial import Params

Spec = Choices | Range


class Searched(NamedTuple):
    """A searched parameter.

    Args:
        spec: Its values.
        path: Where they stand in the config; the name comes last.
        when: The values of others for which it is searched, by name, those for which these are searched included.
    """

    spec: Spec
    path: ConfigPath
    when: Mapping[str, Sequence[Any]]


MOST_CONTEXTS = 50
"""With so many combinations of the values of outer parameters an inner one is checked."""


def check_fixed(model: Any, config: EstimatorConfig, at: ConfigPath = ("model",)) -> list[Problem]:
    """Hold the fixed parameters of a built model, whose section stands `at`, against its constraints."""
    fixed: list[tuple[ConfigPath, str]] = [((*at, "params", name), name) for name in config.params]
    for step, each in (config.pipeline or {}).items():
        own = each.params if each.pipeline is None else ()  # a nested pipeline was checked when it was made
        fixed += [((*at, "pipeline", step, "params", name), f"{step}__{name}") for name in own]
    values = model.get_params(deep=True)
    refused = [(path, refusal(model, name, values[name])) for path, name in fixed if name in values]
    return [Problem(message, path, code="refused-value") for path, message in refused if message]


def check_searched(
    model: Any, parameters: Mapping[str, Searched], trusted: Iterable[str], *, all_meet: bool = True
) -> list[Problem]:
    """Hold the searched parameters against the estimator.

    Args:
        model: The unfitted estimator, with the fixed parameters set.
        parameters: What is searched for it, by name.
        trusted: Packages that may be imported beside the usual ones.
        all_meet: Whether every value of a parameter meets all values of those that it is not conditional on; where
            constraints rule some out, a value has to fit only one of them.

    Returns:
        A problem for each unknown parameter and for each value that the estimator's constraints refuse.
    """
    return [problem for name in parameters for problem in _check_one(model, name, parameters, trusted, all_meet=all_meet)]


def _check_one(
    model: Any, name: str, parameters: Mapping[str, Searched], trusted: Iterable[str], *, all_meet: bool
) -> Iterator[Problem]:
    searched, contexts = parameters[name], _contexts(name, parameters)
    for where, value in _candidates(searched.spec):
        found = [_misfit(model, {**outer, name: value}, searched.path, where, trusted) for outer in contexts]
        problem = next(filter(None, found), None)
        if problem is None or not (all_meet or all(found)):
            continue
        yield problem
        if problem.at_key and problem.path == searched.path:  # the name is wrong, whatever the value
            return


def _contexts(name: str, parameters: Mapping[str, Searched]) -> list[dict[str, Any]]:
    """List the values of the parameters whose estimators a name leads into, as they meet in a trial."""
    outer = [each for each in parameters if each != name and _holds(each, name)]
    values = [parameters[name].when.get(each) or _values(parameters[each].spec) for each in outer]
    return [dict(zip(outer, chosen, strict=True)) for chosen in islice(product(*values), MOST_CONTEXTS)]


def _holds(outer: str, name: str) -> bool:
    """Return whether a parameter's value holds, or lists, the estimator that a name leads into."""
    head, _, last = outer.rpartition("__")
    return name.startswith(f"{outer}__") or (last in MEMBERS and name.startswith(f"{head}__" if head else ""))


def _misfit(model: Any, params: Mapping[str, Any], at: ConfigPath, where: ConfigPath, trusted: Iterable[str]) -> Problem | None:
    """Return why the last of some parameters, which stands `at`, cannot have its value, found `where` in it.

    What is wrong with the others is found where they are looked at themselves.
    """
    name, value = list(params.items())[-1]
    try:
        changed = set_params(copy_of(model), params, trusted, at[:-1])
    except EstimatorError as error:
        problem = error.problem
        if problem.path[: len(at)] != at:
            return None
        is_name = problem.at_key and problem.path == at
        return problem if is_name else replace(problem, path=(*at, *where, *problem.path[len(at) :]))
    message = refusal(changed, name, changed.get_params(deep=True).get(name, value))
    return Problem(message, (*at, *where), code="refused-value") if message else None


def first_value(spec: Spec) -> Any:
    """Return a value that a parameter may take: the first choice, or a range's lower end."""
    return spec.choices[0] if isinstance(spec, Choices) else (int(spec.low) if spec.is_int else float(spec.low))


def _values(spec: Spec) -> Sequence[Any]:
    return spec.choices if isinstance(spec, Choices) else [first_value(spec)]


def _candidates(spec: Spec) -> list[tuple[ConfigPath, Any]]:
    """List the values to hold against the constraints: every choice; of a range both ends, since constraints are intervals."""
    if isinstance(spec, Choices):
        return [(("choices", index), value) for index, value in enumerate(spec.choices)]
    kind = int if spec.is_int else float
    return [(("low",), kind(spec.low)), (("high",), kind(spec.high))]


_Called = tuple[tuple[tuple[type, ...], str], ...]
"""What a value may be a parameter as: the classes that may have it, and its name; where there are no classes, any may."""

_LABELS = frozenset({"class_weight"})
"""Parameters whose mappings have class labels for keys; the keys of any other may name parameters, as in ``param_grid``."""

Covers = Callable[[pathlib.Path], bool]
"""Whether the person at the keyboard trusts a file or folder."""


@dataclass(frozen=True)
class FileParameter:
    """What a parameter would do.

    Args:
        package: The package of the estimators that have it.
        names: Its name and its aliases.
        why: What happens with its value, as the end of a sentence.
        values: The values that do it; empty for all but null and false.
        is_path: Whether its value is a path, which can be trusted; else nothing is.
    """

    package: str
    names: tuple[str, ...]
    why: str
    values: tuple[Any, ...] = ()
    is_path: bool = True

    def means(self, value: Any) -> bool:
        """Return whether a value does it."""
        return value in self.values if self.values else value is not None and value is not False


FILE_PARAMETERS = (
    FileParameter("sklearn", ("memory",), "joblib writes into that folder, and unpickles what lies there"),
    FileParameter("sklearn", ("input",), "it reads the files that the table names", ("filename",), is_path=False),
    FileParameter(
        "lightgbm",
        ("forcedsplits_filename", "fs", "forced_splits_filename", "forced_splits_file", "forced_splits"),
        "LightGBM reads that file",
    ),
    FileParameter("lightgbm", ("forcedbins_filename",), "LightGBM reads that file"),
    FileParameter("lightgbm", ("parser_config_file",), "LightGBM reads that file"),
    FileParameter("lightgbm", ("input_model", "model_input", "model_in"), "LightGBM reads that file"),
    FileParameter("lightgbm", ("config", "config_file"), "LightGBM reads that file"),
    FileParameter(
        "lightgbm", ("data", "train", "train_data", "train_data_file", "data_filename"), "LightGBM reads that file", is_path=False
    ),
    FileParameter(
        "lightgbm",
        ("valid", "test", "valid_data", "valid_data_file", "test_data", "test_data_file", "valid_filenames"),
        "LightGBM reads that file",
        is_path=False,
    ),
    FileParameter("lightgbm", ("output_model", "model_output", "model_out"), "LightGBM writes that file"),
    FileParameter(
        "lightgbm",
        ("output_result", "predict_result", "prediction_result", "predict_name", "prediction_name", "pred_name", "name_pred"),
        "LightGBM writes that file",
    ),
    FileParameter("lightgbm", ("convert_model", "convert_model_file"), "LightGBM writes that file"),
    FileParameter("lightgbm", ("snapshot_freq", "save_period"), "LightGBM writes files", is_path=False),
    FileParameter("lightgbm", ("save_binary", "is_save_binary", "is_save_binary_file"), "LightGBM writes files", is_path=False),
    FileParameter(
        "lightgbm",
        ("machines", "workers", "nodes", "machine_list_filename", "machine_list_file", "machine_list", "mlist"),
        "LightGBM connects to other machines",
        is_path=False,
    ),
    FileParameter(
        "lightgbm",
        ("num_machines", "num_machine", "local_listen_port", "local_port", "port"),
        "LightGBM connects to other machines",
        is_path=False,
    ),
    FileParameter("catboost", ("train_dir",), "CatBoost writes into that folder, and reads snapshots from it"),
    FileParameter("catboost", ("snapshot_file",), "CatBoost goes on from that file, and writes it"),
    FileParameter("catboost", ("save_snapshot",), "each trial would go on from another's snapshot", is_path=False),
    FileParameter("catboost", ("input_borders",), "CatBoost reads that file"),
    FileParameter("catboost", ("output_borders",), "CatBoost writes that file"),
)
"""The whole list. A parameter that is not in it neither reads nor writes a file that its value names."""


def find_refused(
    model: Any,
    params: Mapping[str, Any],
    covers: Covers,
    trusted: Iterable[str],
    path: ConfigPath,
    *,
    outer: Mapping[str, Iterable[Any]] | None = None,
) -> Iterator[Problem]:
    """Find the parameters of an estimator, and of those nested in it, that would read or write what nobody trusts.

    Args:
        model: The unfitted estimator, or its class.
        params: As a config has them: nested estimators are ``{estimator, params}``.
        covers: Whether a path is trusted.
        trusted: Packages that nested estimators may come from, beside the usual ones.
        path: Where the parameters stand.
        outer: Other values of parameters, by name, that may hold the estimator that ``step__name`` leads to.
    """
    within = (*classes_of(model), *_classes_in([params, outer or {}], trusted))
    for name, value in params.items():
        if not isinstance(name, str):  # reported where the parameter is set
            continue
        called = ((tuple(_owners(model, name, outer or {}, trusted)), name.rpartition("__")[2]),)
        yield from _refused(called, value, covers=covers, trusted=trusted, path=(*path, name), within=within)


def find_in_value(value: Any, covers: Covers, trusted: Iterable[str], path: ConfigPath) -> Iterator[Problem]:
    """Find the same in a nested estimator or pipeline that stands at `path`; see `find_refused`."""
    yield from _refused((), value, covers=covers, trusted=trusted, path=path, within=tuple(_classes_in(value, trusted)))


def _owners(model: Any, name: str, outer: Mapping[str, Iterable[Any]], trusted: Iterable[str]) -> list[type]:
    """Return the classes that a parameter may belong to; none where that cannot be told."""
    head = name.rpartition("__")[0]
    if not head:
        return [model if isinstance(model, type) else type(model)]
    if any(head.startswith(f"{each}__") or each.rpartition("__")[2] in MEMBERS for each in outer):
        return []  # what holds its owner is replaced as a whole
    inner = None if isinstance(model, type) else model.get_params(deep=True).get(head)
    found = [type(inner)] if hasattr(inner, "get_params") else []
    values = list(outer.get(head, ()))
    if any(map(is_pipeline, values)):
        found.append(_pipeline())
    return found + [each for value in values if (each := _class_of(value, trusted)) is not None]


def classes_of(model: Any) -> Iterator[type]:
    """Yield the classes of an estimator and of those that are set in it."""
    yield model if isinstance(model, type) else type(model)
    if not isinstance(model, type) and hasattr(model, "get_params"):
        yield from (type(each) for each in model.get_params(deep=True).values() if hasattr(each, "get_params"))


def _classes_in(value: Any, trusted: Iterable[str]) -> Iterator[type]:
    """Yield the classes of the estimators that a value names, at any depth, as text alone too."""
    yield from (found for dotted in set(dotted_paths(value)) if (found := _class_of(dotted, trusted)) is not None)


def _class_of(value: Any, trusted: Iterable[str]) -> type | None:
    """Return the class that a dotted path or ``{estimator: dotted.path}`` names; None where it names none, reported elsewhere."""
    dotted = value.get("estimator") if isinstance(value, dict) else value
    if not isinstance(dotted, str) or not is_dotted(dotted):
        return None
    try:
        return find_class(dotted, trusted, ())
    except EstimatorError:
        return None


def _pipeline() -> type:
    from sklearn.pipeline import Pipeline

    found: type = Pipeline
    return found


def _refused(
    called: _Called, value: Any, *, covers: Covers, trusted: Iterable[str], path: ConfigPath, within: tuple[type, ...]
) -> Iterator[Problem]:
    for owners, name in called if not isinstance(value, list) else ():  # of a list, each value is looked at
        if (message := _why_refused(owners, name, value, covers)) is not None:
            yield Problem(message, path, code="untrusted")
            return
    nested = _pipeline() if is_pipeline(value) else _class_of(value, trusted) if isinstance(value, dict) else None
    if nested is not None:
        for step, each in steps_of(value).items():
            yield from _refused((), each, covers=covers, trusted=trusted, path=(*path, "pipeline", step), within=within)
        yield from find_refused(nested, params_of(value), covers, trusted, (*path, "params"), outer=_steps_outer(value))
    elif isinstance(value, list | dict):
        has_names = isinstance(value, dict) and not _LABELS.intersection(name for _, name in called)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            also: _Called = ((within, key.rpartition("__")[2]),) if has_names and isinstance(key, str) else ()
            yield from _refused((*called, *also), item, covers=covers, trusted=trusted, path=(*path, key), within=within)


def _steps_outer(value: Any) -> dict[str, list[Any]]:
    """Return a nested pipeline's steps as what its parameters, ``step__name``, lead to."""
    return {step: [each] for step, each in steps_of(value).items()}


def _why_refused(owners: Iterable[type], name: str, value: Any, covers: Covers) -> str | None:
    packages = {base.__module__.partition(".")[0] for owner in owners for base in owner.__mro__}
    if "lightgbm" in packages and isinstance(value, str) and len(value.split()) > 1:
        return "LightGBM reads what follows a space as another parameter; leave the space out"
    for each in FILE_PARAMETERS:
        if name not in each.names or (owners and each.package not in packages) or not each.means(value):
            continue
        if not each.is_path or not isinstance(value, str):
            return f"{name} is not for a sweep: {each.why}"
        if not covers(found := pathlib.Path(value).expanduser()):  # as joblib reads it
            return f"{each.why}; {_how_to_trust(found)}"
    return None


def _how_to_trust(path: pathlib.Path) -> str:
    given = f"run with --trust {shell_word(path)} if you trust it"
    return given if path.exists() else f"there is none yet: make it, and {given}"


@dataclass(frozen=True)
class ModelFactory:
    """Makes the estimator of a trial.

    Args:
        templates: The unfitted estimators with their fixed parameters, by family; under None where there is only one.
        seed: For every ``random_state`` that is None.
        chosen: Parameters that the config sets itself, by family, which no seed replaces.
        trusted: Packages that nested estimators may come from, beside the usual ones.
        paths: Resolved files and folders that parameters may name.
        preprocessed: The families whose columns are prepared; see `evaluation.preprocessing`.
        inputs: What the table hands over; see `evaluation.library_inputs`.
        stopping: When the models stop that are to stop early, by family.
    """

    templates: Mapping[str | None, Any]
    seed: int
    chosen: Mapping[str | None, frozenset[str]]
    trusted: tuple[str, ...] = ()
    paths: tuple[pathlib.Path, ...] = ()
    preprocessed: frozenset[str | None] = frozenset()
    inputs: TableInputs = field(default_factory=TableInputs)
    stopping: Mapping[str | None, EarlyStoppingConfig] = field(default_factory=dict)

    def stopping_of(self, params: Params) -> EarlyStoppingConfig | None:
        """Return when a model with these parameters stops; None where it makes all its iterations."""
        return self.stopping.get(self._family(params))

    def _family(self, params: Params) -> str | None:
        return None if None in self.templates else params[FAMILY]

    def make(self, params: Params, *, repeat: int = 0, iterations: int | None = None) -> Any:
        """Make an unfitted estimator with these parameters.

        Args:
            params: The searched parameters, and the family where there are several.
            repeat: Which seed: the first, the one after it, and so on.
            iterations: How many iterations a model makes that would stop early; None for what its parameters say.

        Raises:
            EstimatorError: The parameters are not right for it, or name a file that nobody trusts: those of a trial that was
                recorded come from the store, where others may write.
        """
        if self.trusted:
            start_scripts_as_usual()
        family = self._family(params)
        own = {name: value for name, value in params.items() if family is None or name != FAMILY}
        model, path = copy_of(self.templates[family]), ("search", "parameters")
        outer = {name: [value] for name, value in own.items()}
        for problem in find_refused(model, own, lambda each: lies_in(each, self.paths), self.trusted, path, outer=outer):
            raise EstimatorError(problem)
        set_params(model, own, self.trusted, path)
        if iterations is not None and family in self.stopping:
            set_iterations(model, iterations)
        if threads := open_threads(model):
            model.set_params(**threads)
        kept = {name for name in self.chosen[family] if not any(name.startswith(f"{replaced}__") for replaced in own)}
        chosen = {*kept, *names_set(own)}
        if family in self.preprocessed:
            model = preprocessed(model)
            chosen = {f"{last_step(model)}__{name}" for name in chosen}
        return adapted(set_seed(model, self.seed + repeat, except_for=chosen), self.inputs)
