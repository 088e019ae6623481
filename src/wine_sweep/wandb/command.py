"""W&B's `command` as `model.command`: macros become placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from wine_sweep.config.words import WHOLE_WORDS, placeholders
from wine_sweep.wandb.notes import Note, approximated, carried, left_out
from wine_sweep.wording import did_you_mean

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
"""What W&B runs where the file has no `command`."""

PROGRAM = "train.py"
"""Stands in for a program where the file names none."""

ENV = "/usr/bin/env"
_AT = ("model", "command")

_AS_WORD = {
    "args": "{args}",
    "args_no_hyphens": "{args_no_hyphens}",
    "args_no_boolean_flags": "{args_no_boolean_flags}",
    "args_json": "{params_json}",
    "args_json_file": "{params_file}",
}
_FOR_EACH = {
    "args_no_equals": ("--{name}", "{{{name}}}"),
    "args_append_hydra": ("+{name}={{{name}}}",),
    "args_override_hydra": ("++{name}={{{name}}}",),
}
"""Macros that have no placeholder of ours: the words for each parameter."""

MACROS = ("env", "interpreter", "program", *_AS_WORD, *_FOR_EACH, "envvar:NAME")
_MACRO = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_ASSIGNMENT = re.compile(r"-.*|[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass
class _Command:
    """The words so far, and what there is to say of them."""

    program: str | None
    names: Sequence[str]
    words: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def read(self, words: Sequence[str]) -> None:
        """Put in W&B's words one by one."""
        for word, following in zip(words, [*words[1:], ""], strict=True):
            found = _MACRO.fullmatch(word)
            if found is not None and not _VARIABLE.fullmatch(word):
                self.macro(found[1], following)
            else:
                self.text(word)

    def macro(self, name: str, following: str) -> None:
        """Put in what stands for a word that is one macro."""
        self.used.add(name)
        if name == "env":
            self.words += [ENV] if _ASSIGNMENT.fullmatch(following) else []
        elif name == "interpreter":
            self.words.append("python")
        elif name == "program":
            self.words.append(_literal(self.program or PROGRAM))
        elif name in _AS_WORD:
            self.words.append(_AS_WORD[name])
        elif name in _FOR_EACH:
            self.for_each(name)
        else:
            near = did_you_mean(name, MACROS)
            self.notes.append(left_out("command", f"${{{name}}} is no macro of W&B's, which drops it too{near}", _AT))

    def for_each(self, name: str) -> None:
        """Put in the words for each parameter, where its name can be a placeholder."""
        for each in self.names:
            if _is_placeholder(each):
                self.words += [word.format(name=each) for word in _FOR_EACH[name]]
            else:
                self.notes.append(left_out("command", f"'{each}' is not handed on: such a name is no placeholder", _AT))
        self.notes.append(carried("command", f"${{{name}}} as words for each parameter; add to them where you add one", _AT))

    def text(self, word: str) -> None:
        """Put in a word that is no macro; environment variables are replaced within it, as W&B does."""
        pieces = _VARIABLE.split(word)
        kept = [_literal(piece) if index % 2 == 0 else f"{{env:{piece}}}" for index, piece in enumerate(pieces)]
        self.words.append("".join(kept))
        if any(_MACRO.search(piece) for piece in pieces[::2]):
            message = f"'{word}' stays as it is: W&B replaces a macro only where it is a word of its own"
            self.notes.append(carried("command", message, _AT))


def convert_command(
    command: Sequence[str] | None, program: str | None, names: Sequence[str], values: Iterable[Any] = ()
) -> tuple[list[str], list[Note]]:
    """Give the words of `model.command`.

    Args:
        command: W&B's words; None or none for its default.
        program: W&B's `program`.
        names: The parameters' names.
        values: Their values, as far as the file lists them.
    """
    result = _Command(program, names)
    result.read(command or DEFAULT)
    if not result.words:
        result.notes.append(approximated("command", "has no words; what W&B runs by default stands in for it", _AT))
        result.read(DEFAULT)
    result.notes += _about_program(result, is_default=not command)
    result.notes += _about_parameters(result, values)
    return result.words, result.notes


def _about_parameters(command: _Command, values: Iterable[Any]) -> Iterator[Note]:
    """Say how the program gets its parameters, where that is not as at W&B."""
    if not command.used & {*_AS_WORD, *_FOR_EACH}:
        message = "hands on no parameters; add {args}, or have the program read $WINE_SWEEP_PARAMS, or all trials are the same"
        yield approximated("command", message, _AT)
    spelled = command.used & {"args", "args_no_hyphens", *_FOR_EACH}
    odd = (bool, type(None), list, dict) if spelled else (type(None), list, dict)
    if (spelled or "args_no_boolean_flags" in command.used) and any(isinstance(value, odd) for value in values):
        message = "true, null and lists are spelled as in JSON; W&B spells them as Python does, True, None and ['a']"
        yield approximated("command", message, _AT)


def _about_program(command: _Command, *, is_default: bool) -> list[Note]:
    if command.program is None and "program" in command.used:
        message = f"the file names none, so that {PROGRAM} stands in for it; write yours here"
        return [approximated("program", message, _AT)]
    if command.program is not None and "program" not in command.used:
        return [left_out("program", "the command does not use it", _AT)]
    if is_default and command.program is not None:
        return [carried("program", f"as model.command, {' '.join(command.words)}, which is what W&B runs by default")]
    return []


def _is_placeholder(name: str) -> bool:
    try:
        return name not in WHOLE_WORDS and list(placeholders(f"{{{name}}}")) == [name]
    except ValueError:
        return False


def _literal(text: str) -> str:
    """Double the braces of text that is meant as it stands."""
    return text.replace("{", "{{").replace("}", "}}")
