from __future__ import annotations

import io

import pytest
from rich.console import Console

from wine_sweep.progress.display import LINE_SECONDS, WRITE_SECONDS, NotebookProgress, SweepProgress
from wine_sweep.trial import TrialState


@pytest.mark.parametrize(("count", "text"), [(1, "away: 1 result waits"), (12, "away: 12 results wait")])
def test_a_line_says_how_many_results_wait_for_a_store_that_is_away(count, text):
    output, now = io.StringIO(), [0.0]
    progress = SweepProgress(Console(file=output, width=200), "rmse", quiet=False, monotonic=lambda: now[0])
    for waiting in (count, 0):
        progress.results_wait(waiting)
        now[0] += LINE_SECONDS
        progress.trial_started()
        progress.trial_ended(TrialState.FAILED, None)
    during, after = output.getvalue().splitlines()
    assert text in during
    assert "away" not in after


class Page:
    """What a notebook shows below a cell."""

    def __init__(self):
        self.line = ""
        self.written = 0
        self.pieces = 0

    def show(self, text, before):
        self.pieces += before is None
        self.line = text
        self.written += 1
        return self


def test_a_notebook_shows_one_line_that_is_written_anew():
    page, now = Page(), [0.0]
    console = Console(file=io.StringIO())
    with NotebookProgress(console, "rmse", quiet=False, show=page.show, monotonic=lambda: now[0]) as progress:
        progress.sweep_started("<grid>", 3, 2)
        assert page.line == "<grid>: 3 trials on 2 workers"
        for _ in range(100):
            progress.trial_started()
            progress.trial_ended(TrialState.FAILED, 0.5)
        assert page.written == 1
        now[0] += WRITE_SECONDS
        progress.trial_started()
        assert page.line == "<grid>: 100 of 3 trials done, 1 running, 100 failed, best rmse 0.5"
        progress.phase("choosing the winner")
        assert page.line == "<grid>: 100 of 3 trials done, choosing the winner"
    assert page.pieces == 1
    assert console.file.getvalue() == ""


def test_a_quiet_notebook_shows_nothing():
    page = Page()
    with NotebookProgress(Console(file=io.StringIO()), "rmse", quiet=True, show=page.show) as progress:
        progress.sweep_started("grid", 3, 2)
        progress.phase("choosing the winner")
    assert page.written == 0
