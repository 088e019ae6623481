"""What became of each key of a W&B sweep: carried over, approximated, or left out, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wine_sweep.errors import ConfigPath


class NoteKind(StrEnum):
    """What became of a key."""

    CARRIED = "carried"
    APPROXIMATED = "approximated"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Note:
    """One remark on one key; a key that is carried over as anybody would expect has none.

    Args:
        key: The key in W&B's file, ``parameters.lr.probabilities``; or what has no key there, ``wandb.log``.
        kind: What became of it.
        message: As what it was carried over, or why not; one line.
        at: The key of the new config at which the remark stands as a comment; empty for the top of the file.
    """

    key: str
    kind: NoteKind
    message: str
    at: ConfigPath = ()


_HEADINGS = {NoteKind.CARRIED: "Carried over", NoteKind.APPROXIMATED: "Approximated", NoteKind.LEFT_OUT: "Not carried over"}


def report(notes: Iterable[Note]) -> list[str]:
    """Write notes as lines: first what the program itself has to change, then by what became of the keys."""
    notes = list(notes)
    first = [note for note in notes if note.key.startswith("wandb.")]
    groups = {"First, the program has to change": first}
    groups |= {_HEADINGS[kind]: [each for each in notes if each.kind is kind and each not in first] for kind in NoteKind}
    lines: list[str] = []
    for heading, group in groups.items():
        if group:
            lines += ["", heading, *(f"  {note.key}: {note.message}" for note in group)]
    return lines[1:]


def carried(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was carried over, where it is not obvious as what."""
    return Note(key, NoteKind.CARRIED, message, at)


def approximated(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was carried over as something near to it."""
    return Note(key, NoteKind.APPROXIMATED, message, at)


def left_out(key: str, message: str, at: ConfigPath = ()) -> Note:
    """Note that a key was not carried over."""
    return Note(key, NoteKind.LEFT_OUT, message, at)
