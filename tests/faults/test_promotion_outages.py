"""The server goes away in a promotion: it is done once, or the error says what may be, and the next one does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.conftest import Gate
from tests.faults.faultkit.promoting import CLIENT, PROMOTING, Base, hold, promotion

FULL = pytest.mark.full_form
MOVES = f"{CLIENT}.transition_model_version_stage"
LOST = ["model-versions/create", "model-versions/set-tag", "model-versions/transition-stage", "registered-models/alias"]


@pytest.fixture
def gated(served_base: Base) -> Iterator[tuple[Base, Gate]]:
    """The tracking server behind a gate that can lose its answers."""
    gate = Gate(served_base.machine.uri)
    yield Base(replace(served_base.machine, uri=gate.uri), served_base.runs), gate
    gate.close()


@pytest.mark.parametrize(
    "moment", [pytest.param(each, id=str(each), marks=() if each.target == MOVES and each.after else FULL) for each in PROMOTING]
)
def test_a_server_killed_and_started_again_in_a_promotion(served_base, base_server, tmp_path, audit_promotion, moment):
    name = f"restarted {moment}"
    served_base.with_two(name)
    held = hold(tmp_path, moment)
    running = served_base.machine.start(*promotion(name, served_base.runs[2]), traps=[held])
    held.wait_for_it()
    base_server.kill()
    held.release()
    base_server.start()
    ended = running.wait()
    assert ended.code == 0, ended
    found = audit_promotion(served_base, "the server killed and started again", name=name, what=moment)
    assert (found.staged, found.done) == (["3"], ["1", "2", "3"])


@pytest.mark.parametrize("path", [pytest.param(each, marks=() if each == LOST[2] else FULL) for each in LOST])
def test_a_promotion_whose_answers_get_lost_is_done_once(served_base, gated, audit_promotion, path):
    name = f"lost {path.replace('/', ' ')}"
    served_base.with_two(name)
    behind, gate = gated
    gate.lose("POST", path)
    behind.machine.do(*promotion(name, served_base.runs[2]))
    assert not gate.losing
    found = audit_promotion(served_base, "an answer of the server lost", name=name, what=path)
    assert (found.staged, found.done, found.versions) == (["3"], ["1", "2", "3"], ["1", "2", "3"])


@pytest.mark.full_form
@pytest.mark.parametrize("moment", [pytest.param(each, id=str(each)) for each in PROMOTING[2:]])
def test_a_server_that_stays_away_leaves_one_version_in_the_stage(served_base, base_server, tmp_path, audit_promotion, moment):
    name = f"gone {moment}"
    served_base.with_two(name)
    held = hold(tmp_path, moment)
    running = served_base.machine.start(*promotion(name, served_base.runs[2]), traps=[held])
    held.wait_for_it()
    base_server.kill()
    held.release()
    ended = running.wait()
    base_server.start()
    assert ended.code == 1, ended
    text = " ".join(ended.stderr.split())
    assert "error: MLflow could not" in text
    assert f"of {name} was being put into Staging, which holds either that or what was there" in text
    assert "Traceback" not in text
    audit_promotion(served_base, "the server gone for good", name=name, settled=False, what=moment)
    served_base.machine.do(*promotion(name, served_base.runs[2]))
    found = audit_promotion(served_base, "the server gone for good; then the same", name=name, what=moment)
    assert (found.staged, found.versions) == (["3"], ["1", "2", "3"])
