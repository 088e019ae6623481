"""A hang, a memory hog, a segfault, an exception: each costs its own trial, which says why; and what is left running ends."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from tests.faults.faultkit.audit import all_runs

SEARCH = """
  method: grid
  parameters:
    shift: [0.1, 0.4, 0.7]
    deed: [%s]
  constraints: ["deed == 'work' or shift == 0.4"]"""
ORPHAN = "orphan"
"""A trial that goes well and leaves a process running."""

LIMITS = "trial_timeout: 8s, memory_limit: 700MB"  # a machine may stand still for a second or two while memory is taken
SAYS = {"hang": "8", "hog": "700", "segfault": "SIGSEGV", "fail": "as it was told to"}

DEFAULT, BY_CAUSE = "", ", retries: {worker: 0, timeout: 1, memory: 1, error: 2}"
CASES = {
    DEFAULT: {"hang": 1, "hog": 1, "segfault": 2, "fail": 1},
    BY_CAUSE: {"hang": 2, "hog": 2, "segfault": 1, "fail": 3},
}
"""How often each is measured, by what the config says of retries."""


@pytest.mark.parametrize("kind", ["estimator", "function", "command"])
@pytest.mark.parametrize(
    "retries",
    [pytest.param(DEFAULT, id="default"), pytest.param(BY_CAUSE, id="by cause", marks=pytest.mark.full_form)],
)
def test_trials_that_misbehave_fail_alone_and_say_why(kind, retries, place, audit):
    deeds = ["work", *SAYS, *([ORPHAN] if kind != "estimator" else [])]
    place.write_config(SEARCH % ", ".join(deeds), kind=kind, execution=f"{{backend: processes, workers: 2, {LIMITS}{retries}}}")
    ended = place.run().wait()
    assert ended.code == 0, ended
    audit(
        place,
        f"a hang, a memory hog, a segfault, an exception{', retried' if retries else ''}",
        search=None,
        expected=len(deeds) + 2,
        times=len(deeds) - 1,
    )
    failed = {run.data.params["deed"]: run.data.tags["wine_sweep.error"] for run in all_runs(place.client) if is_failed(run)}
    assert failed.keys() == SAYS.keys()
    assert [deed for deed, error in failed.items() if SAYS[deed] not in error] == [], failed
    began = Counter(params[-1] for _, params in place.notes("began"))
    assert {deed: began[deed] for deed in SAYS} == CASES[retries]
    place.assert_nothing_left_over()
    assert [*place.state.rglob("*.jsonl"), *place.state.rglob("*.files")] == []


def is_failed(run) -> bool:
    return run.info.status == "FAILED"


@pytest.mark.full_form
def test_a_sweep_that_only_fails_stops_early_and_groups_the_reasons(place, nothing_runs):
    place.write_config(
        "{method: grid, parameters: {shift: {low: 0.0, high: 1.0, num: 40}, deed: [fail]}}",
        execution="{backend: processes, workers: 2, max_failures: 5}",
    )
    ended = place.run().wait()
    assert ended.code == 1, ended
    assert ended.stderr.count("as it was told to") == 1
    assert 5 <= sum(map(is_failed, all_runs(place.client))) - 1 <= 7  # the parent run is FAILED too
    nothing_runs(place)
    place.assert_nothing_left_over()


@pytest.mark.full_form
@pytest.mark.parametrize("kind", ["estimator", "function", "command"])
def test_workers_of_a_killed_orchestrator_end_even_when_their_trial_hangs(kind, place):
    place.write_config("{method: grid, parameters: {shift: [0.1, 0.4], deed: [hang]}}", kind=kind)
    command = place.run()
    place.wait_until(lambda: len(place.fitting()) == 2, command)
    command.send(signal.SIGKILL)
    command.wait()
    place.assert_nothing_left_over()
