"""Sweeps from Python: built, run and read in a notebook or a program."""

from __future__ import annotations

import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from yaml import YAMLError

from wine_sweep.config import ParsedConfig, SweepConfig, dump_tree, dump_yaml, parse_config, read_config
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.evaluation.function import NO_FILE, Train, name_of, source_of
from wine_sweep.messages import first_line
from wine_sweep.progress.display import NotebookProgress, SweepProgress, stderr
from wine_sweep.progress.signals import stop_on_signals
from wine_sweep.sweep.recorder import Observer
from wine_sweep.sweep.run import RunOptions, run_sweep
from wine_sweep.targets.prepare import prepare

if TYPE_CHECKING:  # they take a second to import, or are not needed to build a sweep
    from wine_sweep.sweep.finish import SweepOutcome


def load_config(path: str | pathlib.Path, *, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read a config file, with paths in it made absolute.

    Args:
        path: The YAML file.
        overrides: Changes, each ``key.path=value``, as the command line's ``--set``.

    Raises:
        ConfigError: It cannot be read, or is wrong; with every problem that shows without running anything.
    """
    draft = read_config(pathlib.Path(path), overrides)
    return _absolute(_config_of(draft), draft.folder)


class Sweep:
    """A sweep that can be run.

    Example:
        >>> from wine_sweep import Sweep
        >>> sweep = Sweep(
        ...     {
        ...         "name": "parabola",
        ...         "search": {"parameters": {"x": [0, 1, 2, 3]}},
        ...         "objective": {"metric": "loss", "direction": "minimize"},
        ...     },
        ...     function=lambda params, context: {"loss": (params["x"] - 2) ** 2},
        ... )
        >>> result = sweep.run(quiet=True)  # doctest: +SKIP
        >>> result.best.params  # doctest: +SKIP
        {'x': 2}

    Args:
        config: As `load_config` gives it, or the same keys as a mapping; relative paths start from the working folder.
        function: What is swept, in place of the config's `model`: called as ``function(params, context)``, it returns
            metrics, or metrics and a fitted model. It may be defined anywhere, a notebook too.
        data: The table, of pandas, polars, Arrow or another library that narwhals knows, in place of the config's `data.source`.
            An index that has a name is columns.
        trust: Packages, files and folders whose code is trusted, and Dask schedulers' addresses, as the command line's
            ``--trust``.
        tracking_uri: MLflow's store; by default what MLFLOW_TRACKING_URI or MLflow itself says.
        experiment: The MLflow experiment, in place of the config's.

    Raises:
        ConfigError: The config is wrong.
        DataError: Its table cannot be used.
    """

    def __init__(
        self,
        config: SweepConfig | Mapping[str, Any],
        *,
        function: Train | None = None,
        data: Any = None,
        trust: str | Sequence[str] = (),
        tracking_uri: str | None = None,
        experiment: str | None = None,
    ) -> None:
        source = None if function is None else source_of(function)
        trusted = (trust,) if isinstance(trust, str) else tuple(trust)
        self._prepared = prepare(_draft(config, function, data), trusted=trusted, source=source, frame=data)
        self._tracking_uri = tracking_uri
        self._experiment = experiment

    @property
    def config(self) -> SweepConfig:
        """The config with its defaults, its paths absolute."""
        return self._prepared.config

    def run(self, *, promote: bool = True, quiet: bool = False, verbose: bool = False) -> SweepOutcome:
        """Run the sweep: its trials, the winner, the promotion. Progress is shown on stderr, in a notebook below the cell.

        Args:
            promote: Whether the winner is promoted, if the config names a registered model.
            quiet: Whether to show nothing.
            verbose: Whether to show what functions and commands print.

        Raises:
            SweepFailed: No trial finished, or too many failed.
            SweepInterrupted: Somebody stopped it; it can be resumed by its run id.
            TrackingError: MLflow's store failed.
            ModelError: The winner cannot be saved, or has no model to promote.
        """
        options = RunOptions(
            tracking_uri=self._tracking_uri,
            experiment=self._experiment,
            promote=promote,
            command="wine_sweep.Sweep",
            verbose=verbose,
        )
        grace = self._prepared.config.execution.grace
        with _watched(self._prepared.objective.metric, quiet=quiet, grace=grace) as (observer, stop):
            return run_sweep(self._prepared, options, observer=observer, stop=stop)


def _config_of(draft: ParsedConfig) -> SweepConfig:
    if draft.problems or draft.config is None:
        raise ConfigError(draft.problems)
    return draft.config


def _absolute(config: SweepConfig, folder: pathlib.Path) -> SweepConfig:
    """Make the paths of a config mean the same from every working folder."""
    from wine_sweep.data.table import absolute, resolved_tables

    def resolved(path: str) -> pathlib.Path:
        return (folder / pathlib.Path(path).expanduser()).resolve()

    changed: dict[str, object] = {}
    if config.data is not None:
        changed["data"] = resolved_tables(config.data, folder)
    if config.model is not None and config.model.command is not None:
        changed["model"] = config.model.model_copy(update={"folder": str(resolved(config.model.folder or "."))})
    if config.model is not None and config.model.function is not None:
        file, name = config.model.function_parts
        changed["model"] = config.model.model_copy(update={"function": f"{absolute(file, folder)}:{name}"})
    if config.search.method.file is not None:
        method = config.search.method.moved(absolute(config.search.method.source, folder))
        changed["search"] = config.search.model_copy(update={"method": method})
    return config.model_copy(update=changed)


def _draft(config: SweepConfig | Mapping[str, Any], function: Train | None, data: Any) -> ParsedConfig:
    """Write a config as the text that a file would hold, and read it back: one way in for all."""
    if not isinstance(config, SweepConfig | Mapping):
        raise ConfigError([Problem(f"expected a mapping of keys, or what `load_config` gives; got {type(config).__name__}")])
    tree = dump_tree(config) if isinstance(config, SweepConfig) else dict(config)
    if function is not None:
        if tree.get("model") is not None or tree.get("models") is not None:
            raise ConfigError([Problem("names a model, and a function was given too; keep one of the two", ("model",))])
        tree["model"] = {"function": f"{NO_FILE}:{name_of(function)}"}
    if data is not None and isinstance(tree.get("data", {}), Mapping):
        from wine_sweep.data.frames import FRAME

        tree["data"] = {**tree.get("data", {}), "source": FRAME}
    try:
        text = dump_yaml(tree)
    except YAMLError as error:
        message = f"holds a value that is no text, number, list or mapping: {first_line(error, most=200)}"
        raise ConfigError([Problem(message)]) from error
    return parse_config(text.encode(), source="<config>", folder=pathlib.Path.cwd(), default_name="sweep")


@contextmanager
def _watched(metric: str, *, quiet: bool, grace: float) -> Iterator[tuple[Observer, Callable[[], bool]]]:
    """Show progress; in the main thread, hear Ctrl-C as the command line does: the first lets what runs end."""
    console = stderr()
    with ExitStack() as stack:
        stop: Callable[[], bool] = lambda: False  # noqa: E731  # replaced where signals can be heard
        if threading.current_thread() is threading.main_thread():
            switch = stack.enter_context(stop_on_signals(console.print))
            switch.grace = grace
            stop = switch
        progress = NotebookProgress if console.is_jupyter else SweepProgress
        yield stack.enter_context(progress(console, metric, quiet=quiet)), stop
