"""A translated sweep as the text of a config: block style, with what there is to know as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from wine_sweep.config import Block, dump_yaml
from wine_sweep.config.yaml_reader import read_yaml
from wine_sweep.wandb.notes import Note, NoteKind
from wine_sweep.wandb.translate import Translation

WIDTH = 110
"""Columns of a comment, its indentation among them."""


def write_config(translation: Translation, source: str) -> str:
    """Write a config, with a comment at the top, and one above each key of which there is something to say.

    Args:
        translation: The config and the notes.
        source: The name of W&B's file.
    """
    body = dump_yaml(_in_blocks(translation.tree), flow=True)
    keys = read_yaml(body.encode(), "the new config").keys
    placed: dict[int, list[Note]] = {}
    for note in translation.notes:
        if note.at:
            placed.setdefault(keys[note.at].line, []).append(note)
    text = list(_top(translation, source))
    for row, line in enumerate(body.split("\n"), start=1):
        indent = line[: len(line) - len(line.lstrip(" "))]
        for note in placed.get(row, []):
            text += _comment(_said(note), indent)
        text.append(line)
    return "\n".join(text)


def _in_blocks(tree: dict[str, Any]) -> Block:
    """Give every section a line for each of its keys, and every parameter a line."""
    search = Block({**tree["search"], "parameters": Block(tree["search"]["parameters"])})
    return Block({**tree, "model": Block(tree["model"]), "search": search, "execution": Block(tree["execution"])})


def _top(translation: Translation, source: str) -> Iterator[str]:
    yield from _comment(f"Imported from {source}, a sweep of W&B's, by wine-sweep import-wandb.", "")
    for line in translation.description.splitlines():
        yield from _comment(line, "")
    unplaced = [note for note in translation.notes if not note.at and note.kind is not NoteKind.CARRIED]
    if unplaced:
        yield "#"
        yield "# Not carried over:"
    for note in unplaced:
        yield from _comment(f"- {_said(note)}", "", hanging="  ")


def _said(note: Note) -> str:
    lost = "not carried over: " if note.at and note.kind is NoteKind.LEFT_OUT else ""
    return f"{note.key}: {lost}{note.message}"


def _comment(text: str, indent: str, *, hanging: str = "") -> Iterable[str]:
    """Write one line of text as lines of comment; what YAML does not allow even there is shown as a question mark."""
    plain = "".join(each if each.isprintable() else "?" for each in text.replace("\t", " "))
    wrapped = textwrap.wrap(
        plain, WIDTH - len(indent) - 2, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}# {line}".rstrip() for line in wrapped or [""]]
