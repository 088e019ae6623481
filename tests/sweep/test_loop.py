"""The loop alone: scripted searchers and workers that finish in any order, no processes and no MLflow."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import Future
from dataclasses import replace

import pytest

from wine_sweep.config import Direction, RetriesConfig
from wine_sweep.errors import ExecutionError, TrackingError
from wine_sweep.search.searcher import Outcome, Suggestion
from wine_sweep.selection import Objective
from wine_sweep.sweep.loop import Budget, StopReason, TrialLoop
from wine_sweep.trial import Failure, FailureCause, Report, Score, Step, Trial, TrialState

RMSE = Objective("rmse", Direction.MINIMIZE, "5 folds")


class Scripted:
    """Suggests what it is given, and writes down what it is told and how much it knew at each ask."""

    def __init__(self, values, *, adaptive: bool = False, prune=None) -> None:
        self.adaptive = adaptive
        self._prune = prune or (lambda params, steps: False)
        self.shown: list[tuple[int, list[float]]] = []
        self.shown_at: list[tuple[int, list[int]]] = []
        self._values = iter(values)
        self.told: list[tuple[int, float | None]] = []
        self.known_at_ask: list[int] = []
        self.outcomes: list[Outcome] = []
        self.learned: list[float] = []

    def ask(self):
        self.known_at_ask.append(len(self.told))
        value = next(self._values, None)
        return None if value is None else Suggestion({"x": value}, value)

    def tell(self, suggestion, outcome) -> None:
        finished = outcome.state is TrialState.FINISHED
        self.told.append((suggestion.handle, outcome.values[0] if finished else None))
        self.outcomes.append(outcome)

    def prune(self, suggestion, steps, at=()):
        self.shown.append((suggestion.handle, list(steps)))
        self.shown_at.append((suggestion.handle, list(at)))
        return self._prune(suggestion.params, steps)

    def learn(self, params, outcome) -> None:
        self.learned.append(params["x"])


class Shuffled:
    """Workers that finish in an order of their own: the newest of what is open, or any, when the loop waits."""

    def __init__(self, size: int, seed: int = 0, outcome=None) -> None:
        self.size = size
        self.submitted: list[Trial] = []
        self.stopped = False
        self.dropped: list[int] = []
        self._open: list[tuple[Future, Trial]] = []
        self._random = random.Random(seed)
        self._outcome = outcome or finished

    def submit(self, trial):
        self.submitted.append(trial)
        future: Future = Future()
        self._open.append((future, trial))
        if len(self._open) == self.size:
            self.finish_one()
        return future

    def finish_one(self) -> None:
        future, trial = self._open.pop(self._random.randrange(len(self._open)))
        try:
            future.set_result(self._outcome(trial))
        except Exception as error:  # noqa: BLE001  # whatever the scripted outcome raises
            future.set_exception(error)

    def drop(self, trial) -> None:
        self.dropped.append(trial.number)

    def explain(self, error):
        if isinstance(error, ExecutionError):
            raise error
        return Failure("WorkerDied", str(error), cause=FailureCause.WORKER)

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass


class Kept:
    def __init__(self, fail_after: int | None = None, *, is_outage: bool = False) -> None:
        self.events: list[tuple[str, int]] = []
        self.ended: dict[int, Trial] = {}
        self.recalled: list[int] = []
        self.behind = lambda recorder: False
        self._fail_after = fail_after
        self._is_outage = is_outage

    def trial_started(self, trial) -> None:
        self.events.append(("started", trial.number))

    def trial_ended(self, trial) -> None:
        assert trial.number not in self.ended, "a trial ends once"
        self.ended[trial.number] = trial
        self.events.append(("ended", trial.number))

    def trial_restored(self, trial) -> None:
        assert trial.number not in self.ended, "a trial of the past does not end again"
        self.recalled.append(trial.number)

    def is_behind(self) -> bool:
        return self.behind(self)

    def check(self) -> None:
        if self._fail_after is not None and len(self.ended) >= self._fail_after:
            raise TrackingError("the store is gone", is_outage=self._is_outage)


def finished(trial: Trial) -> Trial:
    return replace(trial, state=TrialState.FINISHED, scores={"rmse": Score(float(trial.params["x"]), 0.0)})


def make(
    values, *, size=1, adaptive=False, budget=None, seed=0, outcome=None, stop=lambda: False, kept=None, prune=None,
    objective=RMSE, stoppers=(), past=(), **options,
):  # fmt: skip
    searcher = Scripted(values, adaptive=adaptive, prune=prune)
    workers, recorder = Shuffled(size, seed, outcome), kept or Kept()
    options["past"] = {trial.number: trial for trial in past}
    loop = TrialLoop(searcher, workers, recorder, objective, budget or Budget(), stoppers, stop, **options)

    def wait(running, timeout, return_when):
        if not any(future.done() for future in running):
            workers.finish_one()
        return {future for future in running if future.done()}, set()

    return loop, searcher, workers, recorder, wait


@pytest.fixture
def run(monkeypatch):
    def run_loop(*arguments, **keys):
        loop, searcher, workers, recorder, wait = make(*arguments, **keys)
        monkeypatch.setattr("wine_sweep.sweep.loop.wait", wait)
        return loop.run(), searcher, workers, recorder

    return run_loop


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_every_trial_is_measured_once_and_ends_once(run, size, seed):
    result, searcher, workers, recorder = run(range(1, 21), size=size, seed=seed)
    assert [trial.number for trial in result.trials] == list(range(20))
    assert all(trial.state is TrialState.FINISHED for trial in result.trials)
    assert sorted(trial.number for trial in workers.submitted) == list(range(20))
    assert len(recorder.ended) == 20
    assert result.stopped_by is StopReason.TRIALS
    assert searcher.told == [(x, float(x)) for x in range(1, 21)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_an_adaptive_searcher_knows_does_not_depend_on_who_finishes_first(run, size):
    histories = []
    for seed in range(8):
        _, searcher, _, _ = run(range(1, 31), size=size, adaptive=True, seed=seed)
        histories.append((searcher.known_at_ask, searcher.told))
    assert all(history == histories[0] for history in histories)
    lag = 1 if size == 1 else 2 * size
    assert histories[0][0][:31] == [max(0, asked - lag + 1) for asked in range(31)]


def test_repeated_parameters_are_told_the_earlier_result_and_not_measured(run):
    result, searcher, workers, _ = run([1, 2, 1, 1, 3, 2], size=2)
    assert [trial.params["x"] for trial in workers.submitted] == [1, 2, 3]
    assert searcher.told == [(1, 1.0), (2, 2.0), (1, 1.0), (1, 1.0), (3, 3.0), (2, 2.0)]
    assert result.repeats == 3


def test_one_and_one_point_oh_are_different_parameters(run):
    result, _, _, _ = run([1, 1.0, True])
    assert len(result.trials) == 3


def test_a_searcher_that_only_repeats_itself_ends_the_sweep(run):
    result, _, _, _ = run([1] * 5000)
    assert len(result.trials) == 1
    assert result.repeats == Budget().repeats
    assert result.stopped_by is StopReason.EXHAUSTED


def test_a_space_that_is_used_up_ends_the_sweep(run):
    result, _, _, _ = run([1, 2, 1, 3, 4], budget=Budget(points=3))
    assert [trial.params["x"] for trial in result.trials] == [1, 2, 3]
    assert result.stopped_by is StopReason.EXHAUSTED


def test_the_number_of_trials_is_exact(run):
    result, _, _, _ = run(range(1, 100), size=3, budget=Budget(trials=7))
    assert len(result.trials) == 7
    assert result.stopped_by is StopReason.TRIALS


def test_when_the_time_is_up_what_runs_is_finished(monkeypatch):
    times = iter(range(100))
    loop, _, _, recorder, wait = make(range(1, 100), size=2, budget=Budget(seconds=6))
    loop.monotonic = lambda: float(next(times))
    monkeypatch.setattr("wine_sweep.sweep.loop.wait", wait)
    result = loop.run()
    assert result.stopped_by is StopReason.TIMEOUT
    assert 1 < len(result.trials) < 10
    assert all(trial.state is TrialState.FINISHED for trial in recorder.ended.values())


def test_a_failed_trial_is_told_as_failed_and_the_sweep_goes_on(run):
    def outcome(trial):
        return (
            replace(trial, state=TrialState.FAILED, failure=Failure("ValueError", "no")) if trial.number == 1 else finished(trial)
        )

    result, searcher, _, _ = run([1, 2, 3], outcome=outcome)
    assert [trial.state for trial in result.trials] == ["finished", "failed", "finished"]
    assert searcher.told[1] == (2, None)


def test_a_lost_worker_fails_its_trial(run):
    def outcome(trial):
        if trial.number == 1:
            raise OSError("gone")
        return finished(trial)

    result, _, _, _ = run([1, 2, 3], outcome=outcome)
    assert [trial.state for trial in result.trials] == ["finished", "failed", "finished"]
    assert result.trials[1].failure == Failure("WorkerDied", "gone", cause=FailureCause.WORKER)


def test_stopping_kills_what_runs_and_keeps_what_has_finished(run):
    recorder = Kept()
    result, _, workers, _ = run(range(1, 100), size=3, stop=lambda: len(recorder.ended) >= 4, kept=recorder)
    states = [trial.state for trial in result.trials]
    assert result.stopped_by is StopReason.INTERRUPTED
    assert workers.stopped
    assert states.count(TrialState.FINISHED) >= 4
    assert TrialState.KILLED in states
    assert TrialState.RUNNING not in states
    assert set(recorder.ended) == set(range(len(states)))


def test_a_recorder_that_fails_ends_the_sweep_and_the_workers(run):
    recorder = Kept(fail_after=3)
    with pytest.raises(TrackingError, match="the store is gone"):
        run(range(1, 100), size=2, kept=recorder)
    started = {number for event, number in recorder.events if event == "started"}
    assert started == set(recorder.ended)


@pytest.mark.parametrize(("is_outage", "grace", "is_killed"), [(True, 20.0, False), (True, 0.0, True), (False, 20.0, True)])
def test_what_runs_has_the_time_of_grace_when_the_store_stays_away(run, is_outage, grace, is_killed):
    recorder = Kept(fail_after=3, is_outage=is_outage)
    with pytest.raises(TrackingError, match="the store is gone"):
        run(range(1, 100), size=6, kept=recorder, grace=grace)
    assert {number for event, number in recorder.events if event == "started"} == set(recorder.ended)
    assert (TrialState.KILLED in {trial.state for trial in recorder.ended.values()}) == is_killed


@pytest.mark.parametrize("size", [1, 3])
def test_no_trial_is_begun_while_too_much_waits_to_be_kept(run, size, monkeypatch):
    recorder = Kept()
    written: list[float] = []
    monkeypatch.setattr("wine_sweep.sweep.loop.time.sleep", written.append)
    recorder.behind = lambda kept: len(kept.ended) - 4 * len(written) >= 4
    result, _, _, _ = run(range(1, 21), size=size, kept=recorder)
    assert [trial.number for trial in result.trials] == list(range(20))
    assert 4 <= len(written) <= 5, "it waited whenever nothing ran and four results were not written"


def test_ctrl_c_inside_a_trial_ends_it_as_killed(run):
    recorder = Kept()

    def outcome(trial):
        if trial.number == 2:
            raise KeyboardInterrupt
        return finished(trial)

    with pytest.raises(KeyboardInterrupt):
        run([1, 2, 3, 4], outcome=outcome, kept=recorder)
    assert recorder.ended[2].state is TrialState.KILLED


def in_steps(count: int):
    """Measure a step at a time: step n of the trial with x is worth x + n."""

    def outcome(trial: Trial) -> Trial:
        value = float(trial.params["x"]) + len(trial.steps)
        trial = replace(trial, steps=(*trial.steps, Step({"rmse": (value, value)}, 0.1)))
        return finished(trial) if len(trial.steps) == count else trial

    return outcome


@pytest.mark.parametrize("size", [1, 2, 3])
def test_between_steps_the_searcher_is_asked_and_nobody_waits(run, size):
    result, searcher, workers, recorder = run([10, 20, 30, 40], size=size, outcome=in_steps(3))
    assert all(trial.state is TrialState.FINISHED for trial in result.trials)
    assert sorted(searcher.shown) == sorted((x, [float(x + n) for n in range(seen)]) for x in (10, 20, 30, 40) for seen in (1, 2))
    assert len(workers.submitted) == 12
    assert [event for event, _ in recorder.events].count("started") == 4


@pytest.mark.parametrize("size", [1, 2])
def test_a_pruned_trial_keeps_its_steps_and_is_told_as_pruned(run, size):
    def poor(params, steps):
        return params["x"] >= 30 and len(steps) == 2

    result, searcher, workers, recorder = run([10, 20, 30, 40], size=size, outcome=in_steps(4), prune=poor)
    assert [trial.state for trial in result.trials] == ["finished", "finished", "pruned", "pruned"]
    assert [len(trial.steps) for trial in result.trials] == [4, 4, 2, 2]
    assert [trial.reported for trial in result.trials] == [(10, 11, 12), (20, 21, 22), (30, 31), (40, 41)]
    assert [outcome.state for outcome in searcher.outcomes] == [trial.state for trial in result.trials]
    assert len(workers.submitted) == 12
    assert workers.dropped == [2, 3]
    assert set(recorder.ended) == {0, 1, 2, 3}


def reporting(steps, *, without=(), lost=()):
    """Report at each of some steps, as a task does that knows nothing of what the loop writes down; then finish.

    At the step n the trial with x reports x + n, or nothing but another metric; each number in `lost` loses a worker there.
    """
    begun: dict[int, Trial] = {}
    losing = list(lost)

    def outcome(trial: Trial) -> Trial:
        if not trial.reports:
            begun[trial.number] = trial
        if len(trial.reports) == len(steps):
            return finished(replace(begun[trial.number], reports=trial.reports))
        step = steps[len(trial.reports)]
        if step in losing:
            losing.remove(step)
            raise OSError("gone")
        values = {"loss": 0.0} if step in without else {"rmse": float(trial.params["x"] + step), "loss": 0.0}
        return replace(begun[trial.number], reports=(*trial.reports, Report(step, values)))

    return outcome


@pytest.mark.parametrize("size", [1, 3])
def test_after_each_report_the_searcher_is_asked_with_the_trials_own_steps(run, size):
    result, searcher, workers, _ = run([10, 20, 30], size=size, outcome=reporting([0, 5, 7]))
    assert sorted(searcher.shown) == [(x, [float(x + n) for n in (0, 5, 7)[:seen]]) for x in (10, 20, 30) for seen in (1, 2, 3)]
    assert sorted(searcher.shown_at) == [(x, [0, 5, 7][:seen]) for x in (10, 20, 30) for seen in (1, 2, 3)]
    assert [trial.state for trial in result.trials] == ["finished"] * 3
    assert [trial.reported for trial in result.trials] == [(x, x + 5, x + 7) for x in (10, 20, 30)]
    assert [trial.reported_at for trial in result.trials] == [(0, 5, 7)] * 3
    assert [len(trial.reports) for trial in result.trials] == [3] * 3
    assert workers.dropped == []


def test_a_report_without_the_objective_is_no_question(run):
    result, searcher, workers, _ = run([10], outcome=reporting([0, 1, 2, 3], without=[0, 2]))
    assert searcher.shown_at == [(10, [1]), (10, [1, 3])]
    assert len(workers.submitted) == 5
    assert (result.trials[0].reported, result.trials[0].reported_at) == ((11, 13), (1, 3))


@pytest.mark.parametrize("size", [1, 2])
def test_a_trial_that_is_pruned_after_a_report_is_dropped_before_it_ends(run, size):
    result, _, workers, _ = run(
        [10, 30], size=size, outcome=reporting([2, 4, 6]), prune=lambda params, steps: params["x"] == 30 and len(steps) == 2
    )  # fmt: skip
    assert [trial.state for trial in result.trials] == ["finished", "pruned"]
    assert workers.dropped == [1]
    assert (result.trials[1].reported, result.trials[1].reported_at) == ((32, 34), (2, 4))
    assert [each.step for each in result.trials[1].reports] == [2, 4]
    assert sum(trial.number == 1 for trial in workers.submitted) == 2


def ending_with(reports):
    """Finish at once, with reports of which the loop was never told."""
    return lambda trial: finished(replace(trial, reports=tuple(reports)))


def test_what_a_trial_reported_after_the_last_question_is_shown_when_it_has_finished(run):
    late = [Report(0, {"rmse": 4.0}), Report(1, {"loss": 1.0}), Report(3, {"rmse": 5.0})]
    result, searcher, workers, _ = run([10, 20], outcome=ending_with(late), prune=lambda params, steps: True, prunes=True)
    assert searcher.shown == [(10, [4.0, 5.0]), (20, [4.0, 5.0])]
    assert searcher.shown_at == [(10, [0, 3]), (20, [0, 3])]
    assert [trial.state for trial in result.trials] == ["finished"] * 2
    assert [(trial.reported, trial.reported_at) for trial in result.trials] == [((4.0, 5.0), (0, 3))] * 2
    assert workers.dropped == []


def test_nobody_is_shown_reports_where_nothing_is_pruned(run):
    result, searcher, _, _ = run([10], outcome=ending_with([Report(0, {"rmse": 4.0})]))
    assert searcher.shown == []
    assert result.trials[0].reported == ()


def test_a_trial_that_reports_and_is_measured_again_begins_afresh_and_is_not_shown_twice(run):
    result, searcher, workers, _ = run([10], outcome=reporting([0, 1, 2], lost=[2]), retries=RetriesConfig(worker=1))
    assert searcher.shown_at == [(10, [0]), (10, [0, 1]), (10, [0, 1, 2])]
    assert [(len(each.reports), each.reported_at) for each in workers.submitted] == [
        (0, ()), (1, (0,)), (2, (0, 1)), (0, ()), (1, (0,)), (2, (0, 1)), (3, (0, 1, 2)),
    ]  # fmt: skip
    assert result.trials[0].retries == 1
    assert result.trials[0].reported_at == (0, 1, 2)


def test_a_replay_shows_the_pruner_every_report_again_at_its_step(run):
    past = [replace(trial, reported=(10.0, 15.0), reported_at=(0, 5)) for trial in past_of([0], [10])]
    result, searcher, _, _ = run([10, 20], outcome=reporting([0, 5]), past=past)
    assert searcher.shown == [(10, [10.0]), (10, [10.0, 15.0]), (20, [20.0]), (20, [20.0, 25.0])]
    assert searcher.shown_at == [(10, [0]), (10, [0, 5]), (20, [0]), (20, [0, 5])]
    assert result.trials[0] == past[0]


def test_a_worker_hears_of_a_drop_before_the_trial_is_kept(monkeypatch):
    loop, _, workers, recorder, wait = make([10], outcome=reporting([0, 1]), prune=lambda params, steps: True)
    seen = []
    monkeypatch.setattr(recorder, "trial_ended", lambda trial: seen.append((trial.state, list(workers.dropped))))
    monkeypatch.setattr("wine_sweep.sweep.loop.wait", wait)
    loop.run()
    assert seen == [(TrialState.PRUNED, [0])]


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_no_credentials_are_kept_of_a_trial_that_ends_or_has_ended_when_the_sweep_does(monkeypatch, is_interrupted):
    def failed(trial):
        return replace(trial, state=TrialState.FAILED, failure=Failure("URLError", "https://user:secret@host is away"))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    loop, _, _, recorder, wait = make([1], outcome=failed)
    monkeypatch.setattr("wine_sweep.sweep.loop.wait", interrupted if is_interrupted else wait)
    with pytest.raises(KeyboardInterrupt) if is_interrupted else contextlib.nullcontext():
        loop.run()
    assert recorder.ended[0].failure.message == "https://***@host is away"


def test_a_trial_that_breaks_a_limit_is_finished_and_told_by_how_much(run):
    limited = replace(RMSE, limits=("rmse <= 2.5",))
    result, searcher, _, _ = run([1, 2, 3, 4], objective=limited)
    assert [trial.is_feasible for trial in result.trials] == [True, True, False, False]
    assert all(trial.state is TrialState.FINISHED for trial in result.trials)
    assert [outcome.violations["rmse <= 2.5"] for outcome in searcher.outcomes] == [-1.5, -0.5, 0.5, 1.5]


class After:
    """Stops after a number of trials, and writes down their order."""

    reason = StopReason.PATIENCE

    def __init__(self, count: int) -> None:
        self._count = count
        self.seen: list[int] = []

    def add(self, trial: Trial) -> bool:
        self.seen.append(trial.number)
        return len(self.seen) >= self._count


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_stoppers_see_trials_in_order_and_what_runs_is_finished(run, size, seed):
    stopper = After(5)
    result, _, _, _ = run(range(1, 100), size=size, seed=seed, stoppers=[stopper])
    assert stopper.seen == list(range(len(result.trials)))
    assert len(result.trials) == 5 if size == 1 else 5 <= len(result.trials) < 99
    assert result.stopped_by is StopReason.PATIENCE
    assert all(trial.state is TrialState.FINISHED for trial in result.trials)


def past_of(numbers, values=range(1, 100)) -> list[Trial]:
    return [finished(Trial(number, {"x": values[number]})) for number in numbers]


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_replay_measures_what_is_missing_and_leads_the_searcher_through_the_same_states(run, size, adaptive, seed):
    whole, undisturbed, _, _ = run(range(1, 31), size=size, adaptive=adaptive, seed=seed)
    draw = random.Random(seed)
    known = sorted(draw.sample(range(30), draw.randrange(31)))
    result, searcher, workers, recorder = run(range(1, 31), size=size, adaptive=adaptive, seed=seed, past=past_of(known))
    assert sorted(trial.number for trial in workers.submitted) == [number for number in range(30) if number not in known]
    assert sorted(recorder.recalled) == known
    assert result.trials == whole.trials
    assert searcher.told == undisturbed.told
    assert searcher.known_at_ask == undisturbed.known_at_ask or not adaptive
    assert searcher.learned == []


@pytest.mark.parametrize("size", [1, 3])
def test_a_replay_knows_repeated_suggestions_from_other_ones(run, size):
    values = [1, 2, 1, 1, 3, 2, 4, 5]
    whole, undisturbed, _, _ = run(values, size=size, adaptive=True)
    result, searcher, workers, _ = run(values, size=size, adaptive=True, past=past_of([0, 1, 2], [1, 2, 3]))
    assert [trial.params["x"] for trial in workers.submitted] == [4, 5]
    assert result == whole
    assert searcher.told == undisturbed.told


def test_a_replay_shows_the_pruner_every_step_again(run):
    values = [10, 20, 30]
    means = {0: (10.0, 11.0), 1: (20.0, 21.0)}
    past = [replace(trial, reported=means[trial.number]) for trial in past_of([0, 1], values)]
    past[1] = replace(past[1], state=TrialState.PRUNED, scores={})
    result, searcher, _, _ = run(values, outcome=in_steps(3), past=past)
    assert searcher.shown == [
        (10, [10.0]),
        (10, [10.0, 11.0]),
        (20, [20.0]),
        (20, [20.0, 21.0]),
        (30, [30.0]),
        (30, [30.0, 31.0]),
    ]
    assert [outcome.state for outcome in searcher.outcomes] == ["finished", "pruned", "finished"]
    assert [trial.state for trial in result.trials] == ["finished", "pruned", "finished"]


def test_a_failed_trial_of_the_past_is_not_measured_again(run):
    failed = replace(Trial(1, {"x": 2}), state=TrialState.FAILED, failure=Failure("ValueError", "no"))
    result, searcher, workers, _ = run([1, 2, 3], past=[*past_of([0]), failed])
    assert [trial.number for trial in workers.submitted] == [2]
    assert searcher.told == [(1, 1.0), (2, None), (3, 3.0)]
    assert result.trials[1].failure == Failure("ValueError", "no")


@pytest.mark.parametrize("size", [1, 3])
def test_a_searcher_that_suggests_something_else_is_replaced_by_one_that_has_learned(run, size, caplog):
    taught: list[int] = []
    other = Scripted(range(50, 60), adaptive=True)

    def relearn(trials):
        taught.extend(trial.params["x"] for trial in trials)
        return other

    past = past_of([0, 1, 2, 5], [1, 2, 77, 4, 5, 6])
    result, _, workers, recorder = run(
        range(1, 20), size=size, adaptive=True, past=past, relearn=relearn, budget=Budget(trials=8)
    )
    assert "trial 2 cannot be replayed" in caplog.text
    assert taught == [1, 2, 77, 6]
    assert [trial.params["x"] for trial in result.trials] == [1, 2, 77, 50, 51, 6, 52, 53]
    assert sorted(trial.number for trial in workers.submitted) == [3, 4, 6, 7]
    assert sorted(recorder.recalled) == [0, 1, 2, 5]


def test_what_the_replaced_searcher_suggested_is_measured_and_learned(run):
    other = Scripted(range(50, 60), adaptive=True)
    past = past_of([1, 2], [0, 2, 77])
    result, first, _, _ = run(
        range(1, 20), size=4, adaptive=True, past=past, relearn=lambda trials: [*trials] and other, budget=Budget(trials=5)
    )
    assert result.trials[0].params == {"x": 1}, "it ran when trial 2 turned out to be another"
    assert other.learned == [1]
    assert first.told == []


def test_a_grid_that_was_left_runs_through_what_is_known_without_counting_it_as_repeats(run):
    past = past_of([0, 1, 3], [1, 5, 0, 3])
    result, _, workers, _ = run([1, 2, 3, 4, 5], past=past, relearn=lambda trials: Scripted([1, 2, 3, 4, 5]))
    assert sorted(trial.params["x"] for trial in result.trials) == [1, 2, 3, 4, 5]
    assert sorted(trial.params["x"] for trial in workers.submitted) == [2, 4]
    assert result.repeats == 0


def test_trials_beyond_the_end_of_the_replay_are_kept(run):
    result, _, workers, recorder = run(range(1, 20), past=past_of([0, 1, 2, 4]), stoppers=[After(2)])
    assert [trial.number for trial in result.trials] == [0, 1, 2, 4]
    assert workers.submitted == []
    assert recorder.recalled == [0, 1, 2, 4]


def test_the_first_stop_lets_trials_end_and_starts_none(run):
    recorder = Kept()
    result, _, workers, _ = run(range(1, 100), size=3, stop=lambda: len(recorder.ended) >= 4, kept=recorder, grace=1000.0)
    assert result.stopped_by is StopReason.INTERRUPTED
    assert {trial.state for trial in result.trials} == {TrialState.FINISHED}
    assert 4 <= len(result.trials) <= 7
    assert not workers.stopped


def test_a_worker_lost_during_a_stop_leaves_its_trial_killed(run):
    recorder = Kept()

    def outcome(trial):
        if len(recorder.ended) >= 2:
            raise OSError("ended by SIGTERM")
        return finished(trial)

    result, _, _, _ = run(
        range(1, 100), size=2, stop=lambda: len(recorder.ended) >= 2, kept=recorder, grace=1000.0, outcome=outcome
    )
    assert {trial.state for trial in result.trials} <= {TrialState.FINISHED, TrialState.KILLED}
    assert TrialState.KILLED in {trial.state for trial in result.trials}


def failing(times: dict[int, int], cause: FailureCause):
    """Fail the trials with these numbers as often as said, for one cause."""
    left = dict(times)

    def outcome(trial: Trial) -> Trial:
        if left.get(trial.number, 0) == 0:
            return finished(trial)
        left[trial.number] -= 1
        if cause is FailureCause.WORKER:
            raise OSError("gone")
        return replace(trial, state=TrialState.FAILED, failure=Failure("Why", "not", cause=cause))

    return outcome


@pytest.mark.parametrize("cause", list(FailureCause))
@pytest.mark.parametrize("size", [1, 3])
def test_a_failure_is_measured_again_as_often_as_its_cause_allows(run, cause, size):
    retries = RetriesConfig.model_validate({"worker": 0, cause.value: 2})
    outcome = failing({1: 2, 3: 3}, cause)
    result, searcher, workers, recorder = run([10, 20, 30, 40, 50], size=size, outcome=outcome, retries=retries)
    assert [trial.state for trial in result.trials] == ["finished", "finished", "finished", "failed", "finished"]
    assert [trial.retries for trial in result.trials] == [0, 2, 0, 2, 0]
    assert len(workers.submitted) == 5 + 2 + 2
    assert [event for event, _ in recorder.events].count("started") == 5
    assert searcher.told == [(10, 10.0), (20, 20.0), (30, 30.0), (40, None), (50, 50.0)]


@pytest.mark.parametrize("cause", [each for each in FailureCause if each is not FailureCause.WORKER])
def test_by_default_only_a_lost_worker_is_worth_another_try(run, cause):
    result, _, workers, _ = run([1, 2], outcome=failing({0: 1}, cause), retries=RetriesConfig())
    assert [trial.state for trial in result.trials] == ["failed", "finished"]
    assert len(workers.submitted) == 2
    result, _, workers, _ = run([1, 2], outcome=failing({0: 1}, FailureCause.WORKER), retries=RetriesConfig())
    assert [trial.state for trial in result.trials] == ["finished", "finished"]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_retries_change_nothing_of_what_an_adaptive_searcher_knows(run, size):
    plain, shaken = (
        run(range(1, 31), size=size, adaptive=True, seed=seed, outcome=outcome, retries=RetriesConfig())[1]
        for seed, outcome in ((0, None), (3, failing({2: 1, 5: 1, 6: 1, 20: 1}, FailureCause.WORKER)))
    )
    assert (plain.known_at_ask, plain.told) == (shaken.known_at_ask, shaken.told)


def test_a_trial_that_is_measured_again_keeps_the_steps_behind_it_and_is_not_shown_twice(run):
    steps, lost = in_steps(3), [True]

    def outcome(trial):
        if trial.number == 0 and len(trial.steps) == 2 and lost.pop():
            lost.append(False)
            raise OSError("gone")
        return steps(trial)

    result, searcher, workers, _ = run([10], outcome=outcome, retries=RetriesConfig(worker=2))
    assert result.trials[0].retries == 1
    assert [shown for _, shown in searcher.shown] == [[10.0], [10.0, 11.0]]
    assert [len(trial.steps) for trial in workers.submitted] == [0, 1, 2, 2]
    assert all(trial.spent == 0 for trial in workers.submitted)


def test_what_fails_because_the_sweep_stops_is_not_measured_again(run):
    recorder = Kept()
    outcome = failing(dict.fromkeys(range(99), 9), FailureCause.WORKER)
    result, _, workers, _ = run(
        range(1, 100),
        size=2,
        outcome=outcome,
        retries=RetriesConfig(worker=0),
        stop=lambda: len(recorder.ended) >= 4,
        kept=recorder,
    )
    assert result.stopped_by is StopReason.INTERRUPTED
    assert len(workers.submitted) == len(result.trials)


class Growing(Shuffled):
    """Workers of which more join with each trial."""

    def submit(self, trial):
        self.size = min(6, self.size + 1)
        return super().submit(trial)


def test_the_searchers_lag_is_that_of_the_workers_at_the_start_whoever_joins(monkeypatch):
    loop, searcher, _, _, _ = make(range(1, 31), size=2, adaptive=True)
    grown = Growing(2)
    loop.workers = grown

    def wait(running, timeout, return_when):
        if not any(future.done() for future in running):
            grown.finish_one()
        return {future for future in running if future.done()}, set()

    monkeypatch.setattr("wine_sweep.sweep.loop.wait", wait)
    loop.run()
    assert searcher.known_at_ask == [max(0, asked - 4 + 1) for asked in range(31)]


def test_workers_that_are_gone_as_a_whole_end_the_sweep_and_every_trial(run):
    recorder = Kept()

    def outcome(trial):
        if trial.number == 3:
            raise ExecutionError("the scheduler is gone")
        return finished(trial)

    with pytest.raises(ExecutionError, match="the scheduler is gone"):
        run(range(1, 100), size=2, outcome=outcome, kept=recorder)
    assert recorder.ended[3].state is TrialState.KILLED
    assert {number for event, number in recorder.events if event == "started"} == set(recorder.ended)


@pytest.mark.parametrize("size", [1, 3])
def test_as_many_failures_as_are_allowed_end_the_sweep_early_and_what_runs_is_finished(run, size):
    outcome = failing(dict.fromkeys(range(2, 99), 1), FailureCause.ERROR)
    result, _, workers, _ = run(range(1, 100), size=size, outcome=outcome, max_failures=4)
    assert result.stopped_by is StopReason.FAILURES
    failed = [trial.state for trial in result.trials].count(TrialState.FAILED)
    assert 4 <= failed < 4 + size
    assert len(result.trials) - failed == 2
    assert all(trial.state.has_ended for trial in result.trials)
    assert not workers.stopped
