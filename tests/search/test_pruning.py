"""Pruners on scripted trajectories: which trials are ended, and when."""

from __future__ import annotations

import pytest

from wine_sweep.config import Direction, Range, SearchConfig
from wine_sweep.search.methods import make_searcher
from wine_sweep.search.optuna_options import resource
from wine_sweep.search.searcher import Outcome
from wine_sweep.search.space import Space
from wine_sweep.trial import TrialState

STEPS = 9
GOOD = [1.0 + 0.01 * step for step in range(STEPS)]
BAD = [9.0 + 0.01 * step for step in range(STEPS)]
RISING = [1.0 + step for step in range(STEPS)]
"""Good at first, and worse from step to step."""

PRUNERS = {
    "median": {"n_startup_trials": 3},
    "percentile": {"percentile": 40.0, "n_startup_trials": 3},
    "hyperband": {"reduction_factor": 3},
    "successive_halving": {"reduction_factor": 3},
    "threshold": {"upper": 8.0},
    "wilcoxon": {"p_threshold": 0.1},
}
"""Pruners that end bad trials; `patient` ends such as stop getting better, whatever their level."""


def searcher(method, pruner, *, directions=(Direction.MINIMIZE,), steps=STEPS, **keys):
    parameters = {"x": Range(low=0, high=100_000)}
    ends = {} if method == "grid" else {"trials": 100}
    config = SearchConfig.model_validate({"method": method, "parameters": parameters, "pruner": pruner, **ends, **keys})
    return make_searcher(config, Space.of(config), directions=list(directions), steps=steps)


def walk(search, trajectory, *, others=()):
    """Run a trial step by step; the number of steps after which it was pruned, or None. The last step is not asked about."""
    suggestion = search.ask()
    for done in range(1, len(trajectory)):
        if search.prune(suggestion, trajectory[:done]):
            search.tell(suggestion, Outcome(TrialState.PRUNED))
            return done
    search.tell(suggestion, Outcome(TrialState.FINISHED, (sum(trajectory) / len(trajectory), *others)))
    return None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_bad_trials_are_pruned_and_the_best_never_is(method, pruner):
    search = searcher(method, {"type": pruner, **PRUNERS[pruner]}, parameters={"x": Range(low=0, high=50)})
    pruned = {"good": 0, "bad": 0}
    for number in range(12):
        best = [value - 0.001 * number for value in GOOD]  # each as good as all before it, or better
        pruned["good"] += walk(search, best) is not None
        pruned["bad"] += walk(search, BAD) is not None
    assert pruned["good"] == 0
    assert pruned["bad"] >= 6


@pytest.mark.slow
@pytest.mark.parametrize("pruner", PRUNERS)
def test_where_higher_is_better_the_low_ones_are_pruned(pruner):
    options = {"lower": -8.0} if pruner == "threshold" else PRUNERS[pruner]
    search = searcher("random", {"type": pruner, **options}, directions=[Direction.MAXIMIZE])
    found = []
    for number in range(12):
        good = walk(search, [-value + 0.001 * number for value in GOOD])
        found.append((good, walk(search, [-value for value in BAD])))
    assert [good for good, _ in found] == [None] * 12
    assert sum(bad is not None for _, bad in found) >= 6


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_trial_that_stops_getting_better_is_pruned_by_patience(method):
    search = searcher(method, {"type": "patient", "patience": 2})
    assert walk(search, RISING) == 4  # the first value, and three that are no better
    assert walk(search, [10.0 - step for step in range(STEPS)]) is None


def test_patience_holds_another_pruner_back():
    median = {"type": "median", "n_startup_trials": 2}
    patient = {"type": "patient", "patience": 3, "wrapped_pruner": median}
    for pruner, expected in ((median, 1), (patient, 5)):
        search = searcher("random", pruner)
        for _ in range(3):
            assert walk(search, [value - 0.1 * step for step, value in enumerate(GOOD)]) is None
        assert walk(search, [9.0 + step for step in range(STEPS)]) == expected


@pytest.mark.parametrize(("percentile", "expected"), [(10.0, 1), (90.0, None)])
def test_options_are_handed_through(percentile, expected):
    """The sixth best of ten is pruned among the best tenth, and not among the best nine tenths."""
    search = searcher("random", {"type": "percentile", "percentile": percentile, "n_startup_trials": 10})
    for level in range(10):
        assert walk(search, [float(level)] * STEPS) is None  # startup
    assert walk(search, [5.5] * STEPS) == expected


def test_warm_up_steps_are_handed_through():
    search = searcher("random", {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 4})
    for _ in range(3):
        walk(search, GOOD)
    assert walk(search, BAD) == 5


def test_the_mean_of_the_folds_so_far_is_what_a_pruner_sees():
    """One poor fold among good ones: the mean of the folds stays below the threshold, the fold does not."""
    search = searcher("random", {"type": "threshold", "upper": 4.0})
    assert walk(search, [1.0, 1.0, 5.0, 1.0, 1.0]) is None
    assert walk(search, [1.0, 1.0, 50.0, 1.0]) == 3


def test_at_a_larger_budget_only_its_own_mean_counts():
    budget = {"parameter": "n", "min": 1, "max": 16, "factor": 2}
    search = searcher("random", {"type": "threshold", "upper": 4.0}, budget=budget, steps=5)
    assert walk(search, [3.0, 3.0, 5.0, 3.0, 3.0]) == 3


@pytest.mark.parametrize("pruner", ["hyperband", "successive_halving"])
@pytest.mark.parametrize(
    ("budget", "steps"),
    [(None, 9), ({"parameter": "n", "min": 1, "max": 27, "factor": 3}, 4), ({"rows": 0.04, "factor": 3}, 4)],
    ids=["folds", "a parameter", "rows"],
)
def test_halving_ends_bad_trials_on_folds_and_on_budgets(pruner, budget, steps):
    keys = {"budget": budget} if budget else {}
    search = searcher("random", {"type": pruner, "reduction_factor": 3} if budget is None else pruner, steps=steps, **keys)
    ended = []
    for number in range(15):
        assert walk(search, [value - 0.001 * number for value in GOOD[:steps]]) is None
        ended.append(walk(search, [value + number for value in BAD[:steps]]))
    assert sum(each is not None for each in ended) >= 6
    assert {each for each in ended if each is not None} <= set(range(1, steps))
    assert min(each for each in ended if each is not None) == 1  # on the smallest budget already


@pytest.mark.parametrize(("steps", "budget", "expected"), [(1, None, 1), (5, None, 5), (1, 3, 1), (2, 3, 3), (4, 3, 27)], ids=str)
def test_halving_counts_folds_or_powers_of_the_factor(steps, budget, expected):
    search = SearchConfig.model_validate(
        {"parameters": {"x": [1]}, "pruner": "hyperband", **({"budget": {"rows": 0.01, "factor": budget}} if budget else {})}
    )
    assert resource(steps, search.budget) == expected


def test_hyperband_prunes_the_same_trials_every_time():
    """Optuna chooses brackets by the study's name; a random one would prune other trials in every run."""

    def ends():
        search = searcher("random", "hyperband", steps=27)
        return [walk(search, [float(number * 7 % 10)] * 27) for number in range(40)]

    first = ends()
    assert any(each is not None for each in first)
    assert ends() == first


@pytest.mark.quick(1)
@pytest.mark.parametrize("method", ["grid", "random", "tpe", "nsga2"])
@pytest.mark.parametrize("pruner", ["median", "hyperband", "successive_halving", "wilcoxon"])
def test_with_several_objectives_pruning_looks_at_the_first(method, pruner):
    directions = [Direction.MINIMIZE, Direction.MAXIMIZE]
    search = searcher(method, {"type": pruner, **PRUNERS[pruner]}, directions=directions)
    good, bad = [], []
    for number in range(10):
        good.append(walk(search, [value - 0.001 * number for value in GOOD], others=(0.0,)))  # poor in the second
        bad.append(walk(search, BAD, others=(100.0,)))
    assert good == [None] * 10
    assert sum(each is not None for each in bad) >= 4


def walk_at(search, trajectory, at):
    """Run a trial that reports at steps of its own; the step at which it was pruned, or None."""
    suggestion = search.ask()
    for done in range(1, len(at) + 1):
        if search.prune(suggestion, trajectory[:done], at[:done]):
            search.tell(suggestion, Outcome(TrialState.PRUNED))
            return at[done - 1]
    search.tell(suggestion, Outcome(TrialState.FINISHED, (trajectory[-1],)))
    return None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_trials_that_count_their_steps_themselves_are_pruned(method, pruner):
    search = searcher(method, {"type": pruner, **PRUNERS[pruner]}, steps=0)
    at = [0, 1, 3, 9, 10, 20, 27, 30, 40]
    good, bad = [], []
    for number in range(15):
        good.append(walk_at(search, [value - 0.001 * number for value in GOOD], at))
        bad.append(walk_at(search, [value + number for value in BAD], at))
    assert good == [None] * 15
    assert sum(each is not None for each in bad) >= 6
    assert {each for each in bad if each is not None} <= set(at)


def test_a_report_is_seen_as_it_is_and_at_its_step():
    search = searcher("random", {"type": "threshold", "upper": 4.0}, steps=0)
    assert walk_at(search, [1.0, 1.0, 5.0], [0, 10, 20]) == 20, "not as the mean of what was reported"
    search = searcher("random", {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 15}, steps=0)
    for _ in range(3):
        walk_at(search, GOOD[:4], [0, 10, 20, 30])
    assert walk_at(search, BAD[:4], [0, 10, 20, 30]) == 20, "warm-up is in the trial's own steps"


@pytest.mark.parametrize("method", ["grid", "random", "nsga2"])
def test_without_a_pruner_nothing_is_pruned(method):
    search = searcher(method, None)
    assert [walk(search, trajectory) for trajectory in (GOOD, BAD, RISING, BAD)] == [None] * 4


def test_failed_trials_do_not_disturb_a_pruner():
    search = searcher("grid", {"type": "median", "n_startup_trials": 2})
    for _ in range(3):
        walk(search, GOOD)
        suggestion = search.ask()
        search.prune(suggestion, [5.0])
        search.tell(suggestion, Outcome(TrialState.FAILED))
    assert walk(search, BAD) == 1
