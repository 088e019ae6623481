"""What kind of problem a model solves, and what it can learn from. Imports nothing of the package."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """The two kinds of supervised learning that scikit-learn's estimators declare."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


@dataclass(frozen=True)
class DataRequirements:
    """What a model asks of a table.

    Args:
        task: Whether it predicts numbers or classes.
        numbers: Whether every feature must be a number.
        takes_missing: Whether a feature may have gaps.
        model: The model's name, for messages.
    """

    task: Task
    numbers: bool
    takes_missing: bool
    model: str
