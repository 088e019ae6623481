from __future__ import annotations

import io

import pytest
from rich.console import Console

from wine_sweep.cli.progress import LINE_SECONDS, SweepProgress
from wine_sweep.trial import Trial, TrialState


@pytest.mark.parametrize(("count", "text"), [(1, "away: 1 result waits"), (12, "away: 12 results wait")])
def test_a_line_says_how_many_results_wait_for_a_store_that_is_away(count, text):
    output, now = io.StringIO(), [0.0]
    progress = SweepProgress(Console(file=output, width=200), "rmse", quiet=False, monotonic=lambda: now[0])
    for waiting in (count, 0):
        progress.results_wait(waiting)
        now[0] += LINE_SECONDS
        progress.trial_started(Trial(0, {}))
        progress.trial_ended(Trial(0, {}, TrialState.FAILED), None)
    during, after = output.getvalue().splitlines()
    assert text in during
    assert "away" not in after
