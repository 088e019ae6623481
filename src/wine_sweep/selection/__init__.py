"""Which trial is best, and why. Pure functions over finished trials."""

from wine_sweep.selection.choice import Selection, choose, rank, rule, select
from wine_sweep.selection.objective import Goal, Objective, number
from wine_sweep.selection.one_standard_error import Candidates, near_the_best
from wine_sweep.selection.pareto import pareto_front
from wine_sweep.selection.thrift import OneStandardError

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
