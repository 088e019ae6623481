"""What a tracking store holds is data of whoever can write to it: no tag is a path, code or a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
import uuid
from contextlib import closing

import mlflow
import pytest
from mlflow import MlflowClient

from wine_sweep.tracking import names
from wine_sweep.tracking.journal import Journal
from wine_sweep.tracking.local_state import Owner, state_folder
from wine_sweep.tracking.reader import SweepReader
from wine_sweep.tracking.store import quoted
from wine_sweep.trial import Trial, TrialState

CONFIG = """
name: victim
experiment: tests
data: {source: wine-quality-red, seed: 40}
model: {estimator: sklearn.tree.DecisionTreeRegressor}
search: {parameters: {max_depth: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}}
evaluation: {cv: 2, bootstrap: 0}
objective: rmse
selection: {select: one_standard_error, cheapest: [{max_depth: lowest}]}
execution: {backend: serial}
registry: {name: wine, gate: false}
"""

HOSTILE = {
    "climbs": "../../x",
    "absolute": "/etc/passwd",
    "digits": "9" * 5000,
    "large": "999999999",
    "null": "null",
    "list": "[]",
    "pairs": "[[1]]",
    "mapping": "{}",
    "nested": "[" * 4000,
    "cut": '{"a":',
    "values": '{"rmse": {"a": [1]}, "memory": "/tmp/cache", "goals": [["rmse", "minimize"]]}',
    "nan": "NaN",
    "controls": "\x1b]0;owned\x07\r\n",
    "superscript": "²",
    "quotes": "x' OR 'a' = 'a\" \\",
}

OF_OTHER_KINDS = ["climbs", "digits", "null", "pairs", "mapping", "nested", "values", "nan", "controls"]

OF_TRIALS = [
    names.TRIAL,
    names.PARAMS,
    names.STATE,
    names.SCORES,
    names.STEPS,
    names.WARNINGS,
    names.INFEASIBLE,
    names.RETRIES,
    names.PRUNED,
    names.ERROR,
    names.KEY,
    names.MADE_BY,
    names.CLOSED_BY,
    names.CLOSED_AS,
    "mlflow.runName",
]
OF_SWEEPS = [
    names.OWNERSHIP,
    names.TAKEN_OVER,
    names.DIRECTION,
    names.OBJECTIVE,
    names.OBJECTIVES,
    names.SPACE,
    names.DATA,
    names.FROM,
    names.WORKERS,
    names.TRIALS,
    names.OWNER,
    names.JOURNAL,
    names.CONFIG,
    names.VERSION,
    names.SUBJECT,
    names.PROGRAM,
    names.SAMPLER,
    names.WINNER,
    names.BEST_TRIAL,
    names.STOPPED_BY,
    "mlflow.runName",
]


@pytest.fixture(scope="module")
def made(migrated, in_process_at, tmp_path_factory):
    """A folder with the store of a finished sweep."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copy(migrated, folder / "mlflow.db")
    (folder / "c.yaml").write_text(CONFIG)
    ended = in_process_at(folder, f"sqlite:///{folder / 'mlflow.db'}")("run", "c.yaml", "--quiet", "--no-promote")
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def victim(made, tmp_path, in_process_at):
    """A copy of that store: the command line on it, its client, the parent run's id, and the child runs' by number."""
    shutil.copy(made / "mlflow.db", tmp_path / "mlflow.db")
    client = MlflowClient(uri := f"sqlite:///{tmp_path / 'mlflow.db'}")
    reader = SweepReader(client)
    sweep = reader.find("latest")
    yield in_process_at(tmp_path, uri), client, sweep.run_id, {trial.number: trial.run_id for trial in reader.trials(sweep)}
    mlflow.set_tracking_uri(None)


def assert_no_traceback(command, *arguments: str) -> str:
    """Run a command, which raises here what would be a traceback there."""
    ended = command(*arguments)
    assert ended.returncode in (0, 1, 2, 3), ended
    assert "Traceback" not in ended.stderr + ended.stdout
    return " ".join(f"{ended.stdout} {ended.stderr}".split())


@pytest.mark.slow
@pytest.mark.parametrize("value", [HOSTILE[name] for name in OF_OTHER_KINDS], ids=OF_OTHER_KINDS)
def test_a_hostile_tag_of_a_trial_costs_that_trial_and_says_so(victim, value):
    command, client, run_id, children = victim
    for number, name in enumerate(OF_TRIALS):
        client.set_tag(children[number], name, value)
    client.set_terminated(run_id, "KILLED")
    assert_no_traceback(command, "list")
    assert_no_traceback(command, "compare", "latest")
    assert_no_traceback(command, "promote", "latest", "--force", "--dry-run")
    assert_no_traceback(command, "reproduce", children[1])
    said = assert_no_traceback(command, "resume", "latest", "--no-promote")
    after = client.get_run(run_id)
    assert after.info.status == "FINISHED", said
    assert client.search_runs([after.info.experiment_id], "attributes.status = 'RUNNING'") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_SWEEPS)
def test_a_hostile_tag_of_a_sweep_is_an_error_that_names_it_or_does_nothing(victim, name):
    command, client, run_id, _ = victim
    first = OF_SWEEPS.index(name) % 3
    for value in list(HOSTILE.values())[first::3]:  # each tag has every third value, and each value a third of the tags
        client.set_tag(run_id, name, value)
        client.set_terminated(run_id, "KILLED")
        assert_no_traceback(command, "list")
        assert_no_traceback(command, "compare", run_id)
        assert_no_traceback(command, "promote", run_id, "--force", "--dry-run")
    assert_no_traceback(command, "resume", run_id, "--no-promote", "--quiet")


def test_all_tags_of_ours_are_tried():
    """But for those that nobody reads back, and a model's URI, which is another test's."""
    known = {
        value
        for key, value in vars(names).items()
        if key.isupper() and isinstance(value, str) and value.startswith("wine_sweep.")
    }
    unread = {names.PARETO, names.METHOD_REASON, names.REFRESH, names.MODEL, names.MODEL_KEY, names.SWEEP, names.KIND}
    of_checks = {names.REGISTERED_MODEL, names.MODEL_VERSION, names.STAGE, names.LEASE, names.CLOSED}
    assert known - unread - of_checks <= {*OF_TRIALS, *OF_SWEEPS}


@pytest.mark.quick(1)
@pytest.mark.parametrize("number", [1e300, float("nan"), float("inf"), -1.0])
def test_counts_and_moments_that_are_none_are_not_shown(victim, number, tmp_path):
    command, client, run_id, _ = victim
    client.log_metric(run_id, "trials_finished", number)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE runs SET start_time = ? WHERE run_uuid = ?", (2**62, run_id))
    assert_no_traceback(command, "list")
    assert_no_traceback(command, "compare", run_id)


@pytest.mark.slow
def test_the_tag_of_a_journal_is_no_path(victim, tmp_path):
    """Otherwise what lies there is read, and it and the folder beside it are deleted."""
    command, client, run_id, _ = victim
    loot = tmp_path / "loot"
    (tmp_path / "loot.files" / "common").mkdir(parents=True)
    (tmp_path / "loot.files" / "common" / "best-of-1").write_text("dear")
    (tmp_path / "loot.jsonl").write_text("dear\n")
    for value in (str(loot), f"../../{loot}"):
        client.set_tag(run_id, names.JOURNAL, value)
        client.set_terminated(run_id, "KILLED")
        said = assert_no_traceback(command, "resume", "latest", "--no-promote")
        assert f"the tag wine_sweep.journal of the run {run_id} names no journal; the sweep goes on without one" in said
        assert (tmp_path / "loot.jsonl").read_text() == "dear\n"
        assert (tmp_path / "loot.files" / "common" / "best-of-1").exists()
        assert client.get_run(run_id).info.status == "FINISHED"
        assert len(client.get_run(run_id).data.tags[names.JOURNAL]) == 32


def test_the_journal_of_another_run_is_neither_read_nor_deleted(victim):
    command, client, run_id, _ = victim
    theirs = Journal.of(uuid.uuid4().hex)
    theirs.add(Trial(0, {"max_depth": 1}, TrialState.FINISHED, fit_seconds=0.1, started=1e9, ended=1e9))
    theirs.bind("another")
    theirs.trial_dirs.make(theirs.trial_dirs.folder(0)).joinpath("secret").write_text("dear")
    client.set_tag(run_id, names.JOURNAL, theirs.path.stem)
    client.set_terminated(run_id, "KILLED")
    said = assert_no_traceback(command, "resume", "latest", "--no-promote")
    assert f"the tag wine_sweep.journal of the run {run_id} names the journal of another run" in said
    assert [trial.number for trial in theirs.trials()] == [0]
    assert (theirs.trial_dirs.folder(0) / "secret").exists()
    assert client.get_run(run_id).data.tags[names.JOURNAL] != theirs.path.stem
    theirs.discard()
    assert not list(theirs.path.parent.glob(f"{theirs.path.stem}*"))


@pytest.mark.slow
def test_parameters_that_the_sweep_does_not_search_reach_no_estimator(victim, caplog):
    """A stranger's `memory` would have joblib unpickle what lies there; the best trial is refitted with its parameters."""
    command, client, run_id, children = victim
    for params in ({"max_depth": 1, "criterion": "/x"}, {"max_depth": 17}, {"max_depth": "1; x"}, {}):
        client.set_tag(children[0], names.PARAMS, json.dumps(params))
        client.set_tag(children[0], names.SCORES, json.dumps({}))
        client.log_metric(children[0], "rmse", -5.0)
        said = assert_no_traceback(command, "promote", run_id, "--dry-run")
        assert f"the run {children[0]}: the parameters of trial 0 are none that its sweep searches" in caplog.text
        assert "trial 0:" not in said
        assert "parameters of trial 0" in assert_no_traceback(command, "reproduce", children[0])
        assert command("reproduce", children[0]).returncode == 2


def test_a_config_that_is_no_text_is_an_error_that_names_it(victim, tmp_path):
    command, client, run_id, _ = victim
    client.set_terminated(run_id, "KILLED")
    (tmp_path / names.RESOLVED_FILE).write_bytes(b"\xff\xfe\x00")
    client.log_artifact(run_id, str(tmp_path / names.RESOLVED_FILE))
    assert f"(run {run_id}) is no text" in assert_no_traceback(command, "resume", run_id)


@pytest.mark.parametrize("text", ["[" * 5000, '{"token": [], "machine": 1, "host": {}, "pid": "x"}', "1"])
def test_an_owner_of_other_types_is_none(text):
    assert Owner.from_tag(text) is None


@pytest.mark.quick(1)
@pytest.mark.parametrize("run_id", ["../../x", "/x", "4f" * 16 + "/../x"])
def test_the_id_of_a_run_is_no_path(victim, run_id, tmp_path):
    """Whoever writes into the database itself draws the ids of runs."""
    command, _, old, _ = victim
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        tables = ("runs", "tags", "params", "metrics", "latest_metrics")
        for table in tables:
            connection.execute(f"UPDATE {table} SET run_uuid = ? WHERE run_uuid = ?", (run_id, old))
        connection.execute("UPDATE runs SET status = 'RUNNING'")
    before = sorted(path.name for path in state_folder("locks").parent.parent.iterdir())
    assert_no_traceback(command, "list")
    assert_no_traceback(command, "resume", "latest")
    assert sorted(path.name for path in state_folder("locks").parent.parent.iterdir()) == before


@pytest.mark.parametrize("value", ["'\"", "a\\", "\\' OR"])
def test_what_could_leave_its_quotation_marks_is_not_asked_for(value):
    with pytest.raises(Exception, match="quotation marks or a backslash"):
        quoted(value)


@pytest.mark.parametrize(("value", "text"), [("plain", "'plain'"), ("it's", '"it\'s"'), ('6"', "'6\"'")])
def test_what_is_asked_for_is_quoted(value, text):
    assert quoted(value) == text
