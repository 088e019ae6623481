"""The paired bootstrap: as a plain loop draws it, as scipy draws it, and as often right as it says."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from wine_sweep.config import Direction
from wine_sweep.evaluation.bootstrap import CHUNK_BYTES, resample_sums
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.gate.comparison import improvement_of, paired_bootstrap

SCORERS = {
    RowLoss.RMSE: metrics.root_mean_squared_error,
    RowLoss.MAE: metrics.mean_absolute_error,
    RowLoss.MAPE: metrics.mean_absolute_percentage_error,
    RowLoss.ACCURACY: metrics.accuracy_score,
    RowLoss.BALANCED_ACCURACY: metrics.accuracy_score,  # by weights that count every class the same
}
FEW = settings(max_examples=40, deadline=None)


def compare(loss, champion, challenger, *, groups=None, weights=None, confidence=0.95, resamples=500, seed=0):
    count = len(champion)
    return paired_bootstrap(
        loss,
        np.asarray(champion, dtype=float),
        np.asarray(challenger, dtype=float),
        groups=np.arange(count) if groups is None else np.asarray(groups),
        weights=np.ones(count) if weights is None else np.asarray(weights, dtype=float),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def slowly(score, predictions, target, *, groups, weights, resamples, seed):
    """Draw groups one resample at a time, and have scikit-learn measure both models on the rows."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == each) for each in np.unique(groups)]
    found = []
    for _ in range(resamples):
        rows = np.concatenate([members[each] for each in rng.integers(len(members), size=len(members))])
        found.append([score(target[rows], each[rows], sample_weight=weights[rows]) for each in predictions])
    champion, challenger = np.array(found).T
    return challenger - champion


@pytest.mark.slow
@pytest.mark.parametrize("loss", SCORERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_what_a_plain_loop_over_scikit_learns_metric_gives(loss, weighted):
    rng = np.random.default_rng(3)
    groups = rng.integers(40, size=120)
    own = rng.uniform(0.1, 3, size=120) if weighted else None
    if loss.direction is Direction.MAXIMIZE:
        target = rng.choice(3, size=120, p=[0.6, 0.3, 0.1])
        predictions = [np.where(rng.random(120) < share, target, 0) for share in (0.5, 0.7)]
    else:
        target = rng.normal(5, 1, size=120)
        predictions = [target + rng.normal(0, spread, size=120) for spread in (1, 0.8)]
    weights = loss.row_weights(target, own)
    expected = slowly(SCORERS[loss], predictions, target, groups=groups, weights=weights, resamples=300, seed=5)
    if loss.direction is Direction.MINIMIZE:
        expected = -expected
    losses = [loss.of_predictions(each, target) for each in predictions]
    found = compare(loss, *losses, groups=groups, weights=weights, resamples=300, seed=5, confidence=0.9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(expected, [0.05, 0.95])), rel=1e-9)
    values = [SCORERS[loss](target, each, sample_weight=weights) for each in predictions]
    assert (found.champion, found.challenger) == pytest.approx(tuple(values), rel=1e-12)
    assert found.improvement == pytest.approx(abs(values[1] - values[0]), rel=1e-9)
    assert (found.rows, found.groups, found.metric, found.direction) == (120, len(np.unique(groups)), loss.value, loss.direction)


def test_the_balanced_accuracies_are_scikit_learns():
    rng = np.random.default_rng(3)
    target = rng.choice(3, size=200, p=[0.6, 0.3, 0.1])
    one, other = (np.where(rng.random(200) < share, target, 0) for share in (0.5, 0.7))
    loss = RowLoss.BALANCED_ACCURACY
    losses = [loss.of_predictions(each, target) for each in (one, other)]
    found = compare(loss, *losses, weights=loss.row_weights(target))
    assert found.champion == pytest.approx(metrics.balanced_accuracy_score(target, one))
    assert found.challenger == pytest.approx(metrics.balanced_accuracy_score(target, other))


@pytest.mark.slow
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_it_agrees_with_scipys_paired_percentile_bootstrap(confidence, wine):
    """Within Monte Carlo error: three standard errors of a percentile of 4000 resamples, by the density around it."""
    rng = np.random.default_rng(1)
    losses = [(wine.model(trees, rng) - wine.target)[:300] ** 2 for trees in (5, 50)]
    found = compare(RowLoss.RMSE, *losses, resamples=4000, confidence=confidence)
    theirs = scipy.stats.bootstrap(
        losses,
        lambda one, other, axis: np.sqrt(np.mean(one, axis=axis)) - np.sqrt(np.mean(other, axis=axis)),
        paired=True,
        n_resamples=4000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    tail = (1 - confidence) / 2
    density = scipy.stats.norm.pdf(scipy.stats.norm.ppf(tail)) / theirs.bootstrap_distribution.std()
    allowed = 3 * np.sqrt(2 * tail * (1 - tail) / 4000) / density
    assert abs(found.low - theirs.confidence_interval.low) < allowed
    assert abs(found.high - theirs.confidence_interval.high) < allowed
    assert allowed < 0.1 * (found.high - found.low)


def test_pairing_makes_the_interval_of_like_models_narrow(wine):
    rng = np.random.default_rng(1)
    losses = [(wine.model(100, rng) - wine.target) ** 2 for _ in range(2)]
    paired = compare(RowLoss.RMSE, *losses)
    alone = scipy.stats.bootstrap(
        (losses[0],), lambda each, axis: np.sqrt(np.mean(each, axis=axis)), rng=np.random.default_rng(2)
    )
    width = alone.confidence_interval.high - alone.confidence_interval.low
    assert paired.high - paired.low < width / 4


@FEW
@given(st.integers(1, 4000), st.integers(1, 30), st.integers(0, 3))
def test_what_comes_out_does_not_depend_on_the_memory(chunk_bytes, count, seed):
    losses = np.random.default_rng(seed).exponential(size=(2, count))
    whole, parts = (
        resample_sums(losses, resamples=50, random=np.random.default_rng(seed), chunk_bytes=size)
        for size in (CHUNK_BYTES, chunk_bytes)
    )
    assert np.array_equal(whole, parts)


def test_an_interval_is_that_of_earlier_versions_to_the_last_bit():
    losses = np.random.default_rng(1).integers(100, size=(2, 500))  # whole numbers, whose sums are exact on any machine
    found = compare(RowLoss.RMSE, *losses, resamples=10_000)
    assert (found.low.hex(), found.high.hex()) == ("-0x1.af88fb8753040p-4", "0x1.ada698d2927a4p-2")


@pytest.mark.slow
def test_memory_and_time_are_bounded():
    import tracemalloc

    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(2, 5000))
    tracemalloc.start()
    try:
        started = time.process_time()
        compare(RowLoss.RMSE, *losses, resamples=10_000)
        took = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * CHUNK_BYTES
    assert took < 5  # seconds of a core; a quarter of one as a rule


@FEW
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.sampled_from(list(RowLoss)))
def test_a_model_is_no_better_than_itself(losses, loss):
    values = np.array(losses) if loss.direction is Direction.MINIMIZE else (np.array(losses) > 1).astype(float)
    found = compare(loss, values, values.copy(), resamples=50)
    assert (found.improvement, found.low, found.high) == (0, 0, 0)


@FEW
@given(st.integers(0, 999), st.sampled_from([RowLoss.RMSE, RowLoss.MAE, RowLoss.LOG_LOSS]))
def test_the_other_way_round_the_interval_is_mirrored(seed, loss):
    one, other = np.random.default_rng(seed).exponential(size=(2, 20))
    found, mirrored = compare(loss, one, other, resamples=60), compare(loss, other, one, resamples=60)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), rel=1e-9, abs=1e-12)
    assert mirrored.improvement == -found.improvement


@FEW
@given(st.integers(0, 999), st.floats(0.01, 0.99))
def test_what_is_better_in_every_row_is_better_in_every_resample(seed, share):
    losses = np.random.default_rng(seed).exponential(size=15) + 0.01
    found = compare(RowLoss.RMSE, losses, losses * share, resamples=50)
    assert 0 < found.low <= found.high
    assert found.improvement > 0


def test_higher_accuracy_is_better():
    wrong = np.array([1.0] * 10 + [0.0] * 10)
    found = compare(RowLoss.ACCURACY, wrong, np.zeros(20))
    assert (found.champion, found.challenger, found.improvement) == (0.5, 1.0, 0.5)
    assert found.low > 0


def test_a_difference_that_comes_from_adding_up_in_another_order_is_none():
    thirds = np.array([1 / 3, 1 / 7, 0.1])
    assert improvement_of(Direction.MINIMIZE, np.array(thirds.sum()), np.array(thirds[::-1].sum())) == 0
    assert improvement_of(Direction.MINIMIZE, np.array(1e-9), np.array(1.1e-9)) == pytest.approx(-1e-10)


def test_five_rows_alike_in_each_group_are_the_evidence_of_one():
    losses = np.random.default_rng(2).exponential(size=(2, 40))
    alone = compare(RowLoss.MAE, *losses)
    five = compare(RowLoss.MAE, *np.repeat(losses, 5, axis=1), groups=np.repeat(np.arange(40), 5))
    assert (five.low, five.high, five.rows, five.groups) == (pytest.approx(alone.low), pytest.approx(alone.high), 200, 40)


def test_rows_that_do_not_count_are_left_out():
    rng = np.random.default_rng(2)
    losses, groups = rng.exponential(size=(2, 60)), rng.integers(30, size=60)
    weights = np.where(rng.random(60) < 0.5, 0.0, 2.0)
    kept = weights > 0
    expected = compare(RowLoss.RMSE, *losses[:, kept], groups=groups[kept], weights=weights[kept])
    assert compare(RowLoss.RMSE, *losses, groups=groups, weights=weights) == expected
    with pytest.raises(ValueError, match="none of the 60 rows has a weight above 0"):
        compare(RowLoss.RMSE, *losses, weights=np.zeros(60))


def test_a_loss_that_is_no_number_is_refused_where_it_counts():
    losses = np.ones((2, 4))
    losses[1, 0] = np.inf
    with pytest.raises(ValueError, match="1 of 4 losses of the challenger are no finite numbers"):
        compare(RowLoss.RMSE, *losses)
    assert compare(RowLoss.RMSE, *losses, weights=[0, 1, 1, 1]).challenger == 1


def test_the_seed_decides_and_the_record_is_plain():
    losses = np.random.default_rng(2).exponential(size=(2, 40))
    one, again, other = (compare(RowLoss.RMSE, *losses, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert (one.low, one.high) != (other.low, other.high)
    record = one.record()
    assert set(record) == {field.name for field in dataclasses.fields(one)}
    assert {type(value) for value in record.values()} == {str, float, int}
