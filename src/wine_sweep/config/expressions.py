"""Conditions written as text, such as ``min_samples_leaf <= max_depth``: parsed once, never given to `eval`.

The language is a small part of Python's expressions: names, numbers, text, ``true``, ``false``, ``null``; ``+ - * /``;
``== != < <= > >=`` (also chained), ``in`` a list; ``and``, ``or``, ``not``; ``abs``, ``min`` and ``max``.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 1000
MAX_DEPTH = 30
_SHOWN = 100

_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_UPPER = (ast.Lt, ast.LtE)
_LOWER = (ast.Gt, ast.GtE)
_LEAST_VIOLATION = 1e-12
"""What a strict limit counts as broken by where both sides are equal."""

Compute = Callable[[Mapping[str, Any]], Any]
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}
ALLOWED = "names, numbers, text, + - * /, == != < <= > >=, in, and, or, not, abs, min, max"


class ExpressionError(ValueError):
    """The text is no condition, or cannot be computed for some values."""


class Expression:
    """A condition over named values.

    Args:
        text: As the user wrote it.

    Attributes:
        names: The names that occur in it, in order.

    Raises:
        ExpressionError: It is not of the language above, or holds no name.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_CHARACTERS:
            raise ExpressionError(f"a condition has {MAX_CHARACTERS} characters at most")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's own advice about text that is none of its programs
                tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f" near column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise ExpressionError(f"'{text}' is no condition{where}; such as: a <= b, or: c == 'x' and a < 5") from error
        names: dict[str, None] = {}
        self._compute = _build(tree, names, text.strip())
        if not isinstance(tree, ast.Compare | ast.BoolOp) and not _is_not(tree):
            raise ExpressionError(f"'{text}' compares nothing; such as: a <= b")
        if not names:
            raise ExpressionError(f"'{text}' names no parameter and no metric")
        self.names = tuple(names)
        self._excess = _excess(tree, text.strip())

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether the condition holds for these values; it does not where a division by zero leaves it without a result.

        Raises:
            ExpressionError: Values of these kinds cannot be compared or computed with.
        """
        try:
            return bool(self._compute(values))
        except ArithmeticError:
            return False
        except TypeError as error:
            shown = ", ".join(f"{name} {values[name]!r}" for name in self.names if name in values)
            raise ExpressionError(f"'{self.text}' cannot be computed for {shown}: {error}") from error

    @property
    def is_limit(self) -> bool:
        """Return whether the condition is one plain limit, such as ``rmse <= 0.7``."""
        return self._excess is not None

    def violation(self, values: Mapping[str, float]) -> float:
        """Return by how much a limit is broken: above 0 when it is, at most 0 when it holds.

        Raises:
            ExpressionError: It is not one plain limit, or cannot be computed.
        """
        if self._excess is None:
            raise ExpressionError(f"'{self.text}' is not one limit such as rmse <= 0.7")
        holds = self.holds(values)
        try:
            excess = float(self._excess(values))
        except ArithmeticError:
            return 1.0
        return min(excess, 0.0) if holds else max(excess, _LEAST_VIOLATION)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _excess(tree: ast.expr, text: str) -> Compute | None:
    """Return the smaller side minus the larger of one plain limit; None for any other condition."""
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or not isinstance(tree.ops[0], (*_UPPER, *_LOWER)):
        return None
    sides = _build(tree.left, {}, text), _build(tree.comparators[0], {}, text)
    smaller, larger = sides if isinstance(tree.ops[0], _UPPER) else reversed(sides)
    return lambda values: smaller(values) - larger(values)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _build(node: ast.expr, names: dict[str, None], text: str, depth: int = 0) -> Compute:  # noqa: PLR0911  # a case for each kind
    """Turn a syntax tree of `text` into a function of the values, refusing what is not of the language; collect the names."""
    if depth > MAX_DEPTH:
        raise ExpressionError("the condition is nested too deeply")
    inner = [_build(each, names, text, depth + 1) for each in _operands(node)]
    match node:
        case ast.Name(id=name) if name in _CONSTANTS:
            return _constant(_CONSTANTS[name])
        case ast.Name(id=name):
            names[name] = None
            return operator.itemgetter(name)
        case ast.Constant(value=value) if isinstance(value, bool | int | float | str) or value is None:
            return _constant(value)
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            calculate, (left, right) = _ARITHMETIC[type(op)], inner
            return lambda values: calculate(_number(left(values)), _number(right(values)))
        case ast.UnaryOp(op=ast.Not()):
            return lambda values: not inner[0](values)
        case ast.UnaryOp(op=ast.USub()):
            return lambda values: -_number(inner[0](values))
        case ast.BoolOp(op=ast.And()):
            return lambda values: all(part(values) for part in inner)
        case ast.BoolOp():
            return lambda values: any(part(values) for part in inner)
        case ast.Compare(ops=ops) if all(type(op) in _COMPARISONS for op in ops):
            return _comparison([_COMPARISONS[type(op)] for op in ops], inner)
        case ast.List() | ast.Tuple():
            return lambda values: [part(values) for part in inner]
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS and inner:
            function = _FUNCTIONS[name]
            return lambda values: function(*[_number(part(values)) for part in inner])
    part = ast.get_source_segment(text, node) or text  # as it is written: unparsing a long chain would exhaust the stack
    shown = part if len(part) <= _SHOWN else f"{part[:_SHOWN]} …"
    raise ExpressionError(f"'{shown}' is not understood; allowed: {ALLOWED}")


def _constant(value: Any) -> Compute:
    def compute(values: Mapping[str, Any]) -> Any:  # noqa: ARG001  # a constant is the same for all values
        return value

    return compute


def _operands(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Call(args=parts):
            return parts
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
    return []


def _comparison(compare: list[Callable[[Any, Any], bool]], inner: list[Compute]) -> Compute:
    if len(compare) == 1:
        only, left, right = compare[0], inner[0], inner[1]
        return lambda values: only(left(values), right(values))

    def chain(values: Mapping[str, Any]) -> bool:
        before = inner[0](values)
        for each, part in zip(compare, inner[1:], strict=True):
            after = part(values)
            if not each(before, after):
                return False  # as in Python, the rest is not computed
            before = after
        return True

    return chain


def _number(value: Any) -> Any:
    """Let only numbers through: text times a large number would fill the memory."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
