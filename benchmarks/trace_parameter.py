"""Count the files of `wine_sweep` that see one parameter's value between the YAML of a sweep and the table of `compare`.

    python benchmarks/trace_parameter.py

A small sweep with the alpha 0.123456789 runs in this process (the serial backend, a SQLite store in a temporary folder, the
bundled wine data), then `compare` prints it. A file counts once some function in it has a local variable or an argument that
holds the value: the number itself, a text that contains it, or a container that reaches one of the two within `DEPTH` steps.
A step goes from a dict, list, tuple, set, dataclass or pydantic model to what it holds; other objects are not opened.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Callable
from types import FrameType, MappingProxyType
from typing import Any

VALUE = 0.123456789
DEPTH = 4
MOST_FILES = 43
"""The limit that `tests/test_benchmarks.py` holds; the goal was 35. The house of 227 files had 63 by this very count."""

CONFIG = f"""\
name: traced
data: {{source: wine-quality-red, target: quality, test_size: 0.25, seed: 40}}
model: {{estimator: sklearn.linear_model.ElasticNet, params: {{random_state: 42}}}}
search: {{method: grid, parameters: {{alpha: [{VALUE}, 0.5], l1_ratio: [0.5]}}}}
evaluation: {{cv: 3, metrics: [rmse]}}
objective: {{metric: rmse}}
execution: {{backend: serial}}
registry: {{name: traced, stage: Staging}}
"""


def holds(value: Any, depth: int, seen: dict[int, int] | None = None) -> bool:
    """Return whether an object is the value, a text with it, or a container that reaches one within so many steps."""
    if isinstance(value, float):
        return value == VALUE
    if isinstance(value, str):
        return str(VALUE) in value
    if isinstance(value, bytes):
        return str(VALUE).encode() in value
    seen = {} if seen is None else seen
    if depth == 0 or seen.get(id(value), 0) >= depth:
        return False
    seen[id(value)] = depth
    return any(holds(item, depth - 1, seen) for item in _held_by(value))


def _held_by(value: Any) -> list[Any]:
    if isinstance(value, dict | MappingProxyType):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, type) or not (dataclasses.is_dataclass(value) or hasattr(type(value), "model_fields")):
        return []
    names = getattr(type(value), "model_fields", None) or [field.name for field in dataclasses.fields(value)]
    return [getattr(value, name, None) for name in names]


class Trace:
    """Notes where in a package a local variable first holds the value; for `sys.settrace`.

    Args:
        package: The package's folder.
        depth: How many steps from a variable to the value are followed.
    """

    def __init__(self, package: pathlib.Path, depth: int) -> None:
        self._root = f"{package}{os.sep}"
        self._depth = depth
        self.found: dict[str, tuple[int, str, str]] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        """Look at the variables of a function of the package, unless its file is known to see the value."""
        name = frame.f_code.co_filename
        if not name.startswith(self._root) or name in self.found or frame.f_code.co_name == "<module>":
            return None
        looked_at: dict[str, int] = {}  # the objects that the function's variables stood for at the last line

        def look(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
            """Look at the variables that were bound since the last line, and at the end at all: they may have been filled."""
            for variable, value in list(frame.f_locals.items()):
                if event == "line" and looked_at.get(variable) == id(value):
                    continue
                looked_at[variable] = id(value)
                if holds(value, self._depth):
                    self.found.setdefault(name, (frame.f_lineno, frame.f_code.co_qualname, variable))
                    return None
            return look if name not in self.found else None

        return look(frame, event, argument)


def run(trace: Trace, folder: pathlib.Path) -> None:
    """Run the sweep and `compare` in a folder under a trace.

    Raises:
        RuntimeError: One of them did not end with exit code 0.
    """
    import mlflow  # noqa: F401  # neither is to be traced while it is imported
    import sklearn.linear_model  # noqa: F401

    from wine_sweep.cli.app import app

    (folder / "traced.yaml").write_text(CONFIG)
    for command in (["run", "traced.yaml"], ["compare", "latest"]):
        printed = io.StringIO()
        sys.argv = ["wine-sweep", *command]
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                code = app(command, standalone_mode=False)
            if sys.gettrace() is not trace:
                raise RuntimeError(f"the trace was lost in the middle of `{command[0]}`")
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]  # which is how it is switched off
        if code:
            raise RuntimeError(f"{' '.join(command)} ended with exit code {code}:\n{printed.getvalue()}")


def main() -> int:
    """Print each file with the first place that sees the value; return 1 where there are more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=DEPTH, help="steps from a variable to the value (default: %(default)s)")
    depth = parser.parse_args().depth
    with tempfile.TemporaryDirectory() as name:
        for variable in [variable for variable in os.environ if variable.startswith("MLFLOW_")]:
            del os.environ[variable]
        folder = pathlib.Path(name)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "XDG_STATE_HOME": str(folder / "state")}
        os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        os.chdir(folder)
        import wine_sweep

        package = pathlib.Path(wine_sweep.__file__).parent
        trace = Trace(package, depth)
        run(trace, folder)
        os.chdir(package)
    files = sorted((str(pathlib.Path(file).relative_to(package)), place) for file, place in trace.found.items())
    for file, (line, function, variable) in files:
        print(f"{f'{file}:{line}':<40} {function}  [{variable}]")
    print(f"{len(files)} files see the value; the limit is {MOST_FILES}")
    return int(len(files) > MOST_FILES)


if __name__ == "__main__":
    sys.exit(main())
