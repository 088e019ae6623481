"""Every tag key, run name and artifact path that a sweep leaves in MLflow."""

from __future__ import annotations

from enum import StrEnum

VERSION = "wine_sweep.version"
KIND = "wine_sweep.kind"
STATE = "wine_sweep.state"
TRIAL = "wine_sweep.trial"
KEY = "wine_sweep.key"
PARAMS = "wine_sweep.params"
SPACE = "wine_sweep.space"
DATA = "wine_sweep.data"
ERROR = "wine_sweep.error"
RETRIES = "wine_sweep.retries"
PRUNED = "wine_sweep.pruned"
STEPS = "wine_sweep.steps"
SCORES = "wine_sweep.scores"
"""The metrics of a trial that are its scores and have no spread, by which the others are known."""
WARNINGS = "wine_sweep.warnings"
INFEASIBLE = "wine_sweep.infeasible"
PARETO = "wine_sweep.pareto"
OBJECTIVES = "wine_sweep.objectives"
METHOD_REASON = "wine_sweep.method_reason"
SAMPLER = "wine_sweep.sampler"
"""A digest of the file with a sampler of the user's own."""
SUBJECT = "wine_sweep.subject"
PROGRAM = "wine_sweep.program"
FROM = "wine_sweep.from"
REFRESH = "wine_sweep.refresh"
"""The registered model that a sweep was to replace since it had decayed."""
STOPPED_BY = "wine_sweep.stopped_by"
BEST_TRIAL = "wine_sweep.best_trial"
MODEL = "wine_sweep.model"
MODEL_KEY = "wine_sweep.model_key"
"""A digest of what makes a model, on its version: its kind, its parameters and the rows that it was trained on."""
WINNER = "wine_sweep.winner"
OBJECTIVE = "wine_sweep.objective"
DIRECTION = "wine_sweep.direction"
SWEEP = "wine_sweep.sweep"
TRIALS = "wine_sweep.trials"
WORKERS = "wine_sweep.workers"
OWNER = "wine_sweep.owner"
"""Who runs a sweep, written anew with every heartbeat."""
LEASE = "wine_sweep.lease"
"""Until when a check that is being written counts as alive on other machines, in seconds since the epoch."""
CLOSED = "wine_sweep.closed"
"""Why a check was ended that is not written to its end."""
OWNERSHIP = "wine_sweep.ownership"
"""The token of a sweep's owner, written only when it begins or is taken over: a late heartbeat cannot change it."""
TAKEN_OVER = "wine_sweep.taken_over"
"""Which results were there when a sweep was taken over; see `tracking.local_state`."""
MADE_BY = "wine_sweep.made_by"
"""The token of the owner that made a child run."""
CLOSED_BY = "wine_sweep.closed_by"
CLOSED_AS = "wine_sweep.closed_as"
"""The owner that closed a child run which was left open, and as what: this stands, whatever is written into the run later."""
JOURNAL = "wine_sweep.journal"
CONFIG = "wine_sweep.config"
"""The resolved config, on a parent run whose artifacts are not all written yet."""

PARENT_RUN_ID = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
GIT_COMMIT = "mlflow.source.git.commit"
USER = "mlflow.user"
ORIGIN = (SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT, USER)
"""What child runs share with their parent."""
EXPERIMENT_KIND = "mlflow.experimentKind"
MODEL_TRAINING = "custom_model_development"
"""Has MLflow's UI open an experiment in its view for model training."""

CHECK_FILE = "check.json"
DRIFT_FILE = "drift.csv"
PLOTS_FOLDER = "plots"
REGISTERED_MODEL = "wine_sweep.registered_model"
"""The registered model that was checked; a check has the tags of its version and its stage too."""
MODEL_VERSION = "wine_sweep.model_version"
STAGE = "wine_sweep.stage"

CONFIG_FILE = "config.yaml"
RESOLVED_FILE = "config.resolved.yaml"
TRIALS_FILE = "trials.csv"
SELECTION_FILE = "selection.json"
PROMOTION_FILE = "promotion.json"
ENVIRONMENT_FILE = "environment.json"
ERROR_FILE = "error.txt"
MODEL_NAME = "model"
REFERENCE_FOLDER = "reference"

MAX_TAG = 8000
"""The longest value of a tag in MLflow."""
"""Beside a kept model: what it was trained and tested on."""


class Kind(StrEnum):
    """What a run or a logged model of ours is."""

    SWEEP = "sweep"
    TRIAL = "trial"
    MODEL = "model"
    CHECK = "check"


def check_run_name(model: str, version: str) -> str:
    """Name the run of a check: ``check wine-quality v3``."""
    return f"check {model} v{version}"


def drift_metric(what: str, name: str) -> str:
    """Name the metric that holds how far a column has moved: ``drift_p/alcohol``, ``drift_effect/alcohol``."""
    return f"drift_{what}/{name}"


def trial_run_name(number: int) -> str:
    """Name a child run: ``trial 0007``."""
    return f"trial {number:04d}"


def spread_metric(name: str) -> str:
    """Name the metric that holds another's standard deviation over the folds: ``rmse_std``."""
    return f"{name}_std"


def fold_metric(name: str) -> str:
    """Name the metric that holds another's value in each fold, at the fold's number as step: ``fold_rmse``."""
    return f"fold_{name}"


def budget_metric(name: str) -> str:
    """Name the metric that holds another's mean at each budget, the budget as step: ``budget_rmse``."""
    return f"budget_{name}"


def report_metric(name: str) -> str:
    """Name the metric that holds what a function or a command has reported of another, at its own steps: ``report_rmse``."""
    return f"report_{name}"


def test_metric(name: str) -> str:
    """Name the metric that holds the winner's value on the test rows: ``test_rmse``."""
    return f"test_{name}"


def test_low_metric(name: str) -> str:
    """Name the metric that holds the lower end of the interval around the value on the test rows: ``test_rmse_low``."""
    return f"{test_metric(name)}_low"


def test_high_metric(name: str) -> str:
    """Name the metric that holds the upper end: ``test_rmse_high``."""
    return f"{test_metric(name)}_high"


def best_metric(name: str) -> str:
    """Name the parent run's metric that holds the best value so far: ``best_rmse``."""
    return f"best_{name}"
