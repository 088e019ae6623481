"""The journal on real files: what is added comes back, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wine_sweep.errors import TrackingError
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import state_folder
from wine_sweep.trial import Failure, Report, Score, Step, Trial, TrialState

TOKEN = "a1b2c3d4" * 4

numbers = st.floats() | st.integers(-(2**60), 2**60)
texts = st.text(st.characters(exclude_characters="@"))
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers() | st.text(), inner, max_size=3)
)
scores = st.builds(Score, st.floats(), st.floats(), st.lists(st.floats(), max_size=5).map(tuple))
steps = st.builds(
    Step,
    st.dictionaries(texts, st.lists(st.floats(), max_size=3).map(tuple), max_size=2),
    st.floats(),
    st.none() | st.integers(1, 500) | st.floats(0, 1),
)
reports = st.builds(Report, st.integers(0, 2**60), st.dictionaries(texts, st.floats(), max_size=2))
trials = st.builds(
    Trial,
    number=st.integers(0, 10**6),
    params=st.dictionaries(st.text(), values, max_size=4),
    state=st.sampled_from(TrialState),
    scores=st.dictionaries(texts, scores, max_size=3),
    steps=st.lists(steps, max_size=3).map(tuple),
    fit_seconds=st.floats(),
    started=st.floats(),
    ended=st.floats(),
    failure=st.none() | st.builds(Failure, texts, texts, texts),
    warnings=st.lists(texts, max_size=2).map(tuple),
    run_id=st.none() | texts,
    violations=st.dictionaries(texts, st.floats(), max_size=2),
    reported=st.lists(st.floats(), max_size=3).map(tuple),
    reported_at=st.lists(st.integers(0, 2**60), max_size=3).map(tuple),
    reports=st.lists(reports, max_size=3).map(tuple),
)


def measured(number: int, **params) -> Trial:
    score = Score.of([0.1 * fold + number for fold in range(5)])
    return Trial(number, params, TrialState.FINISHED, {"rmse": score, "r2": score}, fit_seconds=0.1, started=1e9, ended=1e9 + 1)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(trial=trials)
@example(trial=Trial(0, {"__items__": 1}, scores={"__items__": Score(0.5)}, reports=(Report(0, {"__items__": 0.5}),)))
def test_every_trial_comes_back_as_it_was(tmp_path_factory, trial):
    journal = Journal(tmp_path_factory.mktemp("journal") / "one.jsonl")
    journal.add(trial)
    (read,) = journal.trials()
    journal.discard()
    assert repr(read) == repr(trial)  # unlike ==, this takes NaN for NaN, and tells 1 from 1.0 and true


def test_trials_are_read_by_number_and_the_later_line_of_a_number_counts(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    for trial in (measured(3), Trial(1, {}, TrialState.KILLED), measured(1)):
        journal.add(trial)
    assert [(trial.number, trial.state) for trial in journal.trials()] == [(1, "finished"), (3, "finished")]


def test_only_its_owner_may_read_it(tmp_path):
    journal = Journal(tmp_path / "new" / "a.jsonl")
    journal.add(measured(0))
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_journal_that_was_never_written_is_empty_and_can_be_discarded(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    assert journal.trials() == []
    journal.discard()
    assert not journal.path.exists()


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_last_line_that_was_cut_off_is_ignored_and_written_over(tmp_path, cut):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add(measured(0))
    journal.add(measured(1, text="x" * 300))
    journal.close()
    os.truncate(journal.path, journal.path.stat().st_size - cut)
    taken_up = Journal(journal.path)
    assert [trial.number for trial in taken_up.trials()] == [0]
    taken_up.add(measured(2))
    assert [trial.number for trial in taken_up.trials()] == [0, 2]


@pytest.mark.parametrize("broken", ["not JSON", "17", '{"number": 1}', '{"params": {}, "number": "x"}', ""])
def test_a_broken_line_before_the_last_is_an_error_that_names_its_place(tmp_path, broken):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add(measured(0))
    journal.close()
    journal.path.write_text(f"{journal.path.read_text()}{broken}\n")
    with pytest.raises(TrackingError, match=r"a\.jsonl:2: the journal holds something that is no trial"):
        journal.trials()


def test_credentials_in_the_texts_of_a_trial_are_not_written(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    url = "cannot reach http://me:secret@host/x"
    journal.add(Trial(0, {}, TrialState.FAILED, failure=Failure("OSError", url, f"Traceback\nOSError: {url}"), warnings=(url,)))
    assert "secret" not in journal.path.read_text()
    (read,) = journal.trials()
    assert (read.failure.message, read.warnings) == ("cannot reach http://***@host/x", (read.failure.message,))


def test_the_environment_of_a_trial_is_not_written(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add(replace(measured(0), environment={"MLFLOW_TRACKING_PASSWORD": "secret"}))
    assert "secret" not in journal.path.read_text()
    assert "MLFLOW" not in journal.path.read_text()
    assert journal.trials() == [measured(0)]


def test_a_line_of_before_there_were_reports_is_read(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add(measured(0))
    record = json.loads(journal.path.read_text())
    old = {key: value for key, value in record.items() if key not in ("reports", "reported_at", "environment")}
    journal.path.write_text(f"{json.dumps(old)}\n")
    assert journal.trials() == [measured(0)]


@pytest.mark.slow
def test_a_killed_process_loses_no_trial_that_it_added(tmp_path):
    program = (
        "import sys\nfrom wine_sweep.tracking.journal import Journal\nfrom wine_sweep.trial import Trial, TrialState\n"
        f"from pathlib import Path\njournal = Journal(Path({str(tmp_path / 'a.jsonl')!r}))\n"
        "for number in range(10**9):\n"
        "    journal.add(Trial(number, {'x': number}, TrialState.FINISHED))\n    print(number, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    seen = [int(process.stdout.readline()) for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    told = seen + [int(line) for line in process.stdout.read().splitlines() if line]
    process.wait()
    read = [trial.number for trial in Journal(tmp_path / "a.jsonl").trials()]
    assert read[: len(told)] == told
    assert len(read) - len(told) in (0, 1)  # added, and killed before it was told


def test_a_full_disk_keeps_trials_in_memory_and_writes_them_when_there_is_room(small_disk, caplog):
    folder = small_disk("64k")
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 40 * 1024)
    journal = Journal(folder / "a.jsonl")
    for number in range(100):
        journal.add(measured(number, text="x" * 500))
    assert 0 < journal.only_in_memory < 100
    assert [trial.number for trial in journal.trials()] == list(range(100 - journal.only_in_memory))
    ballast.unlink()
    journal.add(measured(100))
    assert journal.only_in_memory > 0  # 100 trials need more than the whole disk
    assert len([record for record in caplog.records if "No space left on device" in record.message]) == 1


def test_what_a_full_disk_took_a_part_of_is_written_whole_later(small_disk, caplog):
    folder = small_disk("64k")
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * 52 * 1024)
    journal = Journal(folder / "a.jsonl")
    for number in range(30):
        journal.add(measured(number, text="x" * 300))
    assert journal.only_in_memory
    ballast.unlink()
    journal.add(measured(30))
    assert journal.only_in_memory == 0
    assert [trial.number for trial in journal.trials()] == list(range(31))
    assert "holds every trial that has ended" in caplog.text


def test_a_folder_that_cannot_be_made_costs_nothing_but_the_file(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "journals" / "a.jsonl")
    journal.add(measured(0))
    journal.add(measured(1))
    assert journal.only_in_memory == 2
    assert caplog.text.count("kept in memory only") == 1


def test_a_sweeps_journal_is_found_by_its_token(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Journal.of(TOKEN).add(measured(7))
    assert [trial.number for trial in Journal.of(TOKEN).trials()] == [7]
    assert Journal.of("0" * 32).trials() == []


def test_where_the_state_folder_cannot_be_made_the_temporary_one_is_taken_and_found_again(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    Journal.of(TOKEN).add(measured(7))
    assert "cannot be used" in caplog.text
    assert state_folder().is_relative_to(tmp_path / "temporary")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mended"))
    assert [trial.number for trial in Journal.of(TOKEN).trials()] == [7]


@pytest.mark.slow
def test_adding_ten_thousand_trials_is_cheap(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    trials = [measured(number, alpha=0.1, l1_ratio=number / 10_000) for number in range(10_000)]
    began = time.process_time()
    for trial in trials:
        journal.add(trial)
    each = (time.process_time() - began) / len(trials)
    assert each < 500e-6, f"{each * 1e6:.0f} µs each"
    assert len(journal.trials()) == 10_000


def test_a_line_is_plain_json(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add(measured(0, alpha=math.inf))
    assert json.loads(journal.path.read_text())["params"] == {"alpha": math.inf}


def test_a_journal_belongs_to_the_first_run_that_it_is_bound_to(tmp_path):
    journal = Journal(tmp_path / "journals" / "a.jsonl")
    assert journal.may_belong_to("one")
    assert journal.may_belong_to("two"), "an older version's is bound to none"
    journal.bind("one")
    assert stat.S_IMODE((tmp_path / "journals" / "a.run").stat().st_mode) == 0o600
    taken_up = Journal(journal.path)
    taken_up.bind("two")
    for each in (journal, taken_up):
        assert each.may_belong_to("one")
        assert not each.may_belong_to("two")
    journal.discard()
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_journal_that_could_not_be_bound_is_bound_with_the_next_trial(tmp_path):
    journal = Journal(tmp_path / "journals" / "a.jsonl")
    (tmp_path / "journals").write_text("no folder")
    journal.bind("one")
    assert not journal.may_belong_to("one")
    (tmp_path / "journals").unlink()
    assert journal.may_belong_to("two")
    journal.add(measured(0))
    assert not journal.may_belong_to("two")
    assert [trial.number for trial in Journal(journal.path).trials()] == [0]


def test_a_binding_that_is_a_link_binds_to_nobody(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    (tmp_path / "theirs").write_text("one")
    (tmp_path / "a.run").symlink_to(tmp_path / "theirs")
    assert not journal.may_belong_to("one")
    journal.bind("two")
    assert (tmp_path / "theirs").read_text() == "one"
