"""`early_terminate` as `search.pruner`, which Optuna takes."""

import pytest
from hypothesis import given, settings
from tests.wandb.strategies import stopping

from wine_sweep.config import PrunerConfig
from wine_sweep.search.optuna_options import make_pruner
from wine_sweep.wandb.parameters import NoteKind
from wine_sweep.wandb.translate import EarlyTermination, convert_stopping


def convert(**given):
    pruner, notes = convert_stopping(EarlyTermination.model_validate({"type": "hyperband", **given}))
    return pruner, {note.key: note for note in notes}


def test_with_both_ends_it_is_hyperband():
    pruner, notes = convert(min_iter=3, max_iter=81, eta=3)
    assert pruner == {"type": "hyperband", "min_resource": 3, "max_resource": 81, "reduction_factor": 3}
    assert notes["early_terminate.type"].kind is NoteKind.APPROXIMATED
    assert notes["early_terminate.eta"].kind is NoteKind.CARRIED


def test_without_an_end_it_is_successive_halving():
    pruner, notes = convert(min_iter=3)
    assert pruner == {"type": "successive_halving", "min_resource": 3, "reduction_factor": 3}
    assert "as successive_halving" in notes["early_terminate.type"].message


@pytest.mark.parametrize(("max_iter", "s", "eta", "lowest"), [(27, 2, 3, 3), (27, 3, 3, 1), (81, 1, 3, 27), (5, 300, 2, 1)])
def test_the_first_rung_is_counted_down_from_the_last(max_iter, s, eta, lowest):
    pruner, notes = convert(max_iter=max_iter, s=s, eta=eta)
    assert pruner["min_resource"] == lowest
    assert notes["early_terminate.s"].kind is NoteKind.APPROXIMATED


def test_what_has_no_counterpart_is_left_out():
    _, notes = convert(min_iter=1, max_iter=9, s=2, strict=True, min_itr=3)
    assert notes["early_terminate.s"].kind is NoteKind.LEFT_OUT
    assert notes["early_terminate.strict"].kind is NoteKind.LEFT_OUT
    assert notes["early_terminate.min_itr"].message == "unknown to W&B; did you mean 'min_iter'?"


@pytest.mark.parametrize(("eta", "factor"), [(2.0, 2), (2.6, 3), (1.1, 2)])
def test_a_factor_is_whole(eta, factor):
    pruner, notes = convert(min_iter=1, eta=eta)
    assert pruner["reduction_factor"] == factor
    assert notes["early_terminate.eta"].kind is (NoteKind.CARRIED if eta == factor else NoteKind.APPROXIMATED)


@pytest.mark.slow
@settings(deadline=None, max_examples=100, derandomize=True)
@given(stopping)
def test_optuna_takes_every_one(given):
    pruner, _ = convert_stopping(EarlyTermination.model_validate(given))
    make_pruner(PrunerConfig.model_validate(pruner), None, 10)
