"""Two orchestrators on one sweep: the second is refused while the first is alive, and of two that take over one does."""

from __future__ import annotations

import signal

from tests.faults.faultkit.place import SEARCHES, Command, Place

REFUSED = 2


def refusal(command: Command) -> str:
    """Give the one line that a command which was refused ends with."""
    ended = command.wait()
    assert ended.code == REFUSED, ended
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def under_way(place: Place, *, pause: float) -> Command:
    place.write_config(SEARCHES["grid"], pause=pause)
    command = place.run()
    place.wait_until_under_way(command)
    return command


def test_a_sweep_that_runs_is_not_resumed_and_is_not_disturbed_by_the_attempt(place, audit):
    command = under_way(place, pause=0.4)
    line = refusal(place.resume())
    assert command.running
    assert str(command.pid) in line
    ended = command.wait()
    assert ended.code == 0, ended
    audit(place, "resume of a sweep that runs")
    assert (
        len(place.notes("began"))
        == len(place.notes("ended"))
        == len({params for _, params in place.notes("began")}) + place.kind.notes_winner
    )


def test_of_two_that_resume_at_once_one_goes_on(place, audit):
    command = under_way(place, pause=0.3)
    command.send(signal.SIGKILL)
    command.wait()
    killed = len(place.fitting())
    both = [place.resume(), place.resume()]
    place.wait_until(lambda: not all(each.running for each in both), both[0] if both[0].running else both[1])
    first = next(each for each in both if not each.running)
    line = refusal(first)
    other = both[0] if first is both[1] else both[1]
    assert str(other.pid) in line
    ended = other.wait()
    assert ended.code == 0, ended
    audit(place, "two that resume at once")
    again = len(place.notes("began")) - len({params for _, params in place.notes("began")}) - place.kind.notes_winner
    assert again <= killed + 2  # what ran when the first was killed, or had ended without MLflow hearing of it
    place.assert_nothing_left_over()
