"""Options that a config hands through to Optuna's classes, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from wine_sweep.config import METHODS, BudgetConfig, PrunerConfig, PrunerType, SearchConfig
from wine_sweep.search.methods import check_method
from wine_sweep.search.optuna_options import OptionError, make_pruner, make_sampler

SAMPLERS = [method.name for method in METHODS.values() if method.sampler]


def search(method="tpe", **keys) -> SearchConfig:
    return SearchConfig.model_validate({"parameters": {"a": [1, 2]}, "trials": 80, "method": method, **keys})


def sampler(method, **options):
    if method == "gp":
        pytest.importorskip("torch", reason="method gp needs torch, an extra")
    return make_sampler(search(method, sampler=options), conditional=False)


def pruner(kind, **options):
    return make_pruner(PrunerConfig.model_validate({"type": kind, **options}), None, 5)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("random", {"n": 1}, "Optuna's RandomSampler has no such option; it has no options"),
        (
            "tpe",
            {"n_startup": 1},
            "Optuna's TPESampler has no such option; did you mean 'n_startup_trials'? Allowed: n_startup_trials",
        ),
        ("tpe", {"seed": 1}, "Optuna's TPESampler has no such option; allowed: n_startup_trials"),
        ("tpe", {"gamma": 1}, "Optuna's TPESampler has no such option; allowed: n_startup_trials"),
        ("tpe", {"n_startup_trials": 1.5}, "Optuna's TPESampler takes int here, got 1.5"),
        ("tpe", {"multivariate": 1}, "Optuna's TPESampler takes bool | None here, got 1"),
        ("cmaes", {"sigma0": "big"}, "Optuna's CmaEsSampler takes float | None here, got 'big' (text)"),
        ("cmaes", {"sigma0": True}, "Optuna's CmaEsSampler takes float | None here, got true"),
        ("qmc", {"qmc_type": "sobl"}, "Optuna's QMCSampler does not take it: "),
        (
            "nsga2",
            {"crossover": "uniforn"},
            "got 'uniforn' (text); did you mean 'uniform'? Allowed: uniform, blxalpha, spx, sbx, ",
        ),
        ("tpe", {"n_ei_candidates": 0}, "must be at least 1, got 0"),
        ("tpe", {"n_startup_trials": -1}, "must be at least 0, got -1"),
        ("cmaes", {"sigma0": -1.0}, "must be at least 1e-09, got -1.0"),
        ("cmaes", {"popsize": 1}, "must be at least 2, got 1"),
        ("nsga3", {"dividing_parameter": 0}, "must be at least 1, got 0"),
        ("nsga3", {"crossover": [5]}, "got a list; allowed: uniform, blxalpha, spx, sbx, vsbx, undx"),
        ("nsga2", {"population_size": 1}, "Optuna's NSGAIISampler does not take it: "),
        ("nsga2", {"mutation_prob": 2.0}, "Optuna's NSGAIISampler does not take it: "),
        ("gp", {"deterministic_objective": "yes"}, "Optuna's GPSampler takes bool here, got 'yes' (text)"),
    ],
)
def test_a_wrong_option_of_a_sampler_is_told(method, options, message):
    with pytest.raises(OptionError) as caught:
        sampler(method, **options)
    assert str(caught.value).startswith(message)
    if "does not take it" not in message:
        assert caught.value.option == next(iter(options))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("percentile", {}, "Optuna's PercentilePruner needs `percentile`"),
        ("percentile", {"percentile": 200.0}, "Optuna's PercentilePruner does not take it: "),
        ("percentile", {"percentile": "a"}, "Optuna's PercentilePruner takes float here, got 'a' (text)"),
        ("median", {"n_warmup": 1}, "Optuna's MedianPruner has no such option; did you mean 'n_warmup_steps'? Allowed: "),
        ("threshold", {}, "Optuna's ThresholdPruner does not take it: "),
        ("patient", {}, "Optuna's PatientPruner needs `patience`"),
        ("patient", {"patience": 1, "wrapped_pruner": "medan"}, "got 'medan' (text); did you mean 'median'? Allowed: median, "),
        ("patient", {"patience": 1, "wrapped_pruner": 5}, "got 5; allowed: median, "),
        ("patient", {"patience": 1, "wrapped_pruner": "percentile"}, "Optuna's PercentilePruner needs `percentile`"),
        ("hyperband", {"reduction_factor": 1}, "Optuna's SuccessiveHalvingPruner does not take it: "),
        ("hyperband", {"max_resource": 0}, "must be at least 1, got 0"),
        ("successive_halving", {"min_resource": 0}, "Optuna's SuccessiveHalvingPruner does not take it: "),
        ("wilcoxon", {"p_threshold": 3.0}, "Optuna's WilcoxonPruner does not take it: "),
    ],
)
def test_a_wrong_option_of_a_pruner_is_told(kind, options, message):
    with pytest.raises(OptionError) as caught:
        pruner(kind, **options)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("method", SAMPLERS)
def test_every_method_has_a_sampler_and_takes_no_option_that_it_does_not_know(method):
    assert sampler(method) is not None
    with pytest.raises(OptionError):
        sampler(method, no_such_option=1)


@pytest.mark.parametrize("kind", PrunerType)
def test_every_pruner_is_made_and_takes_no_option_that_it_does_not_know(kind):
    needed = {"percentile": {"percentile": 25}, "threshold": {"lower": 0}, "patient": {"patience": 2}}.get(kind, {})
    assert pruner(kind, **needed) is not None
    with pytest.raises(OptionError, match="has no such option"):
        pruner(kind, **needed, no_such_option=1)


@pytest.mark.parametrize(
    ("method", "options", "attribute", "value"),
    [
        ("tpe", {"n_startup_trials": 7}, "_n_startup_trials", 7),
        ("tpe", {"multivariate": False}, "_multivariate", False),
        ("cmaes", {"sigma0": 0.25}, "_sigma0", 0.25),
        ("qmc", {"qmc_type": "halton"}, "_qmc_type", "halton"),
        ("nsga2", {"population_size": 12}, "_population_size", 12),
        ("nsga3", {"population_size": 12}, "_population_size", 12),
    ],
)
def test_options_arrive(method, options, attribute, value):
    assert getattr(sampler(method, **options), attribute) == value


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["uniform", "blxalpha", "spx", "sbx", "vsbx", "undx"])
@pytest.mark.parametrize("method", ["nsga2", "nsga3"])
def test_every_crossover_makes_children(method, name, kit):
    parameters = {each: {"low": 0.0, "high": 1.0} for each in "abc"}
    config = search(method, parameters=parameters, sampler={"crossover": name, "population_size": 6})
    from wine_sweep.search.space import Space

    space = Space.of(config)
    points = kit.run(config, space, 20, lambda point: point["a"]).points
    assert all(space.contains(point) for point in points)


@pytest.mark.parametrize(("trials", "population"), [(8, 10), (80, 10), (160, 20), (1000, 50)])
def test_a_population_is_an_eighth_of_the_trials(trials, population):
    assert make_sampler(search("nsga2", trials=trials), conditional=False)._population_size == population


def test_problems_stand_at_the_option():
    config = search("tpe", sampler={"n_startup": 1}, pruner={"type": "median", "n_warmup": 1})
    assert [problem.path for problem in check_method(config, steps=5)] == [
        ("search", "sampler", "n_startup"),
        ("search", "pruner", "n_warmup"),
    ]


def test_halving_takes_its_factor_from_the_budget():
    budget = BudgetConfig(parameter="n", min=1, max=64, factor=4)
    made = make_pruner(PrunerConfig(type="successive_halving"), budget, 4)
    assert made._reduction_factor == 4
    assert make_pruner(PrunerConfig(type="hyperband"), budget, 4)._max_resource == 64


@pytest.mark.parametrize(("options", "expected"), [({}, "auto"), ({"max_resource": 50}, 50), ({"reduction_factor": 2}, "auto")])
def test_hyperband_goes_by_the_trials_where_nobody_knows_how_many_steps_there_are(options, expected):
    made = make_pruner(PrunerConfig.model_validate({"type": "hyperband", **options}), None, 0)
    assert made._max_resource == expected
    with pytest.raises(OptionError, match="reduction_factor"):
        make_pruner(PrunerConfig.model_validate({"type": "hyperband", "reduction_factor": 1}), None, 0)


def test_what_needs_torch_says_so_where_there_is_none(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = check_method(search("gp"), steps=5)
    assert problem.path == ("search", "method")
    assert "pip install 'wine-sweep[gp]'" in problem.message
