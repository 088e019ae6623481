"""Which trial is best, and why. Pure functions over finished trials."""

from wine_sweep.selection.choice import Selection, choose, rank, select
from wine_sweep.selection.objective import Goal, Objective, number
from wine_sweep.selection.pareto import pareto_front

__all__ = ["Goal", "Objective", "Selection", "choose", "number", "pareto_front", "rank", "select"]
