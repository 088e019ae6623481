"""How rows are split: the section `evaluation.cv`, and which rows are test rows."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wine_sweep.config.validation import Model, Seed, Share, config_error

FORMS = ("folds", "holdout", "time_series")
"""The keys of `evaluation.cv` of which exactly one is given."""

_GO_WITH = {
    "repeats": ("folds",),
    "stratified": ("folds", "holdout"),
    "gap": ("time_series",),
    "max_train": ("time_series",),
}
_ALWAYS_DUMPED = frozenset({"folds", "repeats", "seed", "holdout", "time_series", "stratified"})
"""The keys that recorded configs have; others are dumped where they are given, so that a config stays the same text."""


class CrossValidation(Model):
    """How the rows that are not test rows are split for measuring a trial: exactly one of `FORMS`.

    Args:
        folds: k folds, shuffled.
        repeats: How often the k folds are drawn anew.
        seed: Seeds the shuffling; repeat number i uses seed + i.
        holdout: One split, with this share of the rows to measure on.
        time_series: Ever longer beginnings of the table, each measured on the rows that follow: scikit-learn's
            `TimeSeriesSplit`. The order is that of `data.time`, or else the table's; rows of one time stay together.
        gap: How many rows before those to measure on are left out of fitting; of `data.time`, how many different times.
        max_train: The most rows, or different times, to fit on; the last ones.
        stratified: Whether every class has its share in each part of `folds` or `holdout`; by default true for
            classifiers, and a regressor has no classes.
    """

    folds: Annotated[int, Field(strict=True, ge=2)] | None = None
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    seed: Seed = 0
    holdout: Share | None = None
    time_series: Annotated[int, Field(strict=True, ge=2)] | None = None
    gap: Annotated[int, Field(strict=True, ge=0)] = 0
    max_train: Annotated[int, Field(strict=True, ge=1)] | None = None
    stratified: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in FORMS if self._is_given(name)]
        if len(given) != 1:
            names = ", ".join(f"`{name}`" for name in FORMS)
            raise config_error(f"give exactly one of {names}; got {', '.join(given) or 'none'}")
        for name, forms in _GO_WITH.items():
            if self._is_given(name) and given[0] not in forms:
                raise config_error(f"`{name}` goes with {' and '.join(f'`{form}`' for form in forms)}", name)
        return self

    def _is_given(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        return {key: value for key, value in tree.items() if key in _ALWAYS_DUMPED or self._is_given(key)}

    @property
    def count(self) -> int:
        """How many splits there are."""
        return self.time_series or (self.folds or 1) * self.repeats

    def describe(self) -> str:
        """Describe what a mean over this evaluation is a mean over: ``5 folds``."""
        if self.folds is not None:
            return f"{self.folds} folds" + (f" × {self.repeats}" if self.repeats > 1 else "")
        return "a hold-out split" if self.holdout is not None else f"{self.time_series} splits in time"


def as_cross_validation(value: Any) -> Any:
    """Turn a number of folds into the mapping that it is short for."""
    return {"folds": value} if isinstance(value, int) and not isinstance(value, bool) else value
