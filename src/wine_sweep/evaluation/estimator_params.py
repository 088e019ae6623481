"""Check a trial's parameters against its estimator, refuse those that name files, and build the unfitted estimator.

A config is data, and so is what lies beside it: a folder that joblib caches in holds pickles, and whoever loads one runs it. Such
a parameter takes a path that the person at the keyboard trusts, or is refused. The list was found by an audit hook over fitting
every estimator with text for every parameter that takes text, which ``tests/security`` does again; LightGBM and CatBoost
read their files in C++, where no hook hears of it, so theirs is from their documentation.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import FAMILY, Choices, EstimatorConfig, Range
from wine_sweep.errors import ConfigPath, Problem
from wine_sweep.evaluation.estimators import EstimatorError, copy_of, find_class, materialize, refusal, set_params, set_seed
from wine_sweep.evaluation.library_params import open_threads
from wine_sweep.importing import lies_in, start_scripts_as_usual
from wine_sweep.messages import shell_word
from wine_sweep.trial import Params

Spec = Choices | Range
Searched = tuple[Spec, ConfigPath]
"""A searched parameter's values, and where they stand in the config."""


def check_fixed(model: Any, config: EstimatorConfig, at: ConfigPath = ("model",)) -> list[Problem]:
    """Hold the fixed parameters of a built model, whose section stands `at`, against its constraints."""
    fixed: list[tuple[ConfigPath, str]] = [((*at, "params", name), name) for name in config.params]
    for step, each in (config.pipeline or {}).items():
        fixed += [((*at, "pipeline", step, "params", name), f"{step}__{name}") for name in each.params]
    values = model.get_params(deep=True)
    refused = [(path, refusal(model, name, values[name])) for path, name in fixed if name in values]
    return [Problem(message, path, code="refused-value") for path, message in refused if message]


def check_searched(model: Any, parameters: Mapping[str, Searched], trusted: Iterable[str]) -> list[Problem]:
    """Hold the searched parameters against the estimator.

    Args:
        model: The unfitted estimator, with the fixed parameters set.
        parameters: What is searched for it, by name.
        trusted: Packages that may be imported beside the usual ones.

    Returns:
        A problem for each unknown parameter and for each value that the estimator's constraints refuse.
    """
    return [problem for name in parameters for problem in _check_one(model, name, parameters, trusted)]


def _check_one(model: Any, name: str, parameters: Mapping[str, Searched], trusted: Iterable[str]) -> list[Problem]:
    problems: list[Problem] = []
    outer = {each: first_value(spec) for each, (spec, _) in parameters.items() if name.startswith(f"{each}__")}
    spec, at = parameters[name]
    for where, value in _candidates(spec):
        path = (*at, *where)
        try:
            candidate = materialize(value, trusted, path)
            changed = set_params(copy_of(model), {**outer, name: candidate}, trusted, at[:-1])
        except EstimatorError as error:
            problems.append(error.problem)
            if error.problem.at_key:  # the name is wrong, whatever the value
                break
            continue
        message = refusal(changed, name, candidate)
        if message:
            problems.append(Problem(message, path, code="refused-value"))
    return problems


def first_value(spec: Spec) -> Any:
    """Return a value that a parameter may take: the first choice, or a range's lower end."""
    return spec.choices[0] if isinstance(spec, Choices) else (int(spec.low) if spec.is_int else float(spec.low))


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


def _owners(model: Any, name: str, outer: Mapping[str, Iterable[Any]], trusted: Iterable[str]) -> list[type]:
    """Return the classes that a parameter may belong to; none where that cannot be told."""
    head = name.rpartition("__")[0]
    if not head:
        return [model if isinstance(model, type) else type(model)]
    inner = None if isinstance(model, type) else model.get_params(deep=True).get(head)
    found = [type(inner)] if hasattr(inner, "get_params") else []
    return found + [each for value in outer.get(head, ()) if (each := _class_of(value, trusted)) is not None]


def classes_of(model: Any) -> Iterator[type]:
    """Yield the classes of an estimator and of those that are set in it."""
    yield model if isinstance(model, type) else type(model)
    if not isinstance(model, type) and hasattr(model, "get_params"):
        yield from (type(each) for each in model.get_params(deep=True).values() if hasattr(each, "get_params"))


def _classes_in(value: Any, trusted: Iterable[str]) -> Iterator[type]:
    """Yield the classes of the estimators that a value names, at any depth."""
    if (found := _class_of(value, trusted)) is not None:
        yield found
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _classes_in(item, trusted)


def _class_of(value: Any, trusted: Iterable[str]) -> type | None:
    """Return the class that ``{estimator: dotted.path}`` names; None where it names none, which is reported elsewhere."""
    if not isinstance(value, dict) or not isinstance(value.get("estimator"), str):
        return None
    try:
        return find_class(value["estimator"], trusted, ())
    except EstimatorError:
        return None


def _refused(
    called: _Called, value: Any, *, covers: Covers, trusted: Iterable[str], path: ConfigPath, within: tuple[type, ...]
) -> Iterator[Problem]:
    for owners, name in called if not isinstance(value, list) else ():  # of a list, each value is looked at
        if (message := _why_refused(owners, name, value, covers)) is not None:
            yield Problem(message, path, code="untrusted")
            return
    if (nested := _class_of(value, trusted)) is not None:
        inner = value.get("params")
        if isinstance(inner, dict):
            yield from find_refused(nested, inner, covers, trusted, (*path, "params"))
    elif isinstance(value, list | dict):
        has_names = isinstance(value, dict) and not _LABELS.intersection(name for _, name in called)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            also: _Called = ((within, key.rpartition("__")[2]),) if has_names and isinstance(key, str) else ()
            yield from _refused((*called, *also), item, covers=covers, trusted=trusted, path=(*path, key), within=within)


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
    """

    templates: Mapping[str | None, Any]
    seed: int
    chosen: Mapping[str | None, frozenset[str]]
    trusted: tuple[str, ...] = ()
    paths: tuple[pathlib.Path, ...] = ()

    def make(self, params: Params, *, repeat: int = 0) -> Any:
        """Make an unfitted estimator with these parameters.

        Args:
            params: The searched parameters, and the family where there are several.
            repeat: Which seed: the first, the one after it, and so on.

        Raises:
            EstimatorError: The parameters are not right for it, or name a file that nobody trusts: those of a trial that was
                recorded come from the store, where others may write.
        """
        if self.trusted:
            start_scripts_as_usual()
        family = None if None in self.templates else params[FAMILY]
        own = {name: value for name, value in params.items() if family is None or name != FAMILY}
        model, path = copy_of(self.templates[family]), ("search", "parameters")
        outer = {name: [value] for name, value in own.items()}
        for problem in find_refused(model, own, lambda each: lies_in(each, self.paths), self.trusted, path, outer=outer):
            raise EstimatorError(problem)
        set_params(model, own, self.trusted, path)
        if threads := open_threads(model):
            model.set_params(**threads)
        return set_seed(model, self.seed + repeat, except_for=self.chosen[family] | set(own))
