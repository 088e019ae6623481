"""Load a config file, apply ``--set`` overrides, and return a `SweepConfig` or all of its mistakes."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from wine_sweep.config.schema import NO_DATA, NO_MODEL, NO_PARAMETERS, SweepConfig
from wine_sweep.config.search import FORMS, MAX_CHOICES
from wine_sweep.config.validation import explain
from wine_sweep.config.yaml_io import MAX_BYTES, Document, dump_yaml, read_file, read_yaml
from wine_sweep.errors import ConfigError, ConfigPath, Problem, SourceLocation


def apply_overrides(document: Document, assignments: Sequence[str]) -> Document:
    """Return `document` with every ``key.path=value`` set; the value is read as YAML and replaces what stood there.

    Raises:
        ConfigError: An assignment has no ``=``, its value is not YAML, or its path leads through something that is no mapping.
    """
    for assignment in assignments:
        document = _apply(document, assignment)
    return document


def _apply(document: Document, assignment: str) -> Document:
    source = f"--set {assignment}"
    if any("\ud800" <= character <= "\udfff" for character in assignment):
        raise ConfigError([Problem("is not UTF-8 text", place=SourceLocation(source))])
    key, equals, text = assignment.partition("=")
    path: ConfigPath = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError([Problem("expected key.path=value, as in search.trials=50", place=SourceLocation(source))])
    new = read_yaml(text.encode(), source, may_be_empty=True)
    value = _assign(document.value, path, new.value, source)
    here = SourceLocation(source)
    outer = [path[:end] for end in range(1, len(path))]
    keys = {**document.keys, **{each: here for each in outer if each not in document.keys}, path: here}
    values = {old: place for old, place in document.values.items() if old[: len(path)] != path}
    values |= {each: here for each in outer if each not in document.values}
    values |= {(*path, *inner): here for inner in new.values}
    return Document(value, document.source, keys, values)


def _assign(value: Any, path: ConfigPath, new: Any, source: str) -> Any:
    if not path:
        return new
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise ConfigError(
            [Problem(f"`{path[0]}` cannot be set inside something that is no mapping of keys", place=SourceLocation(source))]
        )
    return {**value, path[0]: _assign(value.get(path[0]), path[1:], new, source)}


_MOST_CHOICES = re.compile(rb"max_choices\W{1,5}(\d{1,18})")


@dataclass(frozen=True)
class ParsedConfig:
    """A config file that was read and held against the schema.

    Args:
        document: What the file says, with places.
        text: The file as written.
        folder: The folder that relative paths in it start from.
        config: The config; None when `problems` is not empty.
        sections: Every section that is right by itself, so that it can be checked further although others are wrong.
        problems: What is wrong, with places.
        is_file: Whether it is a file in that folder, and was not made or recorded elsewhere.
    """

    document: Document
    text: str
    folder: pathlib.Path
    config: SweepConfig | None
    sections: dict[str, Any]
    problems: list[Problem]
    is_file: bool = False


def read_config(path: pathlib.Path, overrides: Sequence[str] = ()) -> ParsedConfig:
    """Read a config file and hold it against the schema. What is wrong with its content is in the draft's `problems`.

    Raises:
        ConfigError: There is no such file, it is not YAML, or an override cannot be applied.
    """
    try:
        content = read_file(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(f"cannot be read: {error.strerror or error}", place=SourceLocation(str(path)))]) from error
    draft = parse_config(content, source=str(path), folder=path.resolve().parent, default_name=path.stem, overrides=overrides)
    return replace(draft, is_file=True)


def parse_config(
    content: bytes, *, source: str, folder: pathlib.Path, default_name: str, overrides: Sequence[str] = ()
) -> ParsedConfig:
    """Hold a config's text against the schema; see `read_config`."""
    document = apply_overrides(read_yaml(content, source, most_choices=_most_choices(content, overrides)), overrides)
    text = content.decode("utf-8-sig")
    if not isinstance(document.value, dict):
        problem = Problem("a config is a mapping of keys such as `data`, `model` and `search`")
        return ParsedConfig(document, text, folder, None, {}, document.locate([problem]))
    raw = document.value if document.value.get("name") is not None else {**document.value, "name": default_name}
    try:
        config = SweepConfig.model_validate(raw)
    except ValidationError as error:
        lacking = list(_lacking(raw))
        paths = {problem.path for problem in lacking}
        problems = lacking + [each for each in explain(error, SweepConfig, union_tags=FORMS) if each.path not in paths]
        return ParsedConfig(document, text, folder, None, _valid_sections(raw), document.locate(problems))
    sections = {name: getattr(config, name) for name in SweepConfig.model_fields}
    return ParsedConfig(document, text, folder, config, sections, [])


def _most_choices(content: bytes, overrides: Sequence[str]) -> int:
    """Find the largest number of choices that is allowed anywhere; while a long list is read, its own config is not known yet."""
    texts = [content, *(each.encode(errors="replace") for each in overrides)]
    return max([MAX_CHOICES, *(int(found) for text in texts for found in _MOST_CHOICES.findall(text))])


def dump_config(config: SweepConfig) -> str:
    """Write a config, its defaults too, as YAML that `parse_config` reads back as an equal one."""
    return dump_yaml(dump_tree(config))


def dump_tree(config: SweepConfig) -> dict[str, Any]:
    """Return a config, its defaults too, as plain values under the names that its keys have in YAML."""
    return config.model_dump(by_alias=True)


def _lacking(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Name what no section can miss by itself, since it depends on another: a model, a table, and what is searched."""
    if not raw.keys() & {"model", "models"}:
        yield Problem(NO_MODEL, ("model",))
    model = raw.get("model")
    if raw.get("data") is None and not (isinstance(model, dict) and model.keys() & {"function", "command"}):
        yield Problem(NO_DATA, ("data",))
    search = raw.get("search")
    if "models" not in raw and isinstance(search, dict) and not search.get("parameters", {}):
        message = "must not be empty" if "parameters" in search else NO_PARAMETERS
        yield Problem(message, ("search", "parameters"))


def _valid_sections(raw: dict[Any, Any]) -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for name, field in SweepConfig.model_fields.items():
        if name not in raw:
            if not field.is_required():
                sections[name] = field.get_default()
            continue
        try:
            sections[name] = TypeAdapter[Any](field.rebuild_annotation()).validate_python(raw[name])
        except ValidationError:
            continue
    return sections
