"""kill -9 of the orchestrator at any moment of its life: `resume` ends with what an undisturbed sweep ends with."""

from __future__ import annotations

import math
import random
import signal
import time
from dataclasses import dataclass

import pytest
from tests.faults.faultkit.audit import all_runs, has_result, sweeps
from tests.faults.faultkit.place import SEARCHES, Command, Place

SEED = 20
MOST_KILLS = 3
"""How often one sweep is killed at most."""


def moments(count: int, lifetime: float) -> list[float]:
    """Draw moments that are spread over a whole life: start, trials, winner, promotion."""
    draw = random.Random(SEED)
    return [(index + draw.random()) / count * lifetime for index in range(count)]


def finished_runs(place: Place) -> dict[str, tuple[str, ...]]:
    """Give the runs that have a result, with their parameters."""
    return {
        run.info.run_id: (run.data.params["shift"], run.data.params["scale"])
        for run in all_runs(place.client)
        if "mlflow.parentRunId" in run.data.tags and has_result(run)
    }


def is_killed_at(command: Command, moment: float) -> bool:
    """Kill -9 a command so many seconds after its start; False when it has ended before."""
    while command.running and command.age < moment:
        time.sleep(0.005)
    return command.kill().code == -signal.SIGKILL


def go_on(place: Place) -> Command:
    """Resume, or run again where the kill came before there was anything in MLflow."""
    return place.resume() if sweeps(place.client) else place.run()


def disturb(place: Place, moment: float, draw: random.Random, lifetime: float) -> int:
    """Kill a sweep and resume it, and maybe kill that too, until it ends by itself.

    What had a result in MLflow at a kill keeps its run and is not measured again.

    Returns:
        How often it was killed.
    """
    command, kills = place.run(), 0
    kept: dict[str, tuple[str, ...]] = {}
    seen = 0
    while True:
        killed = is_killed_at(command, moment)
        assert kept.keys() <= finished_runs(place).keys()
        measured = {
            params[:2] for pid, params in place.notes("began")[seen:] if pid != command.pid
        }  # it refits the winner itself
        assert not measured & set(kept.values())
        place.assert_nothing_left_over()
        if not killed:
            ended = command.wait()
            assert ended.code == 0, ended
            return kills
        kills += 1
        kept, seen = finished_runs(place), len(place.notes("began"))
        command = go_on(place)
        again = kills < MOST_KILLS and draw.random() < 0.3
        moment = draw.uniform(1, lifetime) if again else math.inf


@dataclass(frozen=True)
class Case:
    """Which sweeps are killed, and how many of them: in the full form, and in the short one."""

    method: str
    kind: str
    full: int
    short: int


CASES = [
    pytest.param(Case("grid", "estimator", 20, 3), id="grid"),
    pytest.param(Case("random", "estimator", 6, 1), id="random", marks=pytest.mark.full_form),
    pytest.param(Case("tpe", "estimator", 6, 1), id="tpe", marks=pytest.mark.full_form),
    pytest.param(Case("grid", "function", 10, 1), id="function"),
    pytest.param(Case("grid", "command", 15, 2), id="command"),
]


@pytest.mark.parametrize("case", CASES)
def test_a_sweep_whose_orchestrator_is_killed_at_any_moment_ends_as_if_it_had_not_been(case, new_place, audit, times, seconds):
    search, kind = SEARCHES[case.method], case.kind
    lifetime, draw = seconds(search, kind), random.Random(SEED)
    for index, moment in enumerate(moments(times(case.full, case.short), lifetime)):
        kills = 0
        while not kills:  # where it had ended before, it is killed a little earlier
            place = new_place(f"{case.method}-{kind}-{index}-{moment:.2f}")
            place.write_config(search, kind=kind)
            kills = disturb(place, moment, draw, lifetime)
            moment *= 0.8  # noqa: PLW2901  # the next attempt's
        audit(place, f"kill -9 of the orchestrator, {case.method}", search=search, times=kills)
