"""Read YAML with the place of every key and value, without YAML 1.1's surprises, and write it back.

Plain scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-3`` is a number;
``on``, ``off``, ``yes``, ``no``, ``1:30`` and dates stay text. Anchors, aliases and ``<<`` merges work. A key given
twice, a tag that asks for a Python object, an alias that leads back to itself, a file over 1 MiB, nesting deeper
than 50 levels and aliases that unfold to more than 200,000 values are refused.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from wine_sweep.config.search import too_many_choices
from wine_sweep.errors import Code, ConfigError, ConfigPath, Problem, SourceLocation
from wine_sweep.messages import visible


@dataclass(frozen=True)
class Document:
    """What stands in a config, before anybody asks whether it makes sense.

    Args:
        value: Nested dicts, lists and scalars.
        source: The name to show for the text, usually its file.
        keys: The place of each key.
        values: The place of each value.
        text: The text itself.
        problems: The keys that are given twice, of which the first counts.
    """

    value: Any
    source: str
    keys: Mapping[ConfigPath, SourceLocation] = field(default_factory=dict)
    values: Mapping[ConfigPath, SourceLocation] = field(default_factory=dict)
    text: str = ""
    problems: Sequence[Problem] = ()

    def place(self, path: ConfigPath, *, at_key: bool = False) -> SourceLocation:
        """Find where `path` stands; what does not stand in the text is placed at the key that should hold it."""
        if at_key and path in self.keys:
            return self.keys[path]
        if path in self.values:
            return self.values[path]
        while path:
            path = path[:-1]
            if path in self.keys:
                return self.keys[path]
        return self.values.get((), SourceLocation(self.source, 1, 1))

    def value_at(self, path: ConfigPath) -> Any:
        """Return the value at a path; None where none stands there."""
        value = self.value
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def as_written(self, path: ConfigPath) -> ConfigPath:
        """Return the path that stands in the text for one that goes on where a short form ends: ``cv: 1`` for ``cv.folds``."""
        if path in self.values or path in self.keys:
            return path
        listed = tuple(part for part in path if part != "choices")
        if listed in self.values:
            return listed
        value: Any = self.value
        written: list[str | int] = []
        for depth, part in enumerate(path):
            if part == 0 and isinstance(value, dict) and 0 not in value:
                continue  # one value in place of a list of one
            if not isinstance(value, dict | list):
                break
            try:
                value = value[part]  # type: ignore[index]  # a list's position is a number, and a mapping has any key
            except (KeyError, IndexError, TypeError):
                return tuple(written) if isinstance(value, list) else (*written, *path[depth:])
            written.append(part)
        return tuple(written)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return every problem that has none its place, and sort all by it; overrides of the command line come last."""
        written = [replace(each, path=self.as_written(each.path)) for each in problems]
        placed = [replace(each, place=each.place or self.place(each.path, at_key=each.at_key)) for each in written]
        return with_lines(sorted(dict.fromkeys(placed), key=self._order), self.source, self.text)

    def renamed(self, moves: Iterable[tuple[ConfigPath, ConfigPath]]) -> Document:
        """Return the document with keys under other names too, in the same places; outer ones first."""
        document = self
        for path, meant in moves:
            old = document.as_written(path)
            new = (*old[:-1], meant[-1])

            def moved(path: ConfigPath, old: ConfigPath = old, new: ConfigPath = new) -> ConfigPath:
                return (*new, *path[len(old) :]) if path[: len(old)] == old else path

            keys = {moved(path): place for path, place in document.keys.items()} | {old: document.place(old, at_key=True)}
            values = {moved(path): place for path, place in document.values.items()}
            document = replace(document, value=_renamed(document.value, old, new[-1]), keys=keys, values=values)
        return document

    def _order(self, problem: Problem) -> tuple[bool, int, int]:
        place = problem.place or SourceLocation(self.source)
        return place.source != self.source, place.line, place.column


_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""As YAML counts lines."""


def with_lines(problems: Iterable[Problem], source: str, text: str) -> list[Problem]:
    """Return problems with the lines of the text that they stand in."""
    lines = _LINE_END.split(text)

    def line(problem: Problem) -> str:
        place = problem.place
        is_here = place is not None and place.source == source and 0 < place.line <= len(lines)
        return lines[place.line - 1] if place is not None and is_here else problem.line

    return [replace(each, line=line(each)) for each in problems]


def _renamed(tree: Any, path: ConfigPath, name: str | int) -> Any:
    part, *deeper = path
    if isinstance(tree, list):
        return [_renamed(item, tuple(deeper), name) if index == part else item for index, item in enumerate(tree)]
    if not deeper:
        return {name if key == part else key: value for key, value in tree.items()}
    return {key: _renamed(value, tuple(deeper), name) if key == part else value for key, value in tree.items()}


WIDTH = 100


class Block(dict[str, Any]):
    """A mapping that is written with a key on each line."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.2 or 1.1 would read as something else, escapes what `visible` would, writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the signature of PyYAML
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:  # the signature of PyYAML
        self.allow_unicode = visible(text) == text
        super().write_double_quoted(text, split)


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    is_word = value.replace("_", "a").replace(".", "a").replace("-", "a").isalnum() and value[:1] not in "-.0123456789"
    style = None if is_word and visible(value) == value else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(StrEnum, lambda dumper, value: _represent_text(dumper, value.value))
_Dumper.add_representer(
    Block, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=False)
)


def dump_yaml(tree: Mapping[str, Any], *, flow: bool | None = None) -> str:
    """Write plain values as YAML that is read back as the same values, keys in the order that they have.

    Args:
        tree: Mappings, lists, scalars, `Block` where a mapping is to have a line for each key.
        flow: Whether what is no `Block` stands in braces and brackets; by default what holds only scalars does.
    """
    plain = tree if isinstance(tree, dict) else dict(tree)
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=WIDTH)
    return text


MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_VALUES = 200_000
MAX_DIGITS = 300

_PLAIN = "plain"
_STANDARD = "tag:yaml.org,2002:"
_TAGGED = {"int": int, "float": float, "bool": bool, "null": type(None)}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def read_yaml(
    content: bytes, source: str, *, may_be_empty: bool = False, most_choices: int | None = None, keep_duplicates: bool = False
) -> Document:
    """Parse a config's bytes.

    Args:
        content: UTF-8 text, with or without a byte order mark.
        source: The name to show in errors.
        most_choices: How many values the searched parameters may list; reading on would take long. None for no limit.
        may_be_empty: Whether nothing but space and comments is allowed; it is null.
        keep_duplicates: Whether keys that are given twice are listed in the document's `problems`, and not raised.

    Raises:
        ConfigError: The text is not YAML, or uses what the module's docstring says is refused.
    """
    if len(content) > MAX_BYTES:
        raise _refusal(f"the file is {len(content):,} bytes long; at most {MAX_BYTES:,} are read", SourceLocation(source))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal("the file is not UTF-8 text", SourceLocation(source, line, 1)) from error
    try:
        node = _compose(text, source, most_choices)
        if node is None and may_be_empty:
            return Document(None, source, {}, {(): SourceLocation(source, 1, 1)}, text)
        if node is None:
            message = "the file is empty; a config is a mapping of keys such as `data`, `model` and `search`"
            raise _refusal(message, SourceLocation(source, 1, 1))
        builder = _Builder(source)
        value = builder.build(node, ())
        if builder.problems and not (keep_duplicates and all(each.code == "duplicate" for each in builder.problems)):
            raise ConfigError(builder.problems)
    except ConfigError as error:
        raise ConfigError(with_lines(error.problems, source, text)) from error.__cause__
    return Document(value, source, builder.keys, builder.values, text, builder.problems)


def parse_scalar(text: str) -> Any:
    """Read one plain scalar by YAML 1.2's core schema: null, a boolean, a number, or else the text itself.

    Raises:
        ValueError: A whole number of more than 300 digits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits; at most {MAX_DIGITS} are read")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML as far as nodes, which carry their places; it resolves no tag of its own and knows its depth."""

    def __init__(self, text: str, source: str, most_choices: int | None) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._source = source
        self._most_choices = most_choices
        self._listed = 0
        self._path: list[Any] = []

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:  # noqa: ARG002  # the parser's signature
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        return {ScalarNode: f"{_STANDARD}str", SequenceNode: f"{_STANDARD}seq", MappingNode: f"{_STANDARD}map"}[kind]

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._path.append(index.value if isinstance(index, ScalarNode) else index)
        if len(self._path) > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML's parser has no types
            raise yaml.MarkedYAMLError(problem=f"nested more than {MAX_DEPTH} levels deep", problem_mark=mark)
        if self._most_choices is not None and _is_choice(self._path[1:]):
            self._listed += 1
            if self._listed > self._most_choices:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # as above
                place = SourceLocation(self._source, mark.line + 1, mark.column + 1)
                raise ConfigError(
                    [Problem(too_many_choices(self._most_choices), tuple(self._path[1:-1]), place, code="out-of-range")]
                )
        node: Node | None = super().compose_node(parent, index)
        self._path.pop()
        return node


def _is_choice(path: list[Any]) -> bool:
    """Return whether a path leads to a value that a parameter lists: ``search.parameters.alpha.0``, ``….alpha.choices.0``."""
    listed = 3 if path[:2] == ["search", "parameters"] else 4 if path[:1] == ["models"] and path[2:3] == ["parameters"] else 0
    if not listed or not isinstance(path[-1], int):
        return False
    return len(path) == listed + 1 or (len(path) == listed + 2 and path[listed] == "choices")


def _compose(text: str, source: str, most_choices: int | None) -> Node | None:
    try:
        loader = _Loader(text, source, most_choices)
        try:
            return loader.get_single_node()
        except (ValueError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
            raise _unreadable_number(loader, text, source) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = SourceLocation(source, mark.line + 1, mark.column + 1) if mark else SourceLocation(source, 1, 1)
        raise _refusal(_explain(error), place) from error
    except ReaderError as error:
        before = text[: error.position]
        place = SourceLocation(source, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _refusal(f"the character U+{ord(text[error.position]):04X} is not allowed in YAML", place) from error


def _unreadable_number(loader: _Loader, text: str, source: str) -> ConfigError:
    """Explain where the scanner has stopped: an escape of a character that there is not, or an endless number in a directive."""
    is_escape = text[: loader.index].endswith("\\U")
    place = SourceLocation(source, loader.line + 1, loader.column + 1 - (2 if is_escape else 0))
    if is_escape:
        return _refusal(f"no character has the number {text[loader.index :][:8]}; the last is \\U0010FFFF", place)
    return _refusal("not valid YAML: a number with too many digits", place)


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or error.context or "not YAML").strip()
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if "mapping values are not allowed here" in problem:
        return "a second `:` on the line, or wrong indentation; put text that holds `: ` in quotes"
    if "found another document" in problem:
        return "a second document; a config file holds one sweep"
    if "expected a single document" in (error.context or ""):
        return "a second document (`---`); a config file holds one sweep"
    return f"not valid YAML: {problem}"


class _Builder:
    """Turns nodes into plain values and notes where each of them stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.keys: dict[ConfigPath, SourceLocation] = {}
        self.values: dict[ConfigPath, SourceLocation] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: Node, path: ConfigPath) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _refusal(f"the file unfolds to more than {MAX_VALUES:,} values", self._place(node))
        self.values[path] = self._place(node)
        if id(node) in self._open:
            raise _refusal("an alias that leads back to itself", self._place(node))
        if len(path) > MAX_DEPTH:
            raise _refusal(f"aliases unfold to more than {MAX_DEPTH} levels", self._place(node))
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return self._sequence(node, path)
            return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, path: ConfigPath) -> dict[Hashable, Any]:
        self._check_tag(node, path, "map")
        result: dict[Hashable, Any] = {}
        merged: list[tuple[Node, Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged.extend(self._merged_pairs(value_node, path))
                continue
            key = self._key(key_node, path)
            if key in result:
                self._problem("given twice", (*path, path_part(key)), key_node, "duplicate")
                continue
            result[key] = self._entry(key, key_node, value_node, path)
        for key_node, value_node in merged:
            key = self._key(key_node, path)
            if key not in result:
                result[key] = self._entry(key, key_node, value_node, path)
        return result

    def _entry(self, key: Hashable, key_node: Node, value_node: Node, path: ConfigPath) -> Any:
        inner = (*path, path_part(key))
        self.keys[inner] = self._place(key_node)
        return self.build(value_node, inner)

    def _merged_pairs(self, node: Node, path: ConfigPath) -> Iterator[tuple[Node, Node]]:
        """Yield the pairs that a ``<<`` brings in; in a list of mappings the earlier ones win, as YAML's merge type says."""
        for mapping in node.value if isinstance(node, SequenceNode) else [node]:
            if isinstance(mapping, MappingNode):
                if id(mapping) in self._open:
                    raise _refusal("a merge that leads back to itself", self._place(mapping))
                if len(self._open) > 2 * MAX_DEPTH:
                    raise _refusal(f"more than {MAX_DEPTH} merges within each other", self._place(mapping))
                yield from self._flattened(mapping, path)
            else:
                self._problem("`<<` takes a mapping or a list of mappings", path, mapping)

    def _flattened(self, mapping: MappingNode, path: ConfigPath) -> Iterator[tuple[Node, Node]]:
        self._open.add(id(mapping))
        nested: list[Node] = []
        for key_node, value_node in mapping.value:
            self._count += 1
            if self._count > MAX_VALUES:
                raise _refusal(f"the file unfolds to more than {MAX_VALUES:,} values", self._place(mapping))
            if key_node.tag == _PLAIN and key_node.value == "<<":
                nested.append(value_node)
            else:
                yield key_node, value_node
        for value_node in nested:
            yield from self._merged_pairs(value_node, path)
        self._open.discard(id(mapping))

    def _key(self, node: Node, path: ConfigPath) -> Hashable:
        if not isinstance(node, ScalarNode):
            raise _refusal("a list or mapping cannot be a key", self._place(node))
        key: Hashable = self._scalar(node, path)
        return key

    def _sequence(self, node: SequenceNode, path: ConfigPath) -> list[Any]:
        self._check_tag(node, path, "seq")
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: Node, path: ConfigPath) -> Any:
        try:
            if node.tag == f"{_STANDARD}str":
                return _joined_surrogates(node.value)
            if node.tag == _PLAIN:
                return parse_scalar(node.value)
            if self._check_tag(node, path, *_TAGGED):
                return _tagged(node.tag.removeprefix(_STANDARD), node.value)
        except ValueError as error:
            self._problem(str(error), path, node)
        return None

    def _check_tag(self, node: Node, path: ConfigPath, *allowed: str) -> bool:
        if node.tag in {_STANDARD + name for name in allowed}:
            return True
        tag = node.tag.replace(_STANDARD, "!!")
        self._problem(f"the tag `{tag}` is not allowed; a config is plain data", path, node)
        return False

    def _problem(self, message: str, path: ConfigPath, node: Node, code: Code = "not-yaml") -> None:
        self.problems.append(Problem(message, path, self._place(node), at_key=True, code=code))

    def _place(self, node: Node) -> SourceLocation:
        return SourceLocation(self.source, node.start_mark.line + 1, node.start_mark.column + 1)


def _tagged(tag: str, text: str) -> Any:
    """Read a scalar that says of what type it is: ``!!float 1``."""
    value = parse_scalar(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value) is not _TAGGED[tag]:
        raise ValueError(f"'{text}' is not what its tag `!!{tag}` says")
    return value


def _joined_surrogates(text: str) -> str:
    """Join pairs of surrogates, which PyYAML reads from escapes as two characters each."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ValueError("half of a surrogate pair is no character") from error


def path_part(key: Hashable) -> str | int:
    """Return what stands for a key in a path."""
    return key if isinstance(key, str | int) else str(key)


def _refusal(message: str, place: SourceLocation) -> ConfigError:
    return ConfigError([Problem(message, place=place, code="not-yaml")])


_OPEN_ALREADY = ("/dev/fd", "/proc/self/fd")
_STDIN = "/dev/stdin"


def read_file(path: Path, most: int) -> bytes:
    """Read a file, `most` bytes at most.

    A pipe or a terminal is read only where it is this process's own already: ``/dev/stdin``, or ``/dev/fd/63`` as a shell
    writes ``<(command)``.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    if str(path) == _STDIN or str(path.parent) in _OPEN_ALREADY:
        with path.open("rb") as file:
            return file.read(most)
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(most)


def _open_at_once(path: str, flags: int) -> int:
    """Open as `os.open` does, without waiting for somebody to write into a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
