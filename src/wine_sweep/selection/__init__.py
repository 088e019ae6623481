"""Which trial is best, and why. Pure functions over finished trials."""

from wine_sweep.selection.choice import Candidates, Selection, choose, near_the_best, pareto_front, rank, rule, select
from wine_sweep.selection.objective import Goal, Objective, OneStandardError, number

__all__ = [
    "Candidates",
    "Goal",
    "Objective",
    "OneStandardError",
    "Selection",
    "choose",
    "near_the_best",
    "number",
    "pareto_front",
    "rank",
    "rule",
    "select",
]
