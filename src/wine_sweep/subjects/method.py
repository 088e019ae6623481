"""The search method of a sweep: what `auto` stands for, and what the method and its options need."""

from __future__ import annotations

from wine_sweep.config import Method, SearchConfig
from wine_sweep.errors import Problem
from wine_sweep.search.auto import pick_method
from wine_sweep.search.methods import check_method
from wine_sweep.search.space import Space
from wine_sweep.selection import Objective
from wine_sweep.subjects.goals import check_stopping


def settle_method(
    search: SearchConfig, space: Space, objective: Objective, *, steps: int, values: int
) -> tuple[tuple[Method, str], list[Problem]]:
    """Pick the method that `auto` stands for, and check what it needs and the options that it is given.

    Args:
        search: The section `search`.
        space: What is searched.
        objective: What decides.
        steps: How many steps a trial has; 0 where it counts them itself.
        values: How many values the objective's mean is a mean over.

    Returns:
        The method with the reason for it, which is empty where the config names one; and what is wrong.
    """
    method, reason = search.method, ""
    if method is Method.AUTO:
        method, reason = pick_method(search, space, objectives=len(objective.goals), limits=bool(objective.limits))
    problems = check_stopping(search, objective, values=values)
    problems += check_method(search.model_copy(update={"method": method}), steps=steps)
    return (method, reason), problems
