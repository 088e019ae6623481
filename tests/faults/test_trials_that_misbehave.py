"""A hang, a memory hog, a segfault, an exception: each costs its own trials, which say why."""

from __future__ import annotations

import signal

import pytest

from faultkit.audit import all_runs

CASES = [
    ("hang", "trial_timeout: 2s", "2", 1),
    ("hang", "trial_timeout: 2s, retries: {timeout: 1}", "2", 2),
    ("hog", "memory_limit: 700MiB", "700", 1),
    ("segfault", "retries: {worker: 1}", "worker", 2),
    ("segfault", "retries: 0", "worker", 1),
    ("fail", "retries: 1", "as it was told to", 1),
    ("fail", "retries: {error: 2}", "as it was told to", 3),
]
"""What trials do, the limits they have, what their error says, and how often each is measured."""

SEARCH = """
  method: grid
  parameters:
    shift: [0.1, 0.4, 0.7]
    scale: [0.1, 0.3]
    deed: [work, {deed}]
  constraints: ["deed == 'work' or shift == 0.4"]"""
TRIALS, MISBEHAVING = 8, 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}, {case[1]}")
def test_trials_that_misbehave_fail_alone_and_say_why(place, audit, case):
    deed, execution, says, fits = case
    place.write_config(SEARCH.format(deed=deed), execution=f"{{backend: processes, workers: 2, {execution}}}")
    ended = place.run().wait()
    assert ended.code == 0, ended
    audit(place, f"{deed}, {execution}", search=None, expected=TRIALS, times=MISBEHAVING)
    failed = [run for run in all_runs(place.client) if run.info.status == "FAILED"]
    assert [run.data.params["deed"] for run in failed] == [deed] * MISBEHAVING
    assert all(says in run.data.tags["wine_sweep.error"] for run in failed), failed[0].data.tags["wine_sweep.error"]
    began = [params for _, params in place.notes("began") if params[-1] == deed]
    assert len(began) == MISBEHAVING * fits
    place.assert_nothing_left_over()


def test_a_sweep_that_only_fails_stops_early_and_groups_the_reasons(place, nothing_runs):
    place.write_config(
        "{method: grid, parameters: {shift: {low: 0, high: 1, num: 40}, deed: [fail]}}",
        execution="{backend: processes, workers: 2, max_failures: 5}",
    )
    ended = place.run().wait()
    assert ended.code == 1, ended
    assert ended.stderr.count("as it was told to") == 1
    assert 5 <= sum(run.info.status == "FAILED" for run in all_runs(place.client)) <= 7
    nothing_runs(place)
    place.assert_nothing_left_over()


def test_workers_of_a_killed_orchestrator_end_even_when_their_trial_hangs(place):
    place.write_config("{method: grid, parameters: {shift: [0.1, 0.4], deed: [hang]}}")
    command = place.run()
    place.wait_until(lambda: len(place.fitting()) == 2, command)
    command.send(signal.SIGKILL)
    command.wait()
    place.assert_nothing_left_over()
