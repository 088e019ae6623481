"""Who does something: the process that runs a sweep, as a tag on the parent run names it, and the user."""

from __future__ import annotations

import getpass
import json
import os
import platform
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from wine_sweep.tracking import names
from wine_sweep.tracking.ownership import number_of
from wine_sweep.tracking.state import machine_id

_LARGEST_PID = 2**31
BEAT_SECONDS = 10.0
"""How often it says that it is alive."""


@dataclass(frozen=True)
class Owner:
    """A process that runs a sweep.

    Args:
        token: What tells it from every other; the number of its take-over first, then a hyphen.
        machine: Where it runs: the machine's own id, since names of machines repeat.
        host: That machine's name.
        pid: Its process id there.
        beat: How often it has said that it is alive.
    """

    token: str
    machine: str
    host: str
    pid: int
    beat: int = 0

    @classmethod
    def here(cls) -> Owner:
        """Describe this process."""
        return cls(uuid.uuid4().hex, machine_id(), platform.node(), os.getpid())

    def numbered(self, number: int) -> Owner:
        """Give it a new token, with the number of its take-over; whoever begins a sweep has 1."""
        return replace(self, token=f"{number}-{uuid.uuid4().hex}")

    @property
    def number(self) -> int:
        """The number of its take-over; 0 where its version of wine_sweep did not count them."""
        return number_of(self.token)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def text(self) -> str:
        """Write it as a tag's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Owner | None:
        """Read the owner from a parent run's tags; None when it has none, or one that cannot be read."""
        try:
            owner = cls(**json.loads(tags.get(names.OWNER, "")))
        except (ValueError, TypeError, RecursionError):
            return None
        texts, numbers = (owner.token, owner.machine, owner.host), (owner.pid, owner.beat)
        is_sound = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
        return owner if is_sound and 0 < owner.pid < _LARGEST_PID else None


def user_name() -> str:
    """Give the name of the user, or ``unknown`` where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
