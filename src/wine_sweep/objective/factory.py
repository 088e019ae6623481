"""From a trial's parameters to its unfitted estimator. This runs in workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wine_sweep.config import FAMILY
from wine_sweep.objective.estimators import set_params, set_seed
from wine_sweep.trial import Params


@dataclass(frozen=True)
class ModelFactory:
    """Makes the estimator of a trial.

    Args:
        templates: The unfitted estimators with their fixed parameters, by family; under None where there is only one.
        seed: For every ``random_state`` that is None.
        chosen: Parameters that the config sets itself, by family, which no seed replaces.
        trusted: Packages that nested estimators may come from, beside the usual ones.
    """

    templates: Mapping[str | None, Any]
    seed: int
    chosen: Mapping[str | None, frozenset[str]]
    trusted: tuple[str, ...] = ()

    def make(self, params: Params, *, repeat: int = 0) -> Any:
        """Make an unfitted estimator with these parameters.

        Args:
            params: The searched parameters, and the family where there are several.
            repeat: Which seed: the first, the one after it, and so on.
        """
        from sklearn.base import clone

        family = None if None in self.templates else params[FAMILY]
        own = {name: value for name, value in params.items() if family is None or name != FAMILY}
        model = set_params(clone(self.templates[family]), own, self.trusted, ("search", "parameters"))
        return set_seed(model, self.seed + repeat, except_for=self.chosen[family] | set(own))
