"""Everything that can be known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from wine_sweep.config import ModelForm, ParsedConfig, SearchConfig
from wine_sweep.data.table import absolute
from wine_sweep.errors import ConfigError, ConfigPath, Problem
from wine_sweep.evaluation.function import Source
from wine_sweep.messages import shell_word
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.command import CommandCheck
from wine_sweep.targets.estimator import EstimatorCheck
from wine_sweep.targets.function import FunctionCheck
from wine_sweep.targets.trust import Trust, check_address, how_to_trust

_METHOD: ConfigPath = ("search", "method")


class ConfigCheck(Protocol):
    """Holds a draft against what it tunes; what depends on a broken section is left out.

    Attributes:
        trust: Whom the user trusts.
        problems: What is wrong, once it has run.
    """

    trust: Trust
    problems: list[Problem]

    def run(self) -> None:
        """Find what is wrong."""

    def prepared(self) -> SweepPlan:
        """Return the sweep; nothing is wrong with the draft."""


def prepare(draft: ParsedConfig, *, trusted: Sequence[str] = (), source: Source | None = None) -> SweepPlan:
    """Check everything about a sweep that can be checked without running it, and load its data.

    Args:
        draft: The config as read.
        trusted: Packages that estimators may come from beside the usual ones; files and folders with code of one's own; Dask
            schedulers' addresses.
        source: The function that is swept, where the config's `model` only stands for it.

    Raises:
        ConfigError: With every problem found, each at its place.
    """
    check = _check_of(draft, tuple(trusted), source)
    check.problems += _check_sampler(draft, check.trust)
    check.run()
    address = check_address(draft.sections.get("execution"), draft.document, trusted)
    problems = draft.document.locate([*draft.problems, *check.problems, *address])
    if problems:
        raise ConfigError(problems)
    return check.prepared()


def _check_of(draft: ParsedConfig, trusted: tuple[str, ...], source: Source | None) -> ConfigCheck:
    model = draft.sections.get("model")
    if model is not None and model.form is ModelForm.COMMAND:
        return CommandCheck(draft, trusted)
    if model is not None and model.form is ModelForm.FUNCTION:
        return FunctionCheck(draft, trusted, source)
    return EstimatorCheck(draft, trusted)


def _check_sampler(draft: ParsedConfig, trust: Trust) -> Iterator[Problem]:
    """Refuse a sampler of the user's own that nobody at the keyboard trusts, or whose file is not there; it is not imported."""
    search: SearchConfig | None = draft.sections.get("search")
    if search is None or not search.method.source:
        return
    if search.method.file is not None:
        file = absolute(search.method.source, draft.folder)
        if not trust.covers(file):
            yield Problem(f"runs code of your own; {how_to_trust(file)}", _METHOD)
        if not file.is_file():
            yield Problem(f"there is no file {file}", _METHOD)
    elif (package := search.method.source.partition(".")[0]) not in trust.packages:
        how = f"run with --trust {shell_word(package)} if you trust its code"
        yield Problem(f"the package '{package}' is not trusted; {how}", _METHOD)
