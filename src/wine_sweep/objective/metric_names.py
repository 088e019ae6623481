"""What a metric may be called and at which steps it may stand, so that MLflow takes it."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters; MLflow takes 250, and ``report_`` and ``_std`` are still to be added."""

LARGEST_STEP = 2**63 - 1
_ALLOWED = re.compile(r"[\w.\- :/]+")


def refusal_of_name(name: str) -> str | None:
    """Say why MLflow would not take a metric of this name, or None."""
    if len(name) > LONGEST:
        return f"the metric '{name[:40]}…' has {len(name)} characters; {LONGEST} are allowed"
    parts = name.split("/")
    if not _ALLOWED.fullmatch(name) or any(part in ("", ".", "..") for part in parts):
        return f"a metric cannot be called '{name}'; it is made of letters, digits, spaces and _ - . : in parts between slashes"
    return None


def refusal_of_step(step: object) -> str | None:
    """Say why something is no step, or None."""
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= LARGEST_STEP:
        return f"a step is a whole number of 0 or more, below 2**63; got {step!r:.40}"
    return None
