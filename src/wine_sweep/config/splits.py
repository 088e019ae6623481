"""How rows are split: the section `evaluation.cv`, and which rows are test rows."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from wine_sweep.config.validation import Location, Model, Seed, Share, Text, config_error
from wine_sweep.messages import show

FORMS = ("folds", "holdout", "time_series", "column", "leave_one_group_out", "leave_one_out")
"""The keys of `evaluation.cv` of which exactly one is given."""

_GO_WITH = {
    "repeats": ("folds", "holdout"),
    "shuffle": ("folds",),
    "stratified": ("folds", "holdout"),
    "gap": ("time_series",),
    "max_train": ("time_series",),
}
_ALWAYS_DUMPED = frozenset({"folds", "repeats", "seed", "holdout", "time_series", "stratified"})
"""The keys that recorded configs have; others are dumped where they are given, so that a config stays the same text."""


def _only_true(value: bool) -> bool:
    if not value:
        raise config_error("is true, or left out")
    return value


def _time(value: Any) -> Any:
    is_time = (isinstance(value, int | float) and math.isfinite(value)) or (isinstance(value, str) and value)
    if value is not None and (isinstance(value, bool) or not is_time):
        raise config_error(f"is a date such as 2026-12-01, or a number; got {show(value)}")
    return value


class CrossValidation(Model):
    """How the rows that are not test rows are split for measuring a trial: exactly one of `FORMS`.

    Args:
        folds: k folds, shuffled.
        repeats: How often the k folds, or the hold-out, are drawn anew.
        shuffle: Whether the rows are shuffled before they are divided into k folds; they are in the table's order otherwise.
        seed: Seeds the shuffling; repeat number i of k folds uses seed + i, hold-outs are drawn one after the other.
        holdout: One split, with this share of the rows to measure on.
        time_series: Ever longer beginnings of the table, each measured on the rows that follow: scikit-learn's
            `TimeSeriesSplit`. The order is that of `data.time`, or else the table's; rows of one time stay together.
        gap: How many rows before those to measure on are left out of fitting; of `data.time`, how many different times.
        max_train: The most rows, or different times, to fit on; the last ones.
        column: A column that is no feature: the number or the name of each row's fold, scikit-learn's `PredefinedSplit`.
            Rows with -1 are in no fold, and always fitted on.
        leave_one_group_out: A column that is no feature: each of its values is a fold. It is `data.groups` too.
        leave_one_out: Each training row is a fold; rows that stay together are one.
        stratified: Whether every class has its share in each part of `folds` or `holdout`; by default true for
            classifiers, and a regressor has no classes.
    """

    folds: Annotated[int, Field(strict=True, ge=2)] | None = None
    repeats: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    shuffle: Annotated[bool, Field(strict=True)] = True
    seed: Seed = 0
    holdout: Share | None = None
    time_series: Annotated[int, Field(strict=True, ge=2)] | None = None
    gap: Annotated[int, Field(strict=True, ge=0)] = 0
    max_train: Annotated[int, Field(strict=True, ge=1)] | None = None
    column: Text | None = None
    leave_one_group_out: Text | None = None
    leave_one_out: Annotated[bool, Field(strict=True), AfterValidator(_only_true)] | None = None
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
        if not self.shuffle and (self.repeats > 1 or self.seed):
            key = "repeats" if self.repeats > 1 else "seed"
            raise config_error(f"without shuffling the folds are always the same; leave `{key}` out", key, code="conflict")
        return self

    def _is_given(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = dump(self)
        return {key: value for key, value in tree.items() if key in _ALWAYS_DUMPED or self._is_given(key)}

    @property
    def count(self) -> int | None:
        """How many splits there are; None where the table decides."""
        if self.folds is not None or self.holdout is not None:
            return (self.folds or 1) * self.repeats
        return self.time_series

    def describe(self) -> str:
        """Describe what a mean over this evaluation is a mean over: ``5 folds``."""
        if self.folds is not None:
            folds = f"{self.folds} folds" if self.shuffle else f"{self.folds} folds in the table's order"
            return folds + (f" × {self.repeats}" if self.repeats > 1 else "")
        if self.holdout is not None:
            return "a hold-out split" if self.repeats == 1 else f"{self.repeats} hold-out splits"
        if self.time_series is not None:
            return f"{self.time_series} splits in time"
        if self.column is not None:
            return f"the folds of '{self.column}'"
        return "folds of one row" if self.leave_one_group_out is None else f"folds of one {self.leave_one_group_out}"


def as_cross_validation(value: Any) -> Any:
    """Turn a number of folds, or the word ``leave_one_out``, into the mapping that it is short for."""
    if value == "leave_one_out":
        return {"leave_one_out": True}
    return {"folds": value} if isinstance(value, int) and not isinstance(value, bool) else value


CrossValidationForms = Annotated[int, Field(ge=2)] | Literal["leave_one_out"] | CrossValidation
"""What may stand under `cv`, for the JSON Schema."""


class HeldOutRows(Model):
    """The test rows, where they are not drawn: exactly one of its keys.

    Args:
        table: A file with the columns of the sweep's table, read as that is: all of its rows are test rows.
        column: A column that is no feature: whether each row is a test row.
        since: A date, or a number, of `data.time`: rows of this time and later ones are test rows.
    """

    table: Location | None = None
    column: Text | None = None
    since: Annotated[int | float | str | None, BeforeValidator(_time)] = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("table", "column", "since") if getattr(self, name) is not None]
        if len(given) != 1:
            raise config_error(f"give exactly one of `table`, `column`, `since`; got {', '.join(given) or 'none'}")
        return self


def as_held_out_rows(value: Any) -> Any:
    """Turn a file's path into the mapping that it is short for."""
    return {"table": value} if isinstance(value, str) else value
