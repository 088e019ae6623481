"""From a trial's parameters to its unfitted estimator. This runs in workers."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import FAMILY
from wine_sweep.import_path import lies_in, start_scripts_as_usual
from wine_sweep.objective.estimators import EstimatorError, set_params, set_seed
from wine_sweep.objective.file_parameters import find_refused
from wine_sweep.trial import Params


@dataclass(frozen=True)
class ModelFactory:
    """Makes the estimator of a trial.

    Args:
        templates: The unfitted estimators with their fixed parameters, by family; under None where there is only one.
        seed: For every ``random_state`` that is None.
        chosen: Parameters that the config sets itself, by family, which no seed replaces.
        trusted: Packages that nested estimators may come from, beside the usual ones.
        paths: Resolved files and folders that parameters may name.
    """

    templates: Mapping[str | None, Any]
    seed: int
    chosen: Mapping[str | None, frozenset[str]]
    trusted: tuple[str, ...] = ()
    paths: tuple[pathlib.Path, ...] = ()

    def make(self, params: Params, *, repeat: int = 0) -> Any:
        """Make an unfitted estimator with these parameters.

        Args:
            params: The searched parameters, and the family where there are several.
            repeat: Which seed: the first, the one after it, and so on.

        Raises:
            EstimatorError: The parameters are not right for it, or name a file that nobody trusts: those of a trial that was
                recorded come from the store, where others may write.
        """
        from sklearn.base import clone

        if self.trusted:
            start_scripts_as_usual()
        family = None if None in self.templates else params[FAMILY]
        own = {name: value for name, value in params.items() if family is None or name != FAMILY}
        model, path = clone(self.templates[family]), ("search", "parameters")
        outer = {name: [value] for name, value in own.items()}
        for problem in find_refused(model, own, lambda each: lies_in(each, self.paths), self.trusted, path, outer=outer):
            raise EstimatorError(problem)
        set_params(model, own, self.trusted, path)
        return set_seed(model, self.seed + repeat, except_for=self.chosen[family] | set(own))
