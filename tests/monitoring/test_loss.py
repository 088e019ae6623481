"""Losses then and now: the interval against a bootstrap by hand, the rows that are needed against what is caught."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring import loss as module
from wine_sweep.monitoring.loss import Losses, compare_losses, needed_rows


def sample(losses, groups=None, weights=None):
    losses = np.asarray(losses, dtype=float)
    weights = np.ones(len(losses)) if weights is None else np.asarray(weights, dtype=float)
    return Losses(losses, weights, np.arange(len(losses)) if groups is None else groups)


def compared(old, new, metric=RowLoss.RMSE, **options):
    return compare_losses(old, new, metric, **{"confidence": 0.95, "least_rise": 0.05, "seed": 0, **options})


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.slow
def test_the_interval_is_that_of_a_bootstrap_by_hand(rng):
    groups, weights = rng.integers(120, size=200), rng.uniform(1, 3, 200)
    old, new = sample(rng.normal(size=200) ** 2, groups, weights), sample(rng.normal(0, 1.2, 150) ** 2)
    found = compared(old, new)

    def drawn(each):
        members = [np.flatnonzero(each.groups == group) for group in np.unique(each.groups)]
        for _ in range(4000):
            rows = np.concatenate([members[index] for index in rng.integers(len(members), size=len(members))])
            yield np.sqrt(np.average(each.losses[rows], weights=each.weights[rows]))

    by_hand = np.array(list(drawn(new))) - np.array(list(drawn(old)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=0.02)
    assert found.recorded == pytest.approx(np.sqrt(np.average(old.losses, weights=weights)))
    assert found.worse == pytest.approx(found.new - found.recorded)
    assert found.rise == pytest.approx(found.new / found.recorded - 1)
    assert found == compared(old, new)
    assert found != compared(old, new, seed=1)


def test_many_groups_are_drawn_in_parts_and_less_often(rng, monkeypatch):
    old, new = sample(rng.normal(size=500) ** 2), sample(rng.normal(size=500) ** 2)
    parts = compared(old, new)
    whole = functools.partial(module.resample_sums, chunk_bytes=1_000_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(module, "resample_sums", whole)
        assert compared(old, new) == parts
    monkeypatch.setattr(module, "MOST_DRAWS", 1)
    fewer = compared(old, new)
    assert (fewer.low, fewer.high) == pytest.approx((parts.low, parts.high), abs=0.02)
    assert fewer.low != parts.low


def test_more_wrong_classes_make_an_accuracy_worse():
    found = compared(sample([0] * 360 + [1] * 40), sample([0] * 280 + [1] * 120), RowLoss.ACCURACY)
    assert (found.recorded, found.new) == pytest.approx((0.9, 0.7))
    assert found.worse == pytest.approx(0.2)
    assert found.rise == pytest.approx(2)
    assert 0 < found.low < 0.2 < found.high
    assert found.decayed
    assert not compared(sample([0] * 280 + [1] * 120), sample([0] * 360 + [1] * 40), RowLoss.ACCURACY).decayed


@pytest.mark.slow
def test_a_sure_but_small_rise_is_no_decay(rng):
    found = compared(sample(rng.normal(size=8000) ** 2), sample(rng.normal(0, 1.035, 8000) ** 2))
    assert found.low > 0
    assert not found.decayed
    assert replace(found, least_rise=0.01).decayed


def test_too_few_different_rows_have_no_interval():
    found = compared(sample(np.arange(100.0)), sample(np.full(200, 1e6), np.arange(200) % 19))
    assert (found.low, found.high) == (None, None)
    assert not found.decayed
    assert not found.is_telling


def test_a_model_that_lost_nothing_may_lose_something_now():
    found = compared(sample(np.zeros(100)), sample([1] * 30 + [0] * 70), RowLoss.ACCURACY)
    assert found.rise == np.inf
    assert found.decayed
    assert found.needed_rows is None
    assert found.record()["rise"] is None
    assert compared(sample(np.zeros(100)), sample(np.zeros(100)), RowLoss.ACCURACY).rise == 0


@pytest.mark.slow
def test_so_many_rows_as_are_needed_show_the_rise_as_often_as_is_said(rng, monkeypatch):
    monkeypatch.setattr(module, "RESAMPLES", 1000)
    old = sample(rng.normal(size=600) ** 2)
    count = needed_rows(old, RowLoss.RMSE, confidence=0.95)
    caught = [
        compared(sample(rng.normal(size=600) ** 2), sample(rng.normal(0, 1.2, count) ** 2), seed=draw).low > 0
        for draw in range(200)
    ]
    assert np.mean(caught) == pytest.approx(0.8, abs=0.09)
    assert needed_rows(old, RowLoss.RMSE, confidence=0.99) > count
    assert needed_rows(sample(rng.normal(size=100) ** 2), RowLoss.RMSE, confidence=0.95) is None
