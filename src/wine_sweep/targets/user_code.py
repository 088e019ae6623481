"""What sweeps of commands and of functions have in common: the code measures by itself, and counts its own steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from wine_sweep.config import HistoryReducer, Method, ParsedConfig, SelectionConfig, SweepConfig
from wine_sweep.data.splits import TrainingData
from wine_sweep.errors import Problem
from wine_sweep.search.checks import check_space
from wine_sweep.search.methods import settle_method
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective, OneStandardError
from wine_sweep.targets.base import SweepPlan
from wine_sweep.targets.objectives import (
    UserObjective,
    check_cheapest,
    check_spread,
    needed_metrics,
    one_standard_error_of,
)
from wine_sweep.targets.trust import Trust
from wine_sweep.trial import MODEL_SIZE

Common = tuple[
    SweepConfig, ParsedConfig, Space, str, Objective, tuple[str, ...], TrainingData | None, Mapping[str, HistoryReducer]
]
"""The arguments of an `OwnCodeSweep`, in their order."""


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


class OwnCodeCheck:
    """Goes through the sections of a draft that are right by themselves; what depends on a broken one is left out.

    Args:
        draft: The config as read; its section `model` is right by itself.
        trusted: The values of ``--trust``.
        kind: What the code is, in a word.

    Attributes:
        problems: What is wrong, as far as that was looked for.
        space: What is searched, once that is known to be right.
        trust: Whom the user trusts.
    """

    def __init__(self, draft: ParsedConfig, trusted: tuple[str, ...], kind: str) -> None:
        self.draft = draft
        self.trust = Trust(trusted)
        self.problems: list[Problem] = []
        self.space: Space | None = None
        self._kind = kind
        self._goals: UserObjective | None = None
        self._method: tuple[Method, str] | None = None
        self._one_standard_error: OneStandardError | None = None

    def check_goals(self, evaluation: str) -> None:
        """Look at the sections `objective` and `selection`; `evaluation` says what a mean is a mean over, if it is one."""
        sections = self.draft.sections
        if sections.get("objective"):
            self._goals = UserObjective(sections["objective"], self._selection, evaluation)
            self.problems += self._goals.problems

    def check_search(self, space: Space, more: Iterable[Problem], *, values: int) -> None:
        """Look at the section `search`, and settle the method once nothing is wrong.

        Args:
            space: What is searched.
            more: What else is wrong with it.
            values: How many values the objective's mean is a mean over.
        """
        search, execution = self.draft.sections["search"], self.draft.sections.get("execution")
        problems = [*check_space(search, space), *more, *check_cheapest(self._selection, space)]
        if search.pruner is not None and execution is not None and not execution.backend.traits.can_kill:
            message = f"backend {execution.backend} cannot stop a {self._kind}; use `backend: processes`"
            problems.append(Problem(message, ("search", "pruner")))
        if not problems:
            self.space = space
        self.problems += problems
        objective = self._goals.objective if self._goals is not None else None
        if objective is not None and not self.problems and not self.draft.problems:
            self._method, problems = settle_method(
                search, space, len(objective.goals), bool(objective.limits), steps=0, folder=self.draft.folder
            )
            self.problems += [*problems, *check_spread(self._selection, objective, values=values)]
            self._one_standard_error = one_standard_error_of(self._selection, space, values=values)

    def common(self, changed: Mapping[str, object], material: TrainingData | None) -> Common:
        """Return what every sweep of own code is made of, once nothing is wrong.

        Args:
            changed: The sections of the config that differ from the draft's, beside the method.
            material: The rows, where there is a table.
        """
        config, goals = self.draft.config, self._goals
        if not (config and goals and goals.objective and self.space and self._method):
            raise RuntimeError("a draft without problems lacks a part")
        method, reason = self._method
        search = config.search.model_copy(update={"method": method})
        config = config.model_copy(update={**changed, "search": search})
        objective = replace(goals.objective, one_standard_error=self._one_standard_error)
        return config, self.draft, self.space, reason, objective, self.trust.given, material, goals.of

    @property
    def _selection(self) -> SelectionConfig:
        selection: SelectionConfig = self.draft.sections.get("selection", SelectionConfig())
        return selection
