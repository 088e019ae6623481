"""How one parameter is shown to Optuna, and how its values are read back."""

from __future__ import annotations

from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from wine_sweep.config import Choices, Method
from wine_sweep.search.axis import Axis
from wine_sweep.search.space import Dimension


class Codec:
    """Translates one parameter.

    Optuna sees choices by their positions, so that ``1``, ``1.0``, ``true`` and lists stay different; and floats in steps
    by their numbers, whose last step it would miss.

    Args:
        dimension: The parameter.
        method: What suggests its values. ``qmc`` fills a space of numbers, so that choices are whole numbers to it;
            ``brute_force`` tries the points of a grid.
    """

    def __init__(self, dimension: Dimension, method: Method) -> None:
        spec = dimension.spec
        by_position = isinstance(spec, Choices) or (not spec.is_int and spec.step is not None)
        if method is Method.BRUTE_FORCE and not isinstance(spec, Choices) and spec.num is not None:
            by_position = True
        self._dimension = dimension
        self._axis = Axis(spec) if by_position else None
        self.distribution: CategoricalDistribution | IntDistribution | FloatDistribution = self._distribution(
            as_numbers=method is Method.QMC
        )

    def encode(self, value: Any) -> Any:
        """Give what Optuna sees for a value."""
        return self._axis.position(value) if self._axis is not None else value

    def decode(self, value: Any) -> Any:
        """Give the value for what Optuna suggests."""
        return self._axis[value] if self._axis is not None else self._dimension.typed(value)

    def suggest(self, trial: Trial) -> Any:
        """Have a trial of Optuna's suggest what it sees for a value."""
        key, each = self._dimension.key, self.distribution
        if isinstance(each, CategoricalDistribution):
            return trial.suggest_categorical(key, each.choices)
        if isinstance(each, IntDistribution):
            return trial.suggest_int(key, each.low, each.high, step=each.step, log=each.log)
        return trial.suggest_float(key, each.low, each.high, log=each.log)

    def _distribution(self, *, as_numbers: bool) -> CategoricalDistribution | IntDistribution | FloatDistribution:
        spec = self._dimension.spec
        if self._axis is not None:
            if isinstance(spec, Choices) and not as_numbers:
                return CategoricalDistribution(range(len(self._axis)))
            return IntDistribution(0, len(self._axis) - 1)
        assert not isinstance(spec, Choices)  # choices are seen by their positions
        if spec.is_int:
            step = int(spec.step or 1)
            return IntDistribution(int(spec.low), int(spec.high - (spec.high - spec.low) % step), log=spec.log, step=step)
        return FloatDistribution(float(spec.low), float(spec.high), log=spec.log)
