"""Optuna's samplers and pruners by their short names, and our parameters as its distributions."""

from __future__ import annotations

import inspect
import logging
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, cast

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from wine_sweep.config import BudgetConfig, Choices, Method, PrunerConfig, PrunerType, SearchConfig
from wine_sweep.importing import import_file, start_scripts_as_usual
from wine_sweep.messages import did_you_mean, one_of, show
from wine_sweep.search.space import Axis, Dimension


class Codec:
    """Translates one parameter.

    Optuna sees choices by their positions, so that ``1``, ``1.0``, ``true`` and lists stay different; and floats in steps
    by their numbers, whose last step it would miss.

    Args:
        dimension: The parameter.
        method: What suggests its values.
    """

    def __init__(self, dimension: Dimension, method: Method) -> None:
        spec = dimension.spec
        by_position = isinstance(spec, Choices) or (not spec.is_int and spec.step is not None)
        self._dimension = dimension
        self._axis = Axis(spec) if by_position else None
        self.distribution: CategoricalDistribution | IntDistribution | FloatDistribution = self._distribution(
            as_numbers=method.as_numbers
        )

    def encode(self, value: Any) -> Any:
        """Return what Optuna sees for a value."""
        return self._axis.position(value) if self._axis is not None else value

    def decode(self, value: Any) -> Any:
        """Return the value for what Optuna suggests."""
        return self._axis[value] if self._axis is not None else self._dimension.typed(value)

    def suggest(self, trial: Trial) -> Any:
        """Have a trial of Optuna's suggest what it sees for a value."""
        key, each = self._dimension.key, self.distribution
        if isinstance(each, CategoricalDistribution):
            return trial.suggest_categorical(key, each.choices)
        if isinstance(each, IntDistribution):
            return trial.suggest_int(key, each.low, each.high, step=each.step, log=each.log)
        return trial.suggest_float(key, each.low, each.high, log=each.log)

    def _distribution(self, *, as_numbers: bool) -> CategoricalDistribution | IntDistribution | FloatDistribution:
        spec = self._dimension.spec
        if self._axis is not None:
            if isinstance(spec, Choices) and not as_numbers:
                return CategoricalDistribution(range(len(self._axis)))
            return IntDistribution(0, len(self._axis) - 1)
        assert not isinstance(spec, Choices)  # choices are seen by their positions
        if spec.is_int:
            step = int(spec.step or 1)
            return IntDistribution(int(spec.low), int(spec.high - (spec.high - spec.low) % step), log=spec.log, step=step)
        return FloatDistribution(float(spec.low), float(spec.high), log=spec.log)


STUDY_NAME = "sweep"
"""Always the same: Hyperband chooses a trial's bracket by the study's name, which would be another in every run."""

POPULATIONS = (10, 50)
"""Smallest and largest population of NSGA unless the config says otherwise: an eighth of the trials within these."""

_OBJECTS = frozenset(
    {
        "seed", "constraints_func", "independent_sampler", "mutation", "elite_population_selection_strategy",
        "child_generation_strategy", "after_trial_strategy", "gamma", "weights", "source_trials", "x0", "reference_points",
        "warn_independent_sampling", "warn_asynchronous_seeding", "consider_prior", "prior_weight", "consider_magic_clip",
        "consider_endpoints",
    }
)  # fmt: skip
"""What a config cannot give as plain values, or gives elsewhere (the seed), or what Optuna is about to drop."""

_PRUNERS: dict[PrunerType, type[BasePruner]] = {
    PrunerType.MEDIAN: optuna.pruners.MedianPruner,
    PrunerType.PERCENTILE: optuna.pruners.PercentilePruner,
    PrunerType.HYPERBAND: optuna.pruners.HyperbandPruner,
    PrunerType.SUCCESSIVE_HALVING: optuna.pruners.SuccessiveHalvingPruner,
    PrunerType.THRESHOLD: optuna.pruners.ThresholdPruner,
    PrunerType.PATIENT: optuna.pruners.PatientPruner,
    PrunerType.WILCOXON: optuna.pruners.WilcoxonPruner,
}


_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "bool": (bool,), "str": (str,), "None": (type(None),),
}  # fmt: skip


_LEAST = {"n_startup_trials": 0, "n_ei_candidates": 1, "popsize": 2, "sigma0": 1e-9, "dividing_parameter": 1, "max_resource": 1}
"""Lowest values of options that Optuna's classes look at only when they are used, in the middle of a sweep."""


class OptionError(ValueError):
    """An option that Optuna's class does not have or does not take; `option` names it, or is None for all together."""

    def __init__(self, message: str, option: str | None) -> None:
        super().__init__(message)
        self.option = option


_CROSSOVERS: dict[str, type] = {
    "uniform": optuna.samplers.nsgaii.UniformCrossover,
    "blxalpha": optuna.samplers.nsgaii.BLXAlphaCrossover,
    "spx": optuna.samplers.nsgaii.SPXCrossover,
    "sbx": optuna.samplers.nsgaii.SBXCrossover,
    "vsbx": optuna.samplers.nsgaii.VSBXCrossover,
    "undx": optuna.samplers.nsgaii.UNDXCrossover,
}


def make_sampler(config: SearchConfig, *, conditional: bool) -> BaseSampler:
    """Make the sampler that a config names, with its options.

    Args:
        config: The section `search`, its method one that has a sampler.
        conditional: Whether some parameters are searched only sometimes.

    Raises:
        OptionError: An option of `sampler` is unknown or wrong.
    """
    found = sampler_class(config.method)
    options = _options(found, config.sampler)
    if "crossover" in options and not config.method.source:
        options["crossover"] = _crossover(options["crossover"])
    sampler: BaseSampler = _construct(found, {**_defaults(found, config, conditional=conditional), **options})
    return sampler


DECLARED = ("learns", "objectives", "learns_limits", "fixed_space", "generational", "as_numbers")
"""Traits that the class of a sampler of the user's own may declare, as attributes; see `Method`."""


def declared_traits(method: Method) -> dict[str, Any]:
    """Return the traits of a sampler of the user's own: what its class declares; else it learns, and has one objective.

    Raises:
        OptionError: The class cannot be imported, is no sampler, or declares something else than a trait.
    """
    found = sampler_class(method)
    traits: dict[str, Any] = {"objectives": 1, "learns_limits": False}
    traits |= {name: getattr(found, name) for name in DECLARED if hasattr(found, name)}
    for name, value in traits.items():
        is_count = value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
        if not (is_count if name == "objectives" else isinstance(value, bool)):
            allowed = "a number of objectives, or None for any" if name == "objectives" else "True or False"
            raise OptionError(f"{method.sampler}.{name} is {value!r:.40}; a class says {allowed} there", None)
    takes = inspect.signature(found).parameters
    return {**traits, "is_seeded": "seed" in takes or any(each.kind is each.VAR_KEYWORD for each in takes.values())}


def sampler_class(method: Method) -> type[BaseSampler]:
    """Return the class of a method's sampler; one of the user's own is imported, and whoever asks has made sure of the trust.

    Raises:
        OptionError: It cannot be imported, or is no sampler.
    """
    if not method.source:
        optunas: type[BaseSampler] = getattr(optuna.samplers, method.sampler)
        return optunas
    start_scripts_as_usual()
    try:
        with redirect_stdout(sys.stderr):
            module = import_file(method.file) if method.file is not None else import_module(method.source)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may call sys.exit
        raise OptionError(f"{method.source} cannot be imported: {type(error).__name__}: {error}", None) from error
    found = getattr(module, method.sampler, None)
    if found is None:
        classes = [name for name, value in vars(module).items() if _is_sampler(value)]
        raise OptionError(f"there is no class '{method.sampler}' in {method.source}{did_you_mean(method.sampler, classes)}", None)
    if not _is_sampler(found):
        raise OptionError(f"{method} is no sampler: it is to be a subclass of optuna.samplers.BaseSampler", None)
    return cast("type[BaseSampler]", found)


def _is_sampler(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseSampler) and not inspect.isabstract(value)


def make_pruner(config: PrunerConfig, budget: BudgetConfig | None, steps: int) -> BasePruner:
    """Make the pruner that a config names, with its options.

    Hyperband and successive halving count in resources: folds, or powers of the budget's factor; see `resource`.

    Args:
        config: The key `pruner`.
        budget: The key `budget`; None when a step is a fold.
        steps: How many steps a trial has; 0 where only the trial knows. Hyperband then goes by those that have finished.

    Raises:
        OptionError: An option is unknown or wrong.
    """
    found = _PRUNERS[config.type]
    options = _options(found, config.options)
    if counts_in_resources(config):
        factor = {"reduction_factor": budget.factor} if budget else {}
        options = {"min_resource": 1, **factor, **options}
        if config.type is PrunerType.HYPERBAND:
            options = {"max_resource": resource(steps, budget) if steps else "auto", **options}
            halving = {name: value for name, value in options.items() if name in ("min_resource", "reduction_factor")}
            _construct(optuna.pruners.SuccessiveHalvingPruner, halving)  # Hyperband itself only looks when it first prunes
    if config.type is PrunerType.PATIENT:
        options["wrapped_pruner"] = _wrapped(options.get("wrapped_pruner"), budget, steps)
    pruner: BasePruner = _construct(found, options)
    return pruner


def counts_in_resources(config: PrunerConfig) -> bool:
    """Return whether a pruner asks how much a trial has been given, and not only how many steps it has had."""
    return config.type in (PrunerType.HYPERBAND, PrunerType.SUCCESSIVE_HALVING)


def resource(steps: int, budget: BudgetConfig | None) -> int:
    """Describe how much a trial has been given after so many steps: that many folds, or the budget in units of the first."""
    return steps if budget is None else int(budget.factor ** (steps - 1))


def quieten() -> None:
    """Keep Optuna from logging each trial; ours is the log that counts."""
    optuna.logging.get_logger("optuna").setLevel(logging.ERROR)


def one_thread() -> None:
    """Have torch compute in one thread: its matrices are small, and beside busy workers two threads took 2 to 4 times longer."""
    import torch

    torch.set_num_threads(1)


def _wrapped(given: Any, budget: BudgetConfig | None, steps: int) -> BasePruner | None:
    if given is None:
        return None
    try:
        config = PrunerConfig.model_validate({"type": given} if isinstance(given, str) else given)
    except ValueError as error:
        raise OptionError(f"got {show(given)}; {one_of(given, list(PrunerType))}", "wrapped_pruner") from error
    return make_pruner(config, budget, steps)


def _defaults(found: type, config: SearchConfig, *, conditional: bool) -> dict[str, Any]:
    """Return our own defaults for those options that a sampler has; one of the user's own is given its seed."""
    if config.method.source:
        return {"seed": config.seed} if config.method.is_seeded else {}
    smallest, largest = POPULATIONS
    ours = {
        "seed": config.seed,
        "multivariate": True,
        "group": conditional,
        "constant_liar": True,
        "scramble": True,
        "warn_independent_sampling": False,
        "warn_asynchronous_seeding": False,
        "population_size": min(max((config.trials or largest * 8) // 8, smallest), largest),
    }
    return {name: ours[name] for name in inspect.signature(found).parameters if name in ours}


def _options(found: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Hold options against the parameters of a class: their names, and their types where these are plain."""
    called, is_optunas = _called(found), _is_optunas(found)
    left_out = _OBJECTS if is_optunas else {"seed"}
    takes = inspect.signature(found).parameters
    parameters = {name: each for name, each in takes.items() if name not in left_out and each.kind not in _VARIADIC}
    is_open = any(each.kind is each.VAR_KEYWORD for each in takes.values())
    for name, value in given.items():
        if name not in parameters and (name in left_out or not is_open):
            offer = one_of(name, parameters, most=20) if parameters else "it has no options"
            raise OptionError(f"{called} has no such option; {offer}", name)
        if name in parameters and not _fits(value, _annotation(parameters[name])):
            raise OptionError(f"{called} takes {_annotation(parameters[name])} here, got {show(value)}", name)
        if is_optunas and name in _LEAST and isinstance(value, int | float) and value < _LEAST[name]:
            raise OptionError(f"must be at least {_LEAST[name]}, got {show(value)}", name)
    missing = [name for name, each in parameters.items() if each.default is each.empty and name not in {*given, "wrapped_pruner"}]
    if missing:
        raise OptionError(f"{called} needs `{missing[0]}`", None)
    return dict(given)


def _is_optunas(found: type) -> bool:
    return found.__module__.partition(".")[0] == "optuna"


def _called(found: type) -> str:
    return f"Optuna's {found.__name__}" if _is_optunas(found) else found.__name__


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _annotation(parameter: inspect.Parameter) -> str:
    """Return a parameter's annotation as it is written, whether or not its module evaluates annotations."""
    found = parameter.annotation
    return found.__name__ if isinstance(found, type) else str(found)


def _fits(value: Any, annotation: str) -> bool:
    """Return whether a value is of one of the plain types that an annotation names; any other annotation takes anything."""
    kinds = [each.strip() for each in annotation.split("|")]
    if not set(kinds) <= _PLAIN.keys():
        return True
    if isinstance(value, bool):
        return "bool" in kinds
    return any(isinstance(value, _PLAIN[kind]) for kind in kinds)


def _crossover(name: Any) -> Any:
    if not isinstance(name, str) or name not in _CROSSOVERS:
        raise OptionError(f"got {show(name)}; {one_of(name, _CROSSOVERS)}", "crossover")
    return _construct(_CROSSOVERS[name], {})


def _construct(found: type, options: Mapping[str, Any]) -> Any:
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # standard output is for results
        warnings.simplefilter("ignore")  # of experimental arguments, which the config asks for
        try:
            return found(**options)
        except Exception as error:  # the class may be the user's own
            raise OptionError(f"{_called(found)} does not take it: {error}", None) from error
