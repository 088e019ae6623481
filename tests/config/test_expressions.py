"""The little language of constraints: what Python says of it, and nothing beyond it."""

import ast
import keyword
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from wine_sweep.config.expressions import MAX_CHARACTERS, MAX_DEPTH, Expression, ExpressionError

MANY = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
NAMES = {"a": 3, "b": -2, "c": 0.5, "d": 7.25, "word": "rbf", "nothing": None, "flag": True}
NUMBERS = st.integers(-20, 20).map(str) | st.sampled_from(["0.5", "1e-3", "2.25"]) | st.sampled_from(["a", "b", "c", "d"])


def deeper(numbers):
    pairs = st.tuples(numbers, st.sampled_from("+-*/"), numbers).map(lambda it: f"({it[0]} {it[1]} {it[2]})")
    calls = st.tuples(st.sampled_from(["min", "max"]), numbers, numbers).map(lambda it: f"{it[0]}({it[1]}, {it[2]})")
    return pairs | calls | numbers.map(lambda it: f"-({it})") | numbers.map(lambda it: f"abs({it})")


ARITHMETIC = st.recursive(NUMBERS, deeper, max_leaves=6)
ANY = ARITHMETIC | st.sampled_from(["word", "nothing", "flag", "'rbf'", "None", "True", "'x'"])
COMPARISONS = st.one_of(
    st.tuples(ARITHMETIC, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), ARITHMETIC).map(" ".join),
    st.tuples(ANY, st.sampled_from(["==", "!="]), ANY).map(" ".join),
    st.tuples(ARITHMETIC, ARITHMETIC, ARITHMETIC).map(lambda it: f"{it[0]} < {it[1]} <= {it[2]}"),
    st.tuples(ANY, st.sampled_from(["in", "not in"]), st.lists(ANY, min_size=1, max_size=3)).map(
        lambda it: f"{it[0]} {it[1]} [{', '.join(it[2])}]"
    ),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda it: f"({it[0]}) {it[1]} ({it[2]})")
        | inner.map(lambda it: f"not ({it})")
    ),
    max_leaves=4,
)


@pytest.mark.slow
@MANY
@given(CONDITIONS)
@example("not (b < -5 <= a / 0)")
@example("(b < 0) or (a / 0 < 1)")
def test_a_condition_is_what_python_says(text):
    assume({node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} & NAMES.keys())
    expression = Expression(text)
    try:
        expected = bool(eval(text, {}, dict(NAMES)))
    except ZeroDivisionError:
        expected = False
    assert expression.holds(NAMES) is expected
    assert set(expression.names) == {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} & NAMES.keys()


@pytest.mark.slow
@MANY
@given(ARITHMETIC, st.sampled_from(["<", "<=", ">", ">="]), ARITHMETIC)
def test_a_violation_is_positive_exactly_where_a_limit_is_broken(left, operator, right):
    text = f"{left} {operator} {right} + 0 * a"
    expression = Expression(text)
    assert expression.is_limit
    assert (expression.violation(NAMES) > 0) is not expression.holds(NAMES)


OUTSIDE = [
    "a.b < 1", "a[0] < 1", "a[0:1] == 'x'", "open('x') == a", "abs < a()", "a.real() < 1", "(lambda: 1) == a", "lambda a: a < 1",
    "f'{a}' == 'x'", "(b := 3) < a", "[x for x in [1]] == a", "{x for x in [1]} == a", "{1: 2} == a", "{1, 2} == a", "a ** 2 < 1",
    "a % 2 == 0", "a // 2 == 0", "a << 2 < 1", "a | 1 < 2", "~a < 1", "+a < 1", "a is None", "a is not None", "a if b else c < 1",
    "(a if b else c) < 1", "a @ b < 1", "b'x' == a", "1j == a", "... == a", "min(*a) < 1", "max(a, key=abs) < 1", "min() < a",
    "sum(a) < 1", "(yield) == a", "await a < 1", "a, b", "[a < 1]", "(x for x in a) == b", "__import__('os').system('x') == a",
    "abs.__class__ == a", "a < (b for b in [1])", "a < 1; b < 2", "a = 1", "a < 1 # comment\nb < 2", "not a.b", "'%s' % a == 'x'",
    "abs(a)(b) < 1", "min(a)[0] < 1", "a < {}['x']", "import os", "a < 0x", "print(a) < 1", "eval('a') < 1", "a.__class__ == b",
]  # fmt: skip


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_is_not_of_the_language_is_refused(text):
    with pytest.raises(ExpressionError):
        Expression(text)


ALLOWED_NODES = (
    *(ast.Expression, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple),
    *(ast.Call, ast.And, ast.Or, ast.Not, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Eq, ast.NotEq, ast.Lt, ast.LtE),
    *(ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
PIECES = st.sampled_from(
    ["a", "b", "1", "'x'", "min", "abs", "(", ")", "[", "]", "{", "}", ".", ",", ":", ":=", "=", "==", "<", "<=", "+", "-", "*",
     "**", "/", "//", "%", "@", "~", "|", "&", "^", "<<", " and ", " or ", " not ", " in ", " is ", " if ", " else ", " for ",
     " lambda ", "f'{a}'", "b''", "1j", "...", " await ", " yield ", "*", "#", "\n", "\\", " ", "_", "__class__", *keyword.kwlist]
)  # fmt: skip


@pytest.mark.slow
@settings(MANY, max_examples=2000)
@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20))
@example("\x00a < 1")
@example("a <\ud800 1")
def test_whatever_is_accepted_consists_of_the_language(text):
    try:
        Expression(text)
    except ExpressionError:
        return
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        assert isinstance(node, ALLOWED_NODES), ast.dump(node)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id in ("abs", "min", "max")
            assert not node.keywords
        if isinstance(node, ast.Constant):
            assert node.value is None or isinstance(node.value, bool | int | float | str)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "a" + ")" * 400 + " < 1",
        "not " * 200 + "a < 1",
        "a < " + "-" * 900 + "1",
        "a < 1" + " + 1" * 200,
        "a < 1" * 100_000,
        "[" * 300 + "]" * 300 + " == a",
        "a < " + "9" * 5000,
        "a < 1 and " * 90 + "b < " + "(" * 90,
        "a" * (MAX_CHARACTERS - 3) + " < 10",
    ],
    ids=lambda text: f"{text[:8]}… {len(text)}",
)
def test_huge_conditions_are_refused_at_once(text):
    began = time.perf_counter()
    with pytest.raises(ExpressionError):
        Expression(text)
    assert time.perf_counter() - began < 0.5


def test_conditions_as_long_and_as_deep_as_allowed_are_taken():
    assert Expression("a" * (MAX_CHARACTERS - 4) + " < 1").holds({"a" * (MAX_CHARACTERS - 4): 0})
    deep = "a < " + "-" * (MAX_DEPTH - 1) + "1"
    assert Expression(deep).holds({"a": -2}) is ((-1) ** (MAX_DEPTH - 1) > -2)


@pytest.mark.parametrize("text", ["word * 9999999999 == 'x'", "[1] * 9999999999 == a", "'ab' * a == 'x'", "word + word == 'x'"])
def test_text_and_lists_are_not_multiplied_and_fill_no_memory(text):
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError, match="cannot be computed"):
            Expression(text).holds({**NAMES, "a": 10**10})
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_numbers_do_not_grow_without_end():
    """A thousand characters hold 250 factors of 2**53: fifteen thousand bits, and no power to make more."""
    text = "a" + "*a" * 28 + " > 0"
    began = time.perf_counter()
    assert Expression(text).holds({"a": 2**53})
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize("values", [{"a": None, "b": 1}, {"a": "x", "b": 1}, {"a": True, "b": 1}, {"a": [1], "b": 1}])
def test_what_cannot_be_computed_is_told_with_its_values(values):
    with pytest.raises(ExpressionError, match=r"'a \+ 1 < b' cannot be computed for a .*, b 1"):
        Expression("a + 1 < b").holds(values)


def test_a_division_by_zero_keeps_no_condition():
    assert not Expression("1 / a < 5").holds({"a": 0})
    assert not Expression("1 / a > 5").holds({"a": 0})
    assert Expression("1 / a < 5").violation({"a": 0}) > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a < < b", "'a < < b' is no condition near column 5; such as: a <= b, or: c == 'x' and a < 5"),
        ("a", "'a' compares nothing; such as: a <= b"),
        ("1 < 2", "'1 < 2' names no parameter and no metric"),
        ("a ** 2 < 1", "'a ** 2' is not understood; allowed: names, numbers, text, + - * /, =="),
        ("", "'' is no condition"),
    ],
)
def test_the_message_says_what_is_wrong(text, message):
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("text", "limit"), [("rmse <= 0.7", True), ("1 < a + b", True), ("a < b < c", False), ("a == 1", False),
                                             ("a < 1 and b < 1", False), ("not a < 1", False), ("a in [1]", False)])  # fmt: skip
def test_a_limit_is_one_comparison_by_size(text, limit):
    assert Expression(text).is_limit is limit
    if not limit:
        with pytest.raises(ExpressionError, match="is not one limit"):
            Expression(text).violation({"a": 1, "b": 1, "c": 1})


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [("a <= 0.7", 1.0, 0.3), ("a <= 0.7", 0.5, -0.2), ("a >= 0.7", 0.5, 0.2), ("a < 1", 1.0, 1e-12), ("a <= 1", 1.0, 0.0)],
)
def test_a_violation_is_by_how_much(text, value, expected):
    assert Expression(text).violation({"a": value}) == pytest.approx(expected)
