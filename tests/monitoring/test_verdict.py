"""What a check comes to, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.monitoring.check import State, judge
from wine_sweep.monitoring.drift import Aspect, Drift, DriftTest
from wine_sweep.monitoring.loss import LossComparison

LOSS = LossComparison(
    metric=RowLoss.RMSE,
    recorded=0.5,
    new=0.6,
    worse=0.1,
    low=0.02,
    high=0.18,
    confidence=0.95,
    rise=0.2,
    least_rise=0.05,
    recorded_rows=400,
    new_rows=300,
    needed_rows=250,
)
STILL = Drift("pH", Aspect.VALUES, DriftTest.KS, 0.05, 0.4, 0.05)


def moved(column, aspect=Aspect.VALUES):
    return Drift(column, aspect, DriftTest.KS, 0.4, 1e-9, 0.4, adjusted=1e-8, moved=True)


def judged(loss, *drifts):
    return judge(rows=300, excluded=0, findings=[], drifts=drifts or [STILL], loss=loss)


@pytest.mark.parametrize(
    ("loss", "drifts", "expected"),
    [
        (LOSS, [STILL], State.DECAYED),
        (LOSS, [moved("pH")], State.DECAYED),
        (replace(LOSS, low=0.0), [STILL], State.HEALTHY),
        (replace(LOSS, low=0.0), [moved("pH")], State.DRIFTED),
        (replace(LOSS, rise=0.0499), [STILL], State.HEALTHY),
        (replace(LOSS, rise=0.05), [STILL], State.DECAYED),
        (replace(LOSS, low=None, high=None), [STILL], State.HEALTHY),
        (None, [STILL], State.HEALTHY),
        (None, [moved("prediction", Aspect.PREDICTION)], State.DRIFTED),
        (None, [], State.HEALTHY),
    ],
)
def test_more_loss_is_decay_and_what_has_moved_alone_is_drift(loss, drifts, expected):
    assert judged(loss, *drifts).state is expected


def test_the_loss_is_told_with_its_interval():
    (sentence, _) = judged(LOSS).reasons
    assert sentence == (
        "rmse was 0.5 on 400 unseen rows when it was made and is 0.6 on 300 new rows: 0.1 worse, 20.0% more lost"
        " (95% interval of the difference +0.02 to +0.18)."
    )
    better = replace(LOSS, new=0.4, worse=-0.1, low=-0.2, high=-0.01, rise=-0.2)
    assert ": 0.1 better, 20.0% less lost (95% interval of the difference -0.2 to -0.01)." in judged(better).reasons[0]
    accuracy = replace(LOSS, metric=RowLoss.ACCURACY, recorded=0.9, new=0.8, rise=1.0)
    assert ": 0.1 worse, 100.0% more wrong classes (" in judged(accuracy).reasons[0]
    assert ": 0.1 worse (" in judged(replace(accuracy, rise=float("inf"))).reasons[0]


def test_what_cannot_be_told_is_said():
    unsure = replace(LOSS, low=-0.1, new_rows=100)
    assert judged(unsure).reasons[1] == (
        "A rise of 20% may go unseen: it takes 250 rows like these to see one 80% of the time."
    )  # fmt: skip
    assert "however many new rows there are" in judged(replace(unsure, needed_rows=None)).reasons[1]
    assert judged(replace(LOSS, rise=0.01)).reasons[1] == "A rise of less than 5% does not count."


def test_what_has_moved_is_named_and_of_many_some():
    features = [moved(f"x{index}") for index in range(7)]
    found = judged(None, *features, moved("prediction", Aspect.PREDICTION), STILL).reasons[1:]
    assert found == ["7 features have moved: x0, x1, x2, x3, x4 and 2 more.", "What the model predicts has moved."]
    assert judged(None, moved("pH", Aspect.GAPS)).reasons[1] == "1 feature has moved: pH (gaps)."
