"""Words for messages: what was meant, what is allowed, what was given. Imports nothing of the package."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]\S*@")


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """Give ``; did you mean 'x'?`` for the nearest allowed name, or nothing when none is near."""
    near = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def one_of(name: object, allowed: Iterable[str], *, most: int = 12) -> str:
    """Say that `name` is none of the allowed ones, which is nearest, and what they are (at most `most` of them)."""
    names = list(allowed)
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    near = did_you_mean(name, names)
    return f"{near.removeprefix('; ')} Allowed: {shown}" if near else f"allowed: {shown}"


def show(value: object) -> str:
    """Show a value as short text that tells its type: ``'5' (text)``, ``a list``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value[:60]}' (text)"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)[:60]


def mask(text: str) -> str:
    """Hide the user and password of every URL in a text."""
    return _CREDENTIALS.sub("***@", text)


def duration_in_words(seconds: float) -> str:
    """Show a duration as a config spells it: ``0.5s``, ``45s``, ``10m``, ``1h30m``; above a minute in whole seconds."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    parts = {"d": whole // 86400, "h": whole // 3600 % 24, "m": whole // 60 % 60, "s": whole % 60}
    return "".join(f"{value}{unit}" for unit, value in parts.items() if value)


def show_bytes(size: float) -> str:
    """Write a size in decimal units, as ``1.2 GB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
