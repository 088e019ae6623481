"""Refreshing a model that has decayed: whole sweeps on a real SQLite store, as a crontab would run them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from wine_sweep.promotion import promote
from wine_sweep.registry import ModelRegistry, exclusive

FOLDER = Path(promote.__file__).parent.parent / "data" / "wine_quality"
CONFIG = {
    "name": "wine",
    "experiment": "wine",
    "data": {"source": "red.csv", "target": "quality", "seed": 4},
    "model": {"estimator": "sklearn.linear_model.Ridge"},
    "search": {"method": "tpe", "trials": 3, "seed": 1, "parameters": {"alpha": {"low": 0.1, "high": 100, "log": True}}},
    "evaluation": {"cv": 3, "bootstrap": 0},
    "execution": {"backend": "serial"},
    "registry": {"name": "wine"},
}


@pytest.fixture
def tables(store):
    """Red rows to begin with, more red ones, and white ones, in two parts."""
    red, white = (
        pd.read_csv(FOLDER / f"winequality-{color}.csv", sep=";").drop_duplicates().sample(frac=1, random_state=2)
        for color in ("red", "white")
    )
    white["quality"] -= 1.0  # what counts as good is another thing there
    parts = {"red": red[:800], "more-red": red[800:], "white": white[:900], "more-white": white[900:1700]}
    for name, part in parts.items():
        part.to_csv(store.folder / f"{name}.csv", index=False)
    (store.folder / "wine.yaml").write_text(yaml.safe_dump(CONFIG))
    return parts


@pytest.fixture
def first(tables, in_process):
    ended = in_process("run", "wine.yaml", "--quiet")
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def refresh(in_process):
    """Refresh on a table, and give what it prints as JSON."""

    def refresh(new, *arguments, code=0):
        ended = in_process("refresh", "wine.yaml", "--data", new, "--quiet", "--json", *arguments)
        assert ended.returncode == code, ended.stderr or ended.stdout
        return json.loads(ended.stdout)

    return refresh


def sweeps(store):
    experiment = store.client.get_experiment_by_name("wine")
    return store.client.search_runs([experiment.experiment_id], "tags.`wine_sweep.kind` = 'sweep'", order_by=["start_time DESC"])


def staged(store):
    return ModelRegistry(store.client).in_stage("wine", promote.Stage.STAGING)


@pytest.mark.slow
def test_a_model_of_red_wine_is_healthy_on_red_and_replaced_on_white(first, refresh, store, in_process):
    healthy = refresh("more-red.csv")
    assert (healthy["ending"], healthy["check"]["state"], healthy["sweep"]) == ("not_needed", "healthy", None)
    assert len(sweeps(store)) == 1
    done = refresh("white.csv")
    assert (done["ending"], done["check"]["state"], done["gate"]["ground"]) == ("promoted", "decayed", "better")
    assert (done["champion"], done["promotion"]["version"], done["promotion"]["archived_versions"]) == ("1", "2", ["1"])
    newest = sweeps(store)[0]
    assert newest.info.run_id == done["sweep"]
    assert newest.data.tags["wine_sweep.refresh"] == "wine"
    assert newest.data.tags["wine_sweep.from"] == sweeps(store)[1].info.run_id
    params = newest.data.params
    assert (params["data_rows"], params["new_rows"]) == ("1700", "900")
    assert done["gate"]["comparison"]["rows"] == int(params["test_rows"]) == 225
    assert "version 1 is decayed" in done["summary"]
    assert "Now version 2 of wine in Staging" in done["summary"]
    after = refresh("more-white.csv")
    assert after["check"]["state"] != "decayed"
    assert staged(store).version == "2"


@pytest.mark.slow
def test_one_line_says_what_happened(first, in_process):
    ended = in_process("refresh", "wine.yaml", "--data", "more-red.csv")
    assert ended.returncode == 0
    (line,) = ended.stdout.splitlines()
    assert line.startswith("wine Staging: version 1 is healthy (")
    assert line.endswith("; nothing to do.")


@pytest.mark.slow
def test_who_is_not_better_on_new_rows_is_kept_out(first, refresh, store):
    done = refresh("white.csv", "--set", "registry.gate.min_improvement=100", code=3)
    assert (done["ending"], done["gate"]["ground"], done["promotion"]) == ("kept", "not_better", None)
    assert staged(store).version == "1"


@pytest.mark.slow
def test_force_sweeps_a_healthy_model_too(first, refresh, store):
    done = refresh("more-red.csv", "--force", code=3)
    assert (done["check"]["state"], done["ending"]) == ("healthy", "kept")
    assert len(sweeps(store)) == 2


@pytest.mark.slow
def test_the_very_model_that_is_there_is_no_promotion(first, refresh, store):
    fixed = ("--set", "search={parameters: {alpha: [1]}}")
    done = refresh("white.csv", *fixed)
    again = refresh("white.csv", "--force", *fixed)
    assert (done["ending"], again["ending"], again["gate"]["ground"]) == ("promoted", "unchanged", "same_model")
    assert (again["check"]["state"], staged(store).version) != ("decayed", "1")


@pytest.mark.slow
def test_it_sweeps_no_sooner_than_it_should(first, refresh, store):
    refresh("white.csv", "--set", "registry.gate.min_improvement=100", code=3)
    again = refresh("white.csv", "--at-most-every", "7d", code=3)
    assert (again["ending"], again["sweep"]) == ("cooling_down", None)
    assert "nothing was done, since a refresh swept on" in again["summary"]
    assert refresh("white.csv", "--at-most-every", "1ms")["ending"] == "promoted"


def test_an_empty_stage_is_filled(tables, refresh, store):
    done = refresh("white.csv")
    assert (done["ending"], done["check"], done["champion"]) == ("promoted", None, None)
    assert done["gate"]["ground"] == "beats_dummy"
    assert staged(store).version == "1"


@pytest.mark.slow
def test_of_two_at_once_the_second_is_told(first, in_process):
    with exclusive("wine", doing="refreshing"):
        ended = in_process("refresh", "wine.yaml", "--data", "white.csv")
    assert ended.returncode == 2
    assert "another process on this machine is refreshing wine" in ended.stderr


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"registry": None}, "registry: is missing: which registered model is to be refreshed?"),
        ({"data": {**CONFIG["data"], "new": "white.csv"}}, "data.new: is what --data gives"),
    ],
)
def test_a_config_that_cannot_be_refreshed_is_an_error_at_its_key(tables, in_process, store, change, says):
    (store.folder / "wine.yaml").write_text(yaml.safe_dump({**CONFIG, **change}))
    ended = in_process("refresh", "wine.yaml", "--data", "white.csv")
    assert ended.returncode == 2
    assert says in " ".join(ended.stderr.split())


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--data", "none.csv"), "no such file"),
        (("--data", "white.csv", "--at-most-every", "weekly"), "--at-most-every: a duration is a number of seconds or such as"),
        (("--data", "lacking.csv"), "alcohol"),
    ],
)
@pytest.mark.usefixtures("first")
def test_what_is_asked_for_wrongly_is_an_error_that_names_it(tables, in_process, store, arguments, says):
    tables["white"].drop(columns="alcohol").to_csv(store.folder / "lacking.csv", index=False)
    ended = in_process("refresh", "wine.yaml", *arguments)
    assert ended.returncode == 2
    assert says in " ".join(ended.stderr.split())
    assert len(sweeps(store)) == 1


@pytest.mark.slow
def test_new_rows_without_the_target_cannot_be_learned_from(first, tables, in_process, store):
    tables["white"].drop(columns="quality").to_csv(store.folder / "bare.csv", index=False)
    ended = in_process("refresh", "wine.yaml", "--data", "bare.csv", "--force")
    assert ended.returncode == 2
    assert "the new rows lack quality" in " ".join(ended.stderr.split())
