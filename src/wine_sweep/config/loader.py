"""Load a config file, apply ``--set`` overrides, and return a `SweepConfig` or all of its mistakes."""

from __future__ import annotations

import pathlib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from wine_sweep.config.schema import SweepConfig
from wine_sweep.config.search import FORMS, MAX_CHOICES, Choices, ParameterConfig
from wine_sweep.config.validation import NotKnown, Text, explain, fields_of, not_text, unknown_key
from wine_sweep.config.yaml_io import MAX_BYTES, Document, dump_yaml, path_part, read_file, read_yaml
from wine_sweep.errors import ConfigError, ConfigPath, Problem, SourceLocation
from wine_sweep.messages import suggested


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
        raise ConfigError.at(source, "is not UTF-8 text", code="not-yaml")
    key, equals, text = assignment.partition("=")
    path: ConfigPath = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise ConfigError.at(source, "expected key.path=value, as in search.trials=50")
    new = read_yaml(text.encode(), source, may_be_empty=True)
    value = _assign(document.value, path, new.value, source)
    here = SourceLocation(source)
    outer = [path[:end] for end in range(1, len(path))]
    keys = {**document.keys, **{each: here for each in outer if each not in document.keys}, path: here}
    values = {old: place for old, place in document.values.items() if old[: len(path)] != path}
    values |= {each: here for each in outer if each not in document.values}
    values |= {(*path, *inner): here for inner in new.values}
    return replace(document, value=value, keys=keys, values=values)


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
        known: What is right of the config, so that it can be checked further; whatever else is read of it raises `NotKnown`.
        problems: What is wrong, with places.
        is_file: Whether it is a file in that folder, and was not made or recorded elsewhere.
    """

    document: Document
    text: str
    folder: pathlib.Path
    config: SweepConfig | None
    known: SweepConfig
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
        raise ConfigError.at(str(path), f"cannot be read: {error.strerror or error}", code="unreadable") from error
    draft = parse_config(content, source=str(path), folder=path.resolve().parent, default_name=path.stem, overrides=overrides)
    return replace(draft, is_file=True)


def parse_config(
    content: bytes, *, source: str, folder: pathlib.Path, default_name: str, overrides: Sequence[str] = ()
) -> ParsedConfig:
    """Hold a config's text against the schema; see `read_config`."""
    most = _most_choices(content, overrides)
    document = apply_overrides(read_yaml(content, source, most_choices=most, keep_duplicates=True), overrides)
    text = content.decode("utf-8-sig")
    if not isinstance(document.value, dict):
        problem = Problem("a config is a mapping of keys such as `data`, `model` and `search`", code="wrong-type")
        return ParsedConfig(document, text, folder, None, nothing_of(SweepConfig), document.locate([*document.problems, problem]))
    raw = document.value if document.value.get("name") is not None else {**document.value, "name": default_name}
    try:
        config = SweepConfig.model_validate(raw)
    except ValidationError:
        reader = _Reader()
        known = reader.section(SweepConfig, raw, ())
        document = document.renamed(reader.renamed)
        return ParsedConfig(document, text, folder, None, known, document.locate([*document.problems, *reader.problems]))
    problems = document.locate(document.problems)
    return ParsedConfig(document, text, folder, None if problems else config, config, problems)


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


Section = TypeVar("Section", bound=BaseModel)


def nothing_of(section: type[Section]) -> Section:
    """Make a section of which nothing is known."""
    made = section.model_construct()
    made.__dict__.clear()
    return made


class _Reader:
    """Reads what is right of a config that is not right as a whole.

    An unknown key that looks like one that is not there is read as that one. A value that is wrong is left out, and with it every
    rule that reads it.

    Attributes:
        problems: What is wrong.
        renamed: The keys that were read as others: where they stand, and where they should.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.renamed: list[tuple[ConfigPath, ConfigPath]] = []

    def section(self, model: type[Section], raw: Mapping[Any, Any], path: ConfigPath) -> Section:
        """Read a section that is a mapping; `path` is where it stands."""
        fields = fields_of(model)
        rules = model.__pydantic_decorators__.model_validators.values()
        for rule in (each for each in rules if each.info.mode == "before"):
            raw = rule.func(raw)
        count = len(self.problems) - len(self.renamed)
        raw = self._known_keys(raw, list(fields), path)
        has_strangers = len(self.problems) - len(self.renamed) > count
        made = nothing_of(model)
        for key, (name, info) in fields.items():
            if key in raw:
                with suppress(NotKnown):
                    made.__dict__[name] = self._value(info, raw[key], (*path, key))
                made.model_fields_set.add(name)
            elif info.is_required():
                self.problems.append(Problem("is missing", (*path, key), code="missing-key"))
            else:
                default = info.get_default(call_default_factory=True)
                adapter = TypeAdapter(info.rebuild_annotation()) if info.validate_default else None
                made.__dict__[name] = default if adapter is None else adapter.validate_python(default)
        for rule in (each for each in rules if each.info.mode == "after"):
            try:
                rule.func(made)
            except PydanticCustomError as error:
                problem = problem_of(error, path)
                is_guess = (has_strangers and problem.path == path) or problem.path in {new for _, new in self.renamed}
                if not is_guess:  # what an unknown key was meant for is not known for sure
                    self.problems.append(problem)
            except NotKnown:
                continue
        return made

    def _known_keys(self, raw: Mapping[Any, Any], known: list[str], path: ConfigPath) -> dict[Any, Any]:
        kept = {key: value for key, value in raw.items() if key in known}
        for key in raw:
            at = (*path, path_part(key))
            if not isinstance(key, str):
                self.problems.append(not_text(at))
            elif key not in known:
                self.problems.append(unknown_key(at, known))
                meant = suggested(self.problems[-1].message)
                if meant is not None and kept.setdefault(meant, raw[key]) is raw[key] and meant not in raw:
                    self.renamed.append((at, (*path, meant)))
        return kept

    def _value(self, info: FieldInfo, raw: Any, path: ConfigPath) -> Any:
        """Read the value of a field.

        Raises:
            NotKnown: It is wrong.
        """
        inner = _plain(info)
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(raw, dict):
            return self.section(inner, raw, path)
        if inner is not None and typing.get_origin(inner) is dict and isinstance(raw, dict) and raw:
            self._validated(TypeAdapter(dict[Text, Any]), raw, path)
            kind = typing.get_args(inner)[1]
            return {key: self._entry(kind, value, (*path, key)) for key, value in raw.items()}
        try:
            return self._validated(TypeAdapter(info.rebuild_annotation()), raw, path)
        except NotKnown:
            if inner is None and info.default_factory in (list, dict):
                return info.get_default(call_default_factory=True)
            raise

    def _entry(self, kind: Any, raw: Any, path: ConfigPath) -> Any:
        """Read a value of a mapping, whose key stays: a parameter that is wrong has the value null."""
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self.section(kind, raw, path) if isinstance(raw, dict) else self._validated(TypeAdapter(kind), raw, path)
        wrong = len(self.problems) - len(self.renamed)
        with suppress(NotKnown):
            value = self._validated(TypeAdapter(kind), raw, path)
            if len(self.problems) - len(self.renamed) == wrong:
                return value
        return Choices(choices=[None])

    def _validated(self, adapter: TypeAdapter[Any], raw: Any, path: ConfigPath) -> Any:
        """Validate a value, without the keys in it that are wrong.

        Raises:
            NotKnown: It is wrong without them too.
        """
        try:
            return adapter.validate_python(raw)
        except ValidationError as error:
            found = explain(error, SweepConfig, union_tags=FORMS, at=path)
        for problem in found:
            raw = self._without(raw, problem, len(path))
        there = {new for _, new in self.renamed}
        self.problems += [each for each in found if each.code != "missing-key" or each.path not in there]
        try:
            return adapter.validate_python(raw)
        except ValidationError:
            raise NotKnown from None

    def _without(self, tree: Any, problem: Problem, depth: int) -> Any:
        """Return a value without the key that a problem is about, or with it under the name that was meant."""
        path = problem.path
        if depth < len(path) and path[depth] == 0 and isinstance(tree, dict):
            depth += 1  # one value in place of a list of one
        if depth == len(path) or not isinstance(tree, dict | list):
            return tree
        part = path[depth]
        if isinstance(tree, list):
            items = enumerate(tree)
            return [self._without(item, problem, depth + 1) if index == part else item for index, item in items]
        if depth + 1 < len(path):
            return {**tree, part: self._without(tree[part], problem, depth + 1)} if part in tree else tree
        kept = {key: value for key, value in tree.items() if path_part(key) != part}
        meant = suggested(problem.message) if problem.code == "unknown-key" else None
        if meant is not None and meant not in kept and part in tree:
            kept[meant] = tree[part]
            self.renamed.append((path, (*path[:-1], meant)))
        return kept


def problem_of(error: PydanticCustomError, path: ConfigPath) -> Problem:
    """Return what a rule of the section at `path` found."""
    context = error.context or {}
    return Problem(context["message"], (*path, *context["at"]), code=context["code"])


def _plain(info: FieldInfo) -> Any:
    """Return the section, or the mapping of sections or parameters, that a field's values are as they stand; None for others."""
    annotation = info.annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        (annotation, *more) = (each for each in typing.get_args(annotation) if each is not types.NoneType)
        annotation = None if more else annotation
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if info.metadata:
        return None
    if typing.get_origin(annotation) is dict:
        kind = typing.get_args(annotation)[1]
        return annotation if kind is ParameterConfig or (isinstance(kind, type) and issubclass(kind, BaseModel)) else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
