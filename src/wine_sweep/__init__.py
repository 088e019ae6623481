"""Hyperparameter sweeps from one YAML file, tracked in MLflow, the best model promoted to Staging.

The way in is the command line, ``python -m wine_sweep``. Importing the package is cheap and does nothing.
"""

from wine_sweep.errors import (
    ConfigError,
    DataError,
    ExecutionError,
    ModelError,
    NotFoundError,
    OutageError,
    OwnershipError,
    SearchError,
    SweepFailed,
    SweepInterrupted,
    TrackingError,
    WineSweepError,
)

__all__ = [
    "ConfigError",
    "DataError",
    "ExecutionError",
    "ModelError",
    "NotFoundError",
    "OutageError",
    "OwnershipError",
    "SearchError",
    "SweepFailed",
    "SweepInterrupted",
    "TrackingError",
    "WineSweepError",
]
