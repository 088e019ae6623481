"""Studies that stay short: Optuna looks through all trials of a study each time, also where they teach nothing."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage

from wine_sweep.config import Direction, Method
from wine_sweep.search.optuna_classes import STUDY_NAME

STATELESS = (Method.RANDOM, Method.QMC)
"""Methods whose suggestions depend on no older trial, but for the first that finished: it tells ``qmc`` its space."""

KEPT = 500
"""So many trials a study of such a method holds before it goes on in a new one."""


class RollingStudy:
    """A study in memory that begins anew with the same sampler every so many trials, and suggests what the whole one would.

    Args:
        sampler: What suggests; of a method of `STATELESS`.
        directions: Which way each objective is better.
        kept: How many trials it holds.
    """

    def __init__(self, sampler: BaseSampler, directions: Sequence[Direction], *, kept: int = KEPT) -> None:
        self._sampler = sampler
        self._directions = directions
        self._kept = kept
        self._asked = 0
        self._storage, self._study = self._make()

    def next(self) -> optuna.Study:
        """Give the study to ask for the next trial. What is still being tried is told to the one that suggested it."""
        self._asked += 1
        if self._asked > self._kept:
            self._begin_anew()
        return self._study

    def _begin_anew(self) -> None:
        first = next((each for each in self._study.get_trials(deepcopy=False) if _has_result(each.state)), None)
        if first is None:  # there is nothing yet that tells what the sampler has to know
            return
        before = self._storage
        self._storage, self._study = self._make()
        identifier = self._storage.get_study_id_from_name(STUDY_NAME)
        for name, value in before.get_study_system_attrs(before.get_study_id_from_name(STUDY_NAME)).items():
            self._storage.set_study_system_attr(identifier, name, value)  # how far the sequence of `qmc` is
        self._study.add_trial(first)
        self._asked = 1

    def _make(self) -> tuple[InMemoryStorage, optuna.Study]:
        storage = InMemoryStorage()
        study = optuna.create_study(
            storage=storage, sampler=self._sampler, directions=[each.value for each in self._directions], study_name=STUDY_NAME
        )
        return storage, study


def _has_result(state: optuna.trial.TrialState) -> bool:
    return state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
