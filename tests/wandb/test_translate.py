"""A whole sweep in our terms: every key of W&B's is carried over or named."""

import pathlib

import pytest
import yaml

from wine_sweep.config import parse_config
from wine_sweep.wandb import read_sweep, report, translate, write_config
from wine_sweep.wandb.parameters import NoteKind
from wine_sweep.wandb.translate import UNUSED

BASE = {"program": "train.py", "method": "random", "parameters": {"a": {"values": [1, 2]}}, "metric": {"name": "loss"}}


def translated(**changes):
    given = {key: value for key, value in {**BASE, **changes}.items() if value is not None}
    return translate(read_sweep(yaml.safe_dump(given).encode(), "s.yaml"))


def notes(**changes):
    return {note.key: note for note in translated(**changes).notes}


def test_what_the_program_has_to_change_comes_first():
    first = translated().notes[:3]
    assert [note.key for note in first] == ["wandb.log", "wandb.config", "wandb.init"]
    assert 'mlflow.log_metric("loss", …)' in first[0].message
    assert "$WINE_SWEEP_METRICS" in first[0].message
    assert report(translated().notes)[:2] == ["First, the program has to change", f"  wandb.log: {first[0].message}"]


@pytest.mark.parametrize(("method", "ours"), [("grid", "grid"), ("random", "random"), ("bayes", "tpe"), ("custom", "random")])
def test_a_method_becomes(method, ours):
    assert translated(method=method).tree["search"]["method"] == ours


def test_methods_that_are_not_the_same_are_named():
    assert "method" not in notes(method="grid")
    assert notes(method="bayes")["method"].kind is NoteKind.APPROXIMATED
    assert "gp here and needs torch" in notes(method="bayes")["method"].message
    assert notes(method="custom")["method"].kind is NoteKind.LEFT_OUT


def test_a_search_without_end_has_one():
    assert translated().tree["search"]["trials"] == 100
    assert notes()["run_cap"].kind is NoteKind.APPROXIMATED
    assert "trials" not in translated(method="grid").tree["search"]
    for method in ("grid", "bayes"):
        assert translated(method=method, run_cap=7).tree["search"]["trials"] == 7


def test_a_metric_becomes_the_objective():
    made = translated(metric={"name": "val/acc", "goal": "maximize", "target": 0.9})
    assert made.tree["objective"] == {"metric": "val/acc", "direction": "maximize"}
    assert made.tree["search"]["target"] == 0.9
    assert notes()["metric.goal"].message == "minimize, which is W&B's default"


def test_what_a_metric_says_of_failed_runs_is_left_out():
    found = notes(metric={"name": "a", "impute": "best", "impute_while_running": "latest", "gaol": "minimize"})
    assert found["metric.impute"].kind is NoteKind.LEFT_OUT
    assert found["metric.impute_while_running"].kind is NoteKind.LEFT_OUT
    assert found["metric.gaol"].message == "unknown to W&B; did you mean 'goal'?"


def test_several_metrics_are_several_objectives():
    made = translated(method="custom", metric=None, metrics=[{"name": "a", "target": 1}, {"name": "b", "goal": "maximize"}])
    assert made.tree["objective"] == [{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}]
    assert "target" not in made.tree["search"]
    assert {note.key: note.kind for note in made.notes}["metrics.0.target"] is NoteKind.LEFT_OUT


def test_a_metric_that_is_missing_has_a_stand_in():
    made = translated(metric=None)
    assert made.tree["objective"] == {"metric": "loss", "direction": "minimize"}
    assert notes(metric=None)["metric"].kind is NoteKind.APPROXIMATED


def test_names_are_carried_over():
    made = translated(name="n", project="p", description="why")
    assert (made.tree["name"], made.tree["experiment"], made.description) == ("n", "p", "why")


def test_one_trial_runs_at_a_time_as_an_agent_has_it():
    assert translated().tree["execution"] == {"workers": 1}
    assert notes()["wandb agent"].kind is NoteKind.APPROXIMATED


@pytest.mark.parametrize("key", UNUSED)
def test_a_key_without_a_counterpart_is_named_with_the_reason(key):
    note = notes(**{key: "x"})[key]
    assert note.kind is NoteKind.LEFT_OUT
    assert note.message == UNUSED[key]


def test_a_key_that_w_and_b_does_not_have_is_named():
    assert notes(run_capp=3)["run_capp"].message == "unknown to W&B; did you mean 'run_cap'?"
    assert notes(zzz=3)["zzz"].message == "unknown to W&B"


def test_a_folder_is_part_of_the_model():
    sweep = read_sweep(yaml.safe_dump(BASE).encode(), "s.yaml")
    assert translate(sweep, folder="..").tree["model"]["folder"] == ".."
    assert "folder" not in translate(sweep).tree["model"]


GIVEN = """
program: train.py
name: sweepdemo
method: bayes
metric: {goal: minimize, name: validation_loss}
run_cap: 30
early_terminate: {type: hyperband, min_iter: 3}
parameters:
  learning_rate: {min: 0.0001, max: 0.1}
  batch_size: {values: [16, 32, 64]}
  epochs: {value: 10}
  dropout: {distribution: log_uniform_values, min: 1e-3, max: 0.5}
"""

EXPECTED = """\
# Imported from sweep.yaml, a sweep of W&B's, by wine-sweep import-wandb.
#
# Not carried over:
# - wandb.log: what the program gives to wandb.log is not seen here: log it to MLflow
#   (mlflow.log_metric("validation_loss", …)), or write it as JSON to the file $WINE_SWEEP_METRICS
# - wandb.config: it is not filled here: the program has its parameters from its arguments, or as JSON from
#   $WINE_SWEEP_PARAMS
# - wandb.init: it would still begin a run at W&B for each trial; WANDB_MODE=disabled keeps it from that
name: sweepdemo
model:
  command: [python, train.py, "{args}"]
search:
  # method: as tpe; W&B's is a Gaussian process, which is gp here and needs torch (pip install
  # 'wine-sweep[gp]')
  method: tpe
  trials: 30
  parameters:
    learning_rate: {low: 0.0001, high: 0.1}
    batch_size: [16, 32, 64]
    epochs: 10
    dropout: {low: 0.001, high: 0.5, log: true}
  # early_terminate: counts the steps that the program reports: the step of mlflow.log_metric, or of its
  # metrics file
  # early_terminate.type: as successive_halving: without max_iter, W&B compares runs at min_iter times powers
  # of eta, which is just that
  pruner: {type: successive_halving, min_resource: 3, reduction_factor: 3}
# metric.name: the last value that a trial logs counts; W&B's search goes by the best of them, which is `of:
# min` here
objective: {metric: validation_loss, direction: minimize}
execution:
  # wandb agent: W&B's agents run one trial at a time, and so does this config; more workers for more at once
  workers: 1
"""


def test_a_sweep_as_in_w_and_bs_documentation():
    text = write_config(translate(read_sweep(GIVEN.encode(), "sweep.yaml")), "sweep.yaml")
    assert text == EXPECTED
    assert parse_config(text.encode(), source="x", folder=pathlib.Path(), default_name="x").problems == []
