"""Verdicts without numbers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from wine_sweep import gate
from wine_sweep.config import GateConfig
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.gate import Decision, Reason
from wine_sweep.trial import Task


@pytest.mark.parametrize(
    ("verdict", "ground", "reason"),
    [
        (gate.no_gate(), "no_gate", "There is no gate: the winner is compared with nothing."),
        (gate.forced(), "forced", "Promoted by force, without asking the gate."),
        (
            gate.same_model("3"),
            "same_model",
            "The winner and version 3 are the same model: the same parameters, fitted on the same rows.",
        ),
        (
            gate.champion_columns("3", gone=["ph", "alcohol"], new=["sugar"]),
            "champion_columns",
            "Version 3 was trained on other columns, and cannot be compared with: it needs ph, alcohol; it does not know sugar.",
        ),
        (
            gate.champion_columns("3", gone=[], new=["sugar"]),
            "champion_columns",
            "Version 3 was trained on other columns, and cannot be compared with: it does not know sugar.",
        ),
        (
            gate.champion_unloadable("3", "ImportError: no module named 'own'"),
            "champion_unloadable",
            "Version 3 cannot be loaded, so it cannot be compared with: ImportError: no module named 'own'",
        ),
        (
            gate.champion_fails("3", "ValueError: NaN"),
            "champion_fails",
            "Version 3 does not predict these rows, so it cannot be compared with: ValueError: NaN",
        ),
        (
            gate.other_task("3", Task.REGRESSION, Task.CLASSIFICATION),
            "other_task",
            "Version 3 does regression and the winner classification; they cannot be compared.",
        ),
    ],
)
def test_a_case_has_its_ground_and_its_reason(verdict, ground, reason):
    assert verdict.ground == ground
    assert verdict.reasons == (reason,)
    assert verdict.decision is (Decision.PROMOTE if ground in ("no_gate", "forced") else Decision.KEEP)
    assert json.loads(json.dumps(verdict.record()))["ground"] == ground


def test_what_is_forced_keeps_what_the_gate_says():
    rows = np.arange(40)
    refused = gate.judge_against_champion(
        GateConfig(),
        gate.LossContest(RowLoss.MAE, np.ones(40), np.ones(40), rows, rows),
        slices_table=pd.DataFrame(index=rows),
        version="3",
        excluded=2,
    )
    verdict = gate.forced(refused)
    assert (verdict.ground, verdict.decision) == (Reason.FORCED, Decision.PROMOTE)
    assert verdict.reasons == ("Promoted by force; the gate says not_better.", *refused.reasons)
    assert (verdict.comparison, verdict.excluded) == (refused.comparison, 2)
