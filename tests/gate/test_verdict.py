"""Who is promoted, on what ground, and what is said about it."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from wine_sweep.config import GateConfig
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.gate.comparison import LossContest, describe_dummy, fit_dummy
from wine_sweep.gate.verdict import FEWEST_GROUPS, Decision, Reason, judge_against_champion, judge_against_dummy
from wine_sweep.trial import Task

GATE = GateConfig()
BETTER = np.tile([0.8, 0.9, 1.0], 20)


def judge(challenger=BETTER, champion=None, *, gate=GATE, loss=RowLoss.MAE, groups=None, weights=None, table=None, excluded=0):
    """Judge losses of 60 rows; the champion loses 1 in each."""
    count = len(challenger)
    contest = LossContest(
        loss,
        np.ones(count) if champion is None else np.asarray(champion, dtype=float),
        np.asarray(challenger, dtype=float),
        np.arange(count) % 2,
        np.arange(count) if groups is None else groups,
        weights,
    )
    return judge_against_champion(
        gate,
        contest,
        slices_table=pd.DataFrame({} if table is None else table, index=range(count)),
        version="3",
        excluded=excluded,
    )


# Better, or not -----------------------------------------------------------------------------------------------------------


def test_a_better_model_is_promoted_and_the_numbers_are_told():
    verdict = judge()
    assert (verdict.decision, verdict.ground) == (Decision.PROMOTE, Reason.BETTER)
    found = verdict.comparison
    assert verdict.reasons == (
        "On 60 rows that neither model was trained on, mae is 0.9000 against the 1.0000 of version 3: better by 0.1000"
        f" (95% interval {found.low:.4f} to {found.high:.4f}, from 10,000 resamples).",
    )
    assert 0.07 < found.low < 0.09
    assert 0.11 < found.high < 0.13


def test_a_model_that_predicts_the_same_is_not_better():
    verdict = judge(np.ones(60))
    assert (verdict.decision, verdict.ground) == (Decision.KEEP, Reason.NOT_BETTER)
    assert verdict.reasons == (
        "On 60 rows that neither model was trained on, mae is 1.000 against the 1.000 of version 3: the same"
        " (95% interval 0.000 to 0.000, from 10,000 resamples).",
        "That is not enough: the whole interval has to be above 0.",
    )


def test_a_worse_model_is_not_promoted():
    verdict = judge(np.ones(60), BETTER)
    assert verdict.ground is Reason.NOT_BETTER
    assert "mae is 1.0000 against the 0.9000 of version 3: worse by 0.1000 (95% interval -0.12" in verdict.reasons[0]


def test_a_model_that_may_as_well_be_worse_is_not_promoted():
    verdict = judge(np.tile([0.1, 1.8], 30))
    assert verdict.ground is Reason.NOT_BETTER
    assert verdict.comparison.improvement > 0 > verdict.comparison.low


@pytest.mark.parametrize(("least", "ground"), [(0.0, Reason.BETTER), (0.02, Reason.BETTER), (0.2, Reason.NOT_BETTER)])
def test_the_whole_interval_has_to_be_above_the_least_improvement(least, ground):
    verdict = judge(gate=GateConfig(min_improvement=least))
    assert verdict.ground is ground
    words = "That is not enough: the whole interval has to be above 0.2 (`min_improvement`)."
    assert (words in verdict.reasons) is (ground is Reason.NOT_BETTER)


def test_an_interval_that_begins_at_the_least_improvement_is_not_above_it():
    same_everywhere = np.full(60, 0.75)
    assert judge(same_everywhere, gate=GateConfig(min_improvement=0.25)).ground is Reason.NOT_BETTER
    assert judge(same_everywhere, gate=GateConfig(min_improvement=0.2499)).ground is Reason.BETTER


def test_the_confidence_decides():
    losses = 1 + np.random.default_rng(8).normal(-0.1, 0.5, size=60)
    sure, unsure = (judge(losses, gate=GateConfig(confidence=confidence)) for confidence in (0.99, 0.6))
    assert (sure.ground, unsure.ground) == (Reason.NOT_BETTER, Reason.BETTER)
    assert "(99% interval" in sure.reasons[0]


def test_accuracy_is_better_when_higher_and_balanced_by_class():
    wrong = np.r_[np.zeros(40), np.ones(20)]
    verdict = judge(np.zeros(60), wrong, loss=RowLoss.BALANCED_ACCURACY)
    assert verdict.ground is Reason.BETTER
    assert "balanced_accuracy is 1.0000 against the 0.6667 of version 3: better by 0.3333" in verdict.reasons[0]


def test_weights_count():
    losses = np.r_[np.full(30, 0.5), np.full(30, 2.0)]
    assert judge(losses).ground is Reason.NOT_BETTER
    assert judge(losses, weights=np.r_[np.ones(30), np.full(30, 1e-3)]).ground is Reason.BETTER


# Rows ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "ground"), [(30, Reason.BETTER), (29, Reason.TOO_FEW_ROWS), (0, Reason.TOO_FEW_ROWS)])
def test_with_too_few_rows_nothing_is_compared(rows, ground):
    verdict = judge(np.full(rows, 0.5), excluded=70)
    assert verdict.ground is ground
    assert (verdict.comparison is None) is (ground is Reason.TOO_FEW_ROWS)
    assert verdict.reasons[-1] == "70 test rows were left out, since version 3 was trained on them."


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (29, "There are only 29 rows that neither model was trained on; the gate needs 30 (`min_rows`)."),
        (1, "There is only one row that neither model was trained on; the gate needs 30 (`min_rows`)."),
        (0, "There is no row that neither model was trained on; the gate needs 30 (`min_rows`)."),
    ],
)
def test_it_is_said_how_few_there_are(rows, words):
    assert judge(np.zeros(rows)).reasons == (words,)


def test_rows_that_do_not_count_are_no_rows():
    weights = np.r_[np.ones(29), np.zeros(31)]
    assert judge(weights=weights).ground is Reason.TOO_FEW_ROWS


@pytest.mark.parametrize(("groups", "min_rows", "ground"), [(20, 30, "better"), (19, 30, "too_few_rows"), (5, 5, "better")])
def test_rows_of_few_groups_are_too_few(groups, min_rows, ground):
    verdict = judge(groups=np.arange(60) % groups, gate=GateConfig(min_rows=min_rows))
    assert verdict.ground == ground
    if ground == "too_few_rows":
        assert verdict.reasons == (
            "The 60 rows form 19 groups, and rows of a group are no independent evidence; the gate needs 20 groups.",
        )


def test_one_row_left_out_is_said_in_the_singular():
    assert judge(excluded=1).reasons[-1] == "1 test row was left out, since version 3 was trained on it."


# Slices -------------------------------------------------------------------------------------------------------------------

RED = np.tile([0, 0, 1], 20)


def test_a_worse_slice_keeps_the_champion_and_is_named():
    verdict = judge(np.where(RED == 1, 1.25, 0.5), table={"is_red": RED}, gate=GateConfig(min_rows=20))
    assert (verdict.decision, verdict.ground) == (Decision.KEEP, Reason.WORSE_SLICE)
    assert verdict.reasons[1:] == ("Where is_red 1 (20 rows) it is worse: mae 1.250 against the 1.000 of version 3.",)
    assert [(each.name, each.improvement) for each in verdict.slices] == [("is_red 0", 0.5), ("is_red 1", -0.25)]


@pytest.mark.parametrize(("margin", "ground"), [(0.2, Reason.WORSE_SLICE), (0.25, Reason.BETTER)])
def test_a_slice_may_be_worse_by_the_margin(margin, ground):
    gate = GateConfig(slice_margin=margin, min_rows=20)
    verdict = judge(np.where(RED == 1, 1.25, 0.5), table={"is_red": RED}, gate=gate)
    assert verdict.ground is ground
    words = "Where is_red 1 (20 rows) it is worse by more than 0.2 (`slice_margin`): mae 1.250 against the 1.000 of version 3."
    assert (words in verdict.reasons) is (ground is Reason.WORSE_SLICE)


def test_a_small_slice_decides_nothing_and_is_named():
    verdict = judge(np.where(RED == 1, 1.25, 0.5), table={"is_red": RED})
    assert verdict.ground is Reason.BETTER
    assert verdict.reasons[-1] == "Slices of fewer than 30 rows (`min_rows`) are not judged: is_red 1 (20)."


def test_a_model_that_is_not_better_is_so_whatever_its_slices():
    verdict = judge(np.where(RED == 1, 2.0, 0.9), table={"is_red": RED}, gate=GateConfig(min_rows=20))
    assert verdict.ground is Reason.NOT_BETTER
    assert len(verdict.reasons) == 3


# Without a champion -------------------------------------------------------------------------------------------------------


class Fixed:
    """Predicts what it was given."""

    def __init__(self, predictions, classes=None):
        self._predictions, self.classes_ = predictions, classes

    def predict(self, features):
        return self._predictions

    predict_proba = predict


def against_dummy(loss, model, target, *, task, gate=GATE, rows=None, weights=None):
    features = pd.DataFrame({"a": np.arange(len(target))})
    dummy = fit_dummy(task, loss, features, target, weights)
    losses = [loss.losses(each, features, target)[:rows] for each in (dummy, model)]
    groups = np.arange(len(target))[:rows]
    return judge_against_dummy(gate, LossContest(loss, *losses, target[:rows], groups, weights), dummy=describe_dummy(loss))


@pytest.mark.parametrize(
    ("loss", "value", "words"),
    [(RowLoss.RMSE, "0.8165", "the mean"), (RowLoss.MAE, "0.6667", "the median"), (RowLoss.MAPE, "0.25000", "the median")],
)
def test_a_regressor_has_to_beat_a_constant(loss, value, words):
    target = np.tile([2.0, 3, 4], 30)
    verdict = against_dummy(loss, Fixed(target + np.tile([0.1, -0.1], 45)), target, task=Task.REGRESSION)
    assert (verdict.decision, verdict.ground) == (Decision.PROMOTE, Reason.BEATS_DUMMY)
    assert verdict.reasons[0].startswith(f"On 90 rows that the winner was not trained on, {loss.value} is 0.")
    if loss is not RowLoss.MAPE:
        assert (
            f"against the {value} of a model that always predicts {words} of its training rows: better by" in verdict.reasons[0]
        )


def test_a_regressor_that_knows_nothing_does_not():
    target = np.random.default_rng(0).normal(size=200)
    predictions = np.random.default_rng(1).normal(scale=0.1, size=200)
    verdict = against_dummy(RowLoss.RMSE, Fixed(predictions), target, task=Task.REGRESSION, gate=GateConfig(min_improvement=9))
    assert (verdict.decision, verdict.ground) == (Decision.KEEP, Reason.NOT_BETTER_THAN_DUMMY)
    assert verdict.reasons[-1] == "That is not enough: the whole interval has to be above 0."


def test_against_a_dummy_no_least_improvement_is_asked_for():
    target = np.tile([2.0, 3, 4], 30)
    verdict = against_dummy(RowLoss.MAE, Fixed(target), target, task=Task.REGRESSION, gate=GateConfig(min_improvement=99))
    assert verdict.ground is Reason.BEATS_DUMMY


@pytest.mark.parametrize("loss", [RowLoss.ACCURACY, RowLoss.BALANCED_ACCURACY, RowLoss.LOG_LOSS])
@pytest.mark.parametrize("knows", [True, False])
def test_a_classifier_has_to_beat_the_classes_shares(loss, knows):
    target = np.array(["no", "no", "yes"] * 40, dtype=object)
    right = np.where(target == "yes", 0.9, 0.1) if knows else np.random.default_rng(0).uniform(size=120)
    predictions = np.column_stack([1 - right, right]) if loss is RowLoss.LOG_LOSS else np.where(right > 0.5, "yes", "no")
    model = Fixed(predictions, np.array(["no", "yes"], dtype=object))
    verdict = against_dummy(loss, model, target, task=Task.CLASSIFICATION)
    assert verdict.ground is (Reason.BEATS_DUMMY if knows else Reason.NOT_BETTER_THAN_DUMMY)


def test_a_dummy_is_not_judged_on_too_few_rows():
    target = np.tile([2.0, 3, 4], 30)
    verdict = against_dummy(RowLoss.MAE, Fixed(target), target, task=Task.REGRESSION, rows=29)
    assert (verdict.ground, verdict.comparison) == (Reason.TOO_FEW_ROWS, None)
    assert verdict.reasons == ("There are only 29 rows that the winner was not trained on; the gate needs 30 (`min_rows`).",)


# What is kept -------------------------------------------------------------------------------------------------------------


def test_the_record_is_json_and_the_same_each_time():
    gate = GateConfig(slices=["is_red"], min_rows=20)
    one, again = (judge(table={"is_red": RED}, gate=gate, excluded=2) for _ in range(2))
    assert pickle.dumps(one) == pickle.dumps(again)
    record = json.loads(json.dumps(one.record()))
    assert record["decision"] == "promote"
    assert record["ground"] == "better"
    assert record["reasons"] == list(one.reasons)
    assert record["comparison"]["low"] == one.comparison.low
    assert [each["name"] for each in record["slices"]] == ["is_red 0", "is_red 1"]
    assert (record["gate"]["min_rows"], record["gate"]["slices"], record["excluded_rows"]) == (20, ["is_red"], 2)
    assert judge(np.zeros(3)).record()["comparison"] is None


def test_the_seed_decides_what_is_drawn():
    one, other = (judge(gate=GateConfig(seed=seed)).comparison for seed in (0, 1))
    assert (one.low, one.seed) != (other.low, other.seed)


def test_every_ground_leads_to_a_decision():
    promoting = {ground for ground in Reason if ground.decision is Decision.PROMOTE}
    assert promoting == {Reason.BETTER, Reason.BEATS_DUMMY, Reason.FORCED, Reason.NO_GATE}


# How often it is right ----------------------------------------------------------------------------------------------------


def pair_of(wine, champion, challenger, *, rows, seed, swap=False):
    """Judge two forests of so many trees on rows of red wine that no tree was trained on."""
    rng = np.random.default_rng(seed)
    losses = np.array([RowLoss.RMSE.of_predictions(wine.model(trees, rng), wine.target) for trees in (champion, challenger)])
    chosen = rng.choice(len(wine.target), rows, replace=False)
    losses, groups = losses[:, chosen], wine.groups[chosen]
    if swap:
        coin = rng.integers(2, size=groups.max() + 1)[groups]
        losses = np.where(coin, losses[::-1], losses)
    return judge_against_champion(
        GateConfig(seed=seed),
        LossContest(RowLoss.RMSE, *losses, wine.target[chosen], groups),
        slices_table=wine.table.iloc[chosen, :0],
        version="1",
        excluded=0,
    )


def share_promoted(verdicts):
    return np.mean([verdict.decision is Decision.PROMOTE for verdict in verdicts])


@pytest.mark.slow
def test_of_200_pairs_of_equal_models_at_most_one_in_twenty_is_promoted(wine):
    """Two forests of 50 trees, differently seeded, on 400 rows; one of them is a little better, by its seed."""
    assert share_promoted(pair_of(wine, 50, 50, rows=400, seed=seed) for seed in range(200)) <= 0.05


@pytest.mark.slow
def test_of_pairs_without_any_difference_about_one_in_forty_is_promoted(wine):
    """A coin for each group says which of the two is called the challenger: 2.5 % lie below a 95 % interval."""
    share = share_promoted(pair_of(wine, 20, 20, rows=300, seed=seed, swap=True) for seed in range(200))
    assert share <= 0.025 + 2.5 * np.sqrt(0.025 * 0.975 / 200)


@pytest.mark.slow
def test_one_in_ten_is_seen_on_400_rows(wine):
    """A forest of 50 trees has about 10 % less rmse than one of 3."""
    verdicts = [pair_of(wine, 3, 50, rows=400, seed=seed) for seed in range(60)]
    gains = [each.comparison.improvement / each.comparison.champion for each in verdicts]
    assert np.mean(gains) == pytest.approx(0.1, abs=0.01)
    assert share_promoted(verdicts) >= 0.9


@pytest.mark.slow
def test_fewer_groups_than_the_gate_asks_for_would_promote_equal_models_too_often(wine):
    def share(groups):
        gate = GateConfig(min_rows=groups, seed=0)
        found = []
        for seed in range(400):
            rng = np.random.default_rng(seed)
            chosen = rng.choice(len(wine.target), groups, replace=False)
            losses = np.array([RowLoss.RMSE.of_predictions(wine.model(20, rng), wine.target)[chosen] for _ in range(2)])
            losses = np.where(rng.integers(2, size=groups), losses[::-1], losses)
            found.append(judge(losses[1], losses[0], gate=gate, loss=RowLoss.RMSE))
        return share_promoted(found)

    assert share(FEWEST_GROUPS) <= 0.055
    assert share(5) > 0.055
