"""What a process finds when it starts, and no command could work with. Imports nothing heavy."""

from __future__ import annotations

import logging
import os

from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.wording import one_of, show

_LEVEL = "MLFLOW_LOGGING_LEVEL"
_CONFIGURE = "MLFLOW_CONFIGURE_LOGGING"
_YES_OR_NO = ("true", "false", "1", "0")


def check_surroundings() -> None:
    """See that the working folder is there, and that MLflow can be imported with the variables that it reads then.

    Raises:
        ConfigError: It is not, or it cannot.
    """
    try:
        os.getcwd()
    except OSError as error:
        what = "was deleted" if isinstance(error, FileNotFoundError) else f"cannot be used ({error.strerror})"
        raise ConfigError([Problem(f"the working folder {what}; go to another one, as by `cd`")]) from error
    problems = []
    level, configure = os.environ.get(_LEVEL), os.environ.get(_CONFIGURE)
    levels = logging.getLevelNamesMapping()
    if level and level.upper() not in levels:
        allowed = one_of(level.upper(), [name for name in levels if name != "NOTSET"])
        problems.append(Problem(f"no level of Python's logging; {allowed}; got {show(level)}", place=SourceLocation(_LEVEL)))
    if configure is not None and configure.lower() not in _YES_OR_NO:
        wrong = f"MLflow takes true, false, 1 or 0 in this environment variable; got {show(configure)}"
        problems.append(Problem(wrong, place=SourceLocation(_CONFIGURE)))
    if problems:
        raise ConfigError(problems)
