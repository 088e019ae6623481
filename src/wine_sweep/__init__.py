"""Hyperparameter sweeps from one YAML file, tracked in MLflow, the best model promoted to Staging.

On the command line it is ``python -m wine_sweep``; from Python, `Sweep` and `load_config`. Importing the package is cheap
and does nothing: what it gives is loaded when it is first asked for. With ``-m`` this runs before `__main__` takes the working
folder off ``sys.path``; so no module is imported here, not even one of Python's own.
"""

TYPE_CHECKING = False  # `typing` would be imported from the working folder where Python has that on its path

if TYPE_CHECKING:
    from wine_sweep.api import Sweep, load_config
    from wine_sweep.config import SweepConfig
    from wine_sweep.errors import (
        ConfigError,
        DataError,
        DeletedError,
        ExecutionError,
        ModelError,
        NotFoundError,
        OutageError,
        OvertakenError,
        OwnershipError,
        SearchError,
        SweepFailed,
        SweepInterrupted,
        TrackingError,
        UntrustedModelError,
        WineSweepError,
    )
    from wine_sweep.evaluation.context import Rows, TrialContext
    from wine_sweep.sweep.finish import SweepOutcome

__all__ = [
    "ConfigError",
    "DataError",
    "DeletedError",
    "ExecutionError",
    "ModelError",
    "NotFoundError",
    "OutageError",
    "OvertakenError",
    "OwnershipError",
    "Rows",
    "SearchError",
    "Sweep",
    "SweepConfig",
    "SweepFailed",
    "SweepInterrupted",
    "SweepOutcome",
    "TrackingError",
    "TrialContext",
    "UntrustedModelError",
    "WineSweepError",
    "load_config",
]

_LOADED_LATER = {
    "ConfigError": "wine_sweep.errors",
    "DataError": "wine_sweep.errors",
    "DeletedError": "wine_sweep.errors",
    "ExecutionError": "wine_sweep.errors",
    "ModelError": "wine_sweep.errors",
    "NotFoundError": "wine_sweep.errors",
    "OutageError": "wine_sweep.errors",
    "OvertakenError": "wine_sweep.errors",
    "OwnershipError": "wine_sweep.errors",
    "SearchError": "wine_sweep.errors",
    "SweepFailed": "wine_sweep.errors",
    "SweepInterrupted": "wine_sweep.errors",
    "TrackingError": "wine_sweep.errors",
    "UntrustedModelError": "wine_sweep.errors",
    "WineSweepError": "wine_sweep.errors",
    "Rows": "wine_sweep.evaluation.context",
    "Sweep": "wine_sweep.api",
    "SweepConfig": "wine_sweep.config",
    "SweepOutcome": "wine_sweep.sweep.finish",
    "TrialContext": "wine_sweep.evaluation.context",
    "load_config": "wine_sweep.api",
}


def __getattr__(name: str) -> object:
    """Load a name when it is first asked for."""
    if name not in _LOADED_LATER:
        raise AttributeError(f"module 'wine_sweep' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_LOADED_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
