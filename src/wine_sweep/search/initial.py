"""Do the parameters that are to be tried first lie in the search space?"""

from __future__ import annotations

from wine_sweep.config import Choices, Method, SearchConfig
from wine_sweep.errors import Path, Problem
from wine_sweep.search.space import Space, Spec
from wine_sweep.wording import one_of, show


def check_initial(config: SearchConfig) -> list[Problem]:
    """Find what is wrong with `initial`: unknown names, values outside the space, and names missing from a grid's point."""
    space = Space.of(config)
    problems: list[Problem] = []
    for index, point in enumerate(config.initial):
        path: Path = ("search", "initial", index)
        for name, value in point.items():
            if name not in space.parameters:
                problems.append(Problem(f"is not searched; {one_of(name, space.parameters)}", (*path, name), at_key=True))
            elif not space.contains(name, value):
                problems.append(
                    Problem(f"{show(value)} lies outside the space: {describe(space.parameters[name])}", (*path, name))
                )
        missing = [name for name in space.parameters if name not in point]
        if missing and config.method is Method.GRID:
            problems.append(Problem(f"a grid's point names every parameter; missing: {', '.join(missing)}", path))
    return problems


def describe(spec: Spec) -> str:
    """Say in a few words what a parameter may be: ``0.001 to 1, log`` or ``rbf, linear``."""
    if isinstance(spec, Choices):
        return ", ".join(map(str, spec.choices[:8])) + (f" and {len(spec.choices) - 8} more" if len(spec.choices) > 8 else "")
    extras = [", log" if spec.log else "", f", step {spec.step}" if spec.step else "", f", {spec.num} points" if spec.num else ""]
    return f"{spec.low} to {spec.high}" + "".join(extras)
