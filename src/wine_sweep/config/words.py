"""A command's words, and the placeholders in them."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from wine_sweep.config.problems import config_error

ENVIRONMENT = "env:"
"""What a placeholder for an environment variable begins with: ``{env:HOME}``."""

PLACEHOLDERS = ("params_json", "params_file", "trial", "seed", "python")
"""What may stand within a word beside the names of parameters."""

WHOLE_WORDS = ("args", "args_no_hyphens", "args_no_boolean_flags")
"""What stands for a word of its own for each parameter, and so fills a word alone."""


def placeholders(word: str) -> Iterator[str]:
    """Yield the names of a word's placeholders, in order; a doubled brace is a brace.

    Raises:
        ValueError: A brace has no partner.
    """
    yield from (name for _, name in parts(word) if name is not None)


def parts(word: str) -> Iterator[tuple[str, str | None]]:
    """Yield a word's pieces: plain text, and the name of the placeholder that follows it, None after the last.

    Raises:
        ValueError: A brace has no partner.
    """
    for text, name, spec, conversion in string.Formatter().parse(word):
        whole = None if name is None else name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        yield text, whole


def _as_text(value: Any) -> Any:
    """Take numbers as they would be typed; YAML reads ``--epochs 10`` as one."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _well_formed(word: str) -> str:
    if "\0" in word:
        raise config_error("a word of a command cannot hold a NUL character")
    try:
        names = list(placeholders(word))
    except ValueError as error:
        raise config_error(f"{error}; a brace that is meant as such is doubled: '{{{{'") from error
    for name in names:
        if not name:
            raise config_error("an empty placeholder; name a parameter, as in {alpha}, or double the braces")
        if name in WHOLE_WORDS and word != f"{{{name}}}":
            raise config_error(f"{{{name}}} stands for several words, and so is a word of its own")
    return word


Word = Annotated[
    str,
    Field(strict=True, max_length=32_768),
    AfterValidator(_well_formed),
    BeforeValidator(_as_text, json_schema_input_type=str | int | float),
]
Words = Annotated[list[Word], Field(min_length=1, max_length=1000)]
"""A program and its arguments, each a word, with placeholders in braces."""
