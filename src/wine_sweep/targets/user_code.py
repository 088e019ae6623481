"""What sweeps of commands and of functions have in common: the code measures by itself, and counts its own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wine_sweep.config import HistoryReducer, SweepConfig
from wine_sweep.errors import Problem
from wine_sweep.search.space import Space
from wine_sweep.targets.base import Findings, SweepPlan, present
from wine_sweep.targets.objectives import Settled, UserObjective, check_cheapest, check_search, needed_metrics, settle
from wine_sweep.trial import MODEL_SIZE


@dataclass(frozen=True)
class OwnCodeSweep(SweepPlan):
    """A sweep of code of the user's own.

    Args:
        chosen: Which value of a metric's history counts, where that is not the last.
    """

    chosen: Mapping[str, HistoryReducer]

    @property
    def of(self) -> Mapping[str, HistoryReducer]:
        """See `SweepPlan`."""
        return self.chosen

    @property
    def steps(self) -> int:
        """0: the code counts its steps itself."""
        return 0

    @property
    def measured(self) -> Sequence[str]:
        """What decides or is limited; whatever else the code gives is kept too."""
        return [*needed_metrics(self.objective), *([MODEL_SIZE] if self.objective.weighs_models else [])]


def settle_own_code(
    found: Findings, kind: str, *, over: Callable[[], str], values: Callable[[], int]
) -> tuple[Callable[[], UserObjective], Callable[[], Settled]]:
    """Check the sections `objective`, `selection` and `search`, and settle the method; see `Findings.part`.

    Args:
        found: Where what is wrong is noted.
        kind: What the code is, in a word.
        over: Describes what a mean is a mean over; empty where there is one value a trial.
        values: Gives how many values the objective's mean is a mean over.
    """
    config = found.draft.known
    goals = found.part(lambda: UserObjective(config, over))
    found.look(lambda: goals().problems)
    space = found.part(lambda: Space.of(config.search))
    is_sound = found.look(lambda: check_search(config.search, space()))
    found.look(lambda: check_cheapest(config.selection, space()))
    found.look(lambda: _check_pruner(config, kind))
    is_sound = is_sound and not found.draft.problems
    sound = found.part(lambda: present(space() if is_sound else None))
    return goals, settle(found, sound, lambda: present(goals().objective), steps=lambda: 0, values=values)


def _check_pruner(config: SweepConfig, kind: str) -> Iterator[Problem]:
    backend = config.execution.backend
    if config.search.pruner is not None and not backend.traits.can_kill:
        message = f"backend {backend} cannot stop a {kind}; use `backend: processes`"
        yield Problem(message, ("search", "pruner"), code="conflict")
