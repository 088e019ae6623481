"""What holds for every text: an error is a ConfigError, what is dumped reads back, scalars are YAML 1.2's."""

import contextlib
import json
import math
import pathlib
import re
import shutil
import string
import warnings

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from wine_sweep.config import SweepConfig, dump_config, parse_config
from wine_sweep.config.yaml_io import MAX_DIGITS, parse_scalar, read_yaml
from wine_sweep.errors import ConfigError
from wine_sweep.targets.prepare import prepare

GOOD = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))
MANY = settings(deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(MANY, max_examples=60)

PIECES = [
    "a", "b", ":", ": ", "\n", "\n  ", "\n- ", "- ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<: ", "!!int ", "!!str ", "!x ",
    "'", '"', "|\n", ">-\n", "---\n", "...\n", "# ", "\t", "1e-3", "null", "? ", "%", "@", "\\", "\r\n", "é", "\x00", "\ufeff",
    "\u2028", "data: ", "model: ", "search: ", "parameters: ", "alpha: ", "low: ", "choices: ", "estimator: ", "0x", "9" * 400,
]  # fmt: skip


def parse(content, folder=pathlib.Path()):
    return parse_config(content, source="c.yaml", folder=folder, default_name="c")


def raises_nothing_but_config_errors(content, folder=None):
    """Whether the config is good all the way (or, without a folder, as far as the schema)."""
    try:
        draft = parse(content, folder or pathlib.Path())
        if folder is None:
            return not draft.problems
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepare(draft)
    except ConfigError as error:
        problems = error.problems
    else:
        return True
    assert problems
    assert all(problem.message and str(problem.place).startswith("c.yaml") for problem in problems)
    return False


@MANY
@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_config_error(text):
    raises_nothing_but_config_errors(text.encode("utf-8", "surrogatepass"))


@MANY
@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_config_error(content):
    raises_nothing_but_config_errors(content)


@settings(MANY, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_nothing_like_yaml_raises_anything_but_a_config_error(text):
    raises_nothing_but_config_errors(text.encode())


@pytest.mark.slow
@MANY
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_override_raises_anything_but_a_config_error(value):
    good = b"data: {source: a.csv}\nmodel: {estimator: a.b}\nsearch: {parameters: {c: [1]}}\n"
    for path in ("search.parameters.c", "data", "model.params.x", "name"):
        with contextlib.suppress(ConfigError):
            parse_config(good, source="c.yaml", folder=pathlib.Path(), default_name="c", overrides=[f"{path}={value}"])


# Edits of good configs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Small tables under the names that the good configs use."""
    folder = tmp_path_factory.mktemp("edited")
    rows = [(row % 17, row * 7 % 23, 4 + row * 5 % 3) for row in range(60)]
    (folder / "wine.csv").write_text("a,b,quality\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    (folder / "own-data.csv").write_text("months,visits,left\n" + "".join(f"{a},{b},{c % 2}\n" for a, b, c in rows))
    batches = "".join(f"B{a},{b % 4},{at},{c}.5\n" for at, (a, b, c) in enumerate(rows))
    (folder / "groups-and-weights.csv").write_text("batch,readings,moisture,hardness\n" + batches)
    shutil.copy(GOOD[0].with_name("penguins.csv"), folder)
    days = "".join(f"2026-{2 - at // 30:02d}-{at % 28 + 1:02d},{a},{b}\n" for at, (a, b, _) in enumerate(rows))
    (folder / "time.csv").write_text("date,rain,rented\n" + days)
    (folder / "imbalanced.csv").write_text(
        "amount,hour,fraud\n" + "".join(f"{a},{b},{at % 2}\n" for at, (a, b, _) in enumerate(rows))
    )
    reviews = "".join(f"not good {a} at {b},{'ab'[c % 2]},{'xy'[at % 2]}\n" for at, (a, b, c) in enumerate(rows))
    (folder / "text.csv").write_text("review,product,outcome\n" + reviews)
    return folder


def small(path):
    """A good config's text, on a small table and without its comments, so that an edit is seldom lost on one."""
    text = re.sub(r"source: wine-quality\S*", "source: wine.csv, target: quality", path.read_text())
    text = re.sub(r" *#.*", "", text).replace("source: wine.csv, target: quality", "source: wine.csv\n  target: quality")
    return re.sub(r"(target: quality)\n  target: quality", r"\1", text)


def test_the_configs_that_are_edited_are_good(folder):
    assert len(GOOD) >= 4
    for path in GOOD:
        assert raises_nothing_but_config_errors(small(path).encode(), folder), path.name


@st.composite
def edited_text(draw, text):
    for _ in range(draw(st.integers(1, 3))):
        lines = text.split("\n")
        at, line = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["delete", "insert", "replace", "delete line", "repeat line", "swap lines"]))
        new = draw(st.sampled_from([*": -,[]{}&*!|>'\"%@`#~?\t\n.e", "0", "null", "a", "<<", "é", "\x07"]))
        if kind.endswith("line"):
            lines[line : line + 1] = [] if kind == "delete line" else [lines[line]] * 2
            text = "\n".join(lines)
        elif kind == "swap lines":
            lines[line - 1], lines[line] = lines[line], lines[line - 1]
            text = "\n".join(lines)
        else:
            text = text[:at] + ("" if kind == "delete" else new) + text[at + (kind != "insert") :]
    return text or "x"


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
@FEW
@given(data=st.data())
def test_no_edit_of_a_good_config_raises_anything_but_a_config_error(path, data, folder):
    raises_nothing_but_config_errors(data.draw(edited_text(small(path))).encode(), folder)


WORDS = [
    "", "a", "rbf", "on", "1e-3", "passthrough", "steps", "sklearn.svm.SVR", "sklearn.linear_model.LogisticRegression",
    "sklearn.preprocessing.StandardScaler", "sklearn.ensemble.BaggingRegressor", "sklearn", "os.path", "..", "rmse", "f1", "grid",
    "random", "10m", "own-data.csv", "wine.csv", "nowhere.csv", "quality", "left", "batch",
    "readings", "date", "time.csv", "2026-01-09", "leave_one_out",
]  # fmt: skip
SPLITS = ["folds", "holdout", "time_series", "gap", "column", "leave_one_out", "time", "test", "since"]
KEYS = st.sampled_from(["estimator", "params", "low", "high", "num", "step", "log", "choices", *SPLITS, "metric", "a", "C"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 60), st.sampled_from([-1.5, 0.0, 0.1, 0.5, 1.0, 1e300]), st.sampled_from(WORDS)
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)


def paths_in(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from paths_in(item, (*path, key))


def with_value(value, path, new):
    if not path:
        return new
    items = dict(value) if isinstance(value, dict) else list(value)
    items[path[0]] = with_value(value[path[0]], path[1:], new)
    return items


@pytest.mark.slow
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
@FEW
@given(data=st.data())
def test_no_other_value_in_a_good_config_raises_anything_but_a_config_error(path, data, folder):
    tree = read_yaml(small(path).encode(), "good").value
    for _ in range(data.draw(st.integers(1, 2))):
        where = data.draw(st.sampled_from([found for found in paths_in(tree) if found]))
        tree = with_value(tree, where, data.draw(JSON))
    raises_nothing_but_config_errors(json.dumps(tree).encode(), folder)


@pytest.mark.slow
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in GOOD])
@settings(FEW, phases=[Phase.generate])  # while it fails, shrinking would take a minute
@given(data=st.data())
def test_no_fixed_parameter_raises_anything_but_a_config_error(path, data, folder):
    tree = read_yaml(small(path).encode(), "good").value
    names = ["steps", "memory", "verbose", "scale", "svr", "impute", "logistic", "svr__C", "svr__kernel__a", "alpha", "max_iter"]
    model = tree["model"] if "model" in tree else next(iter(tree["models"].values()))
    model["params"] = data.draw(st.dictionaries(st.sampled_from(names), JSON, min_size=1, max_size=2))
    raises_nothing_but_config_errors(json.dumps(tree).encode(), folder)


# Round trip --------------------------------------------------------------------------------------------------------------

ODD_WORDS = [
    "on", "off", "yes", "no", "null", "~", "", " ", "1e-3", "1E3", ".5", "+1", "0x1F", "0o17", "010", "1_000", "1:30",
    "2024-01-01", ".inf", ".nan", "-", "--", "---", "...", "?", ":", ": ", "a: b", "a #b", "#", "&a", "*a", "!a", "|", ">",
    "%", "@", "`", "'", '"', "=", "<<", "{", "}", "[", "]", ",", "\n", "a\n", "\n a", "\t", "\x00", "\x07", "\x7f", "\x85",
    "\u2028", "\ufeff", "é", "中", "😀", "true", "TRUE", "y", "N", "\\", "a\\n", "x" * 200, "a b " * 60,
]  # fmt: skip
TEXT = st.sampled_from(ODD_WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NAMES = TEXT.filter(bool)
PATHS = NAMES.filter(lambda name: "\0" not in name and not name.startswith("~") and len(name.encode()) <= 255)
ODD_FLOATS = [
    0.0,
    -0.0,
    0.1 + 0.2,
    1e-7,
    1e22,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    1.0,
    1e16,
    123456789.123456789,
]
NUMBERS = st.sampled_from(ODD_FLOATS) | st.floats(allow_nan=False) | st.integers(-(10**20), 10**20)


def anything(numbers):
    return st.recursive(
        st.none() | st.booleans() | numbers | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    )


ANYTHING = anything(NUMBERS)
FIXED = ANYTHING
FINITE = st.sampled_from([value for value in ODD_FLOATS if math.isfinite(value)]) | st.integers(-(10**9), 10**9)


@st.composite
def ranges(draw):
    low, high = sorted([draw(FINITE), draw(FINITE)])
    if low >= high:
        low, high = 0.1, 1
    form = {"low": low, "high": high}
    if low > 0 and draw(st.booleans()):
        form["log"] = True
    form["num"] = draw(st.integers(2, 9))
    if isinstance(low, int) and isinstance(high, int) and draw(st.booleans()):
        form["type"] = "int"
    return form


def distinct(values):
    return list({json.dumps(value, sort_keys=True, ensure_ascii=False): value for value in values}.values())


CHOICES = st.lists(ANYTHING, min_size=1, max_size=4).map(distinct)
CONSTANTS = st.none() | st.booleans() | NUMBERS | TEXT
PARAMETERS = st.dictionaries(
    NAMES, st.one_of(CHOICES, CHOICES.map(lambda it: {"choices": it}), ranges(), CONSTANTS), min_size=1, max_size=3
)


@st.composite
def sweep_configs(draw):
    parameters = draw(PARAMETERS)
    optional = {
        "experiment": NAMES,
        "evaluation": st.fixed_dictionaries(
            {},
            optional={
                "cv": st.integers(2, 9)
                | st.fixed_dictionaries(
                    {"folds": st.integers(2, 9), "repeats": st.integers(1, 3), "seed": st.integers(0, 2**32 - 1)}
                )
                | st.fixed_dictionaries({"holdout": st.floats(0.01, 0.99)}, optional={"stratified": st.booleans()}),
                "metrics": st.lists(PATHS, min_size=1, max_size=3),
                "bootstrap": st.integers(40, 9999) | st.just(0) | st.fixed_dictionaries({"confidence": st.floats(0.01, 0.99)}),
            },
        ),
        "objective": st.fixed_dictionaries({"metric": NAMES}, optional={"direction": st.sampled_from(["minimize", "maximize"])}),
        "execution": st.fixed_dictionaries(
            {},
            optional={
                "workers": st.integers(1, 64),
                "backend": st.sampled_from(["processes", "dask"]),
                "trial_timeout": st.sampled_from(["10m", 0.5]),
                "memory_limit": st.sampled_from(["4GB", "64MiB"]) | st.integers(2**26, 2**50),
                "retries": st.integers(0, 100)
                | st.dictionaries(st.sampled_from(["worker", "timeout", "memory", "error"]), st.integers(0, 100)),
                "max_failures": st.integers(1, 99),
                "grace": st.sampled_from(["20s", 1]),
                "tracking_timeout": st.sampled_from(["10m", 1]),
            },
        ),
        "registry": st.fixed_dictionaries(
            {"name": st.just("a b é")},
            optional={
                "stage": st.sampled_from(["Staging", "Production"]),
                "gate": st.booleans()
                | st.fixed_dictionaries(
                    {},
                    optional={
                        "min_improvement": st.floats(0, 9),
                        "confidence": st.floats(0.51, 0.99),
                        "min_rows": st.integers(2, 99),
                        "slices": st.lists(NAMES, max_size=2, unique=True),
                        "slice_margin": st.floats(0, 9),
                        "seed": st.integers(0, 2**32 - 1),
                    },
                ),
            },
        ),
    }
    params = st.dictionaries(NAMES.filter(lambda name: name not in parameters), FIXED, max_size=3)
    steps = st.dictionaries(
        NAMES.filter(lambda name: "__" not in name and name != "steps"),
        NAMES | st.fixed_dictionaries({"estimator": NAMES}, optional={"params": params}),
        min_size=1,
        max_size=3,
    )
    search = st.fixed_dictionaries(
        {"parameters": st.just(parameters)},
        optional={
            "trials": st.integers(1, 99),
            "timeout": st.sampled_from(["10m", "1h30m", "90", 0.5, 3]).map(lambda it: 90 if it == "90" else it),
            "seed": st.integers(0, 2**32 - 1),
            "initial": st.lists(st.dictionaries(NAMES, ANYTHING, max_size=2), max_size=2).map(distinct),
        },
    )
    tree = draw(
        st.fixed_dictionaries(
            {
                "name": NAMES,
                "data": st.fixed_dictionaries(
                    {"source": PATHS},
                    optional={
                        "target": NAMES,
                        "test_size": st.floats(0.001, 0.999),
                        "duplicates": st.sampled_from(["drop", "keep"]),
                        "groups": NAMES,
                        "weights": NAMES,
                    },
                ),
                "model": st.fixed_dictionaries({"estimator": NAMES}, optional={"params": params})
                | st.fixed_dictionaries({"pipeline": steps}, optional={"params": params}),
                "search": search,
            },
            optional=optional,
        )
    )
    return SweepConfig.model_validate(tree)


@pytest.mark.slow
@MANY
@given(sweep_configs())
def test_a_dumped_config_reads_back_as_an_equal_one(config):
    draft = parse(dump_config(config).encode())
    assert draft.problems == []
    assert draft.config == config
    assert (draft.config.registry is not None and draft.config.registry.asks_for_gate) == (
        config.registry is not None and config.registry.asks_for_gate
    )
    assert draft.config.model_dump_json() == config.model_dump_json()  # 1, 1.0 and true are equal, and not the same


@pytest.mark.slow
@MANY
@given(st.dictionaries(TEXT, anything(NUMBERS.filter(math.isfinite)), min_size=1, max_size=4))
def test_json_reads_as_yaml(tree):
    text = json.dumps(tree)
    assume(not re.search(r"\\ud[89ab]", text))  # a character beyond U+FFFF, which JSON escapes as two; see below
    assert repr(read_yaml(text.encode(), "c.yaml").value) == repr(tree)


def test_an_escaped_pair_of_surrogates_is_one_character():
    assert read_yaml(json.dumps(["😀"]).encode(), "c.yaml").value == ["😀"]


def test_half_a_pair_of_surrogates_is_refused():
    with pytest.raises(ConfigError):
        read_yaml(b'a: "\\ud800"', "c.yaml")


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_an_infinite_or_missing_number_in_a_fixed_parameter_reads_back(number):
    tree = {"source": "a.csv"}, {"estimator": "a.b", "params": {"x": number}}, {"parameters": {"c": [1]}}
    config = SweepConfig.model_validate(dict(zip(("data", "model", "search"), tree, strict=True)))
    back = parse(dump_config(config).encode()).config
    assert repr(back.model.params) == repr(config.model.params)


# Scalars -----------------------------------------------------------------------------------------------------------------

# https://yaml.org/spec/1.2.2/#1032-tag-resolution, word for word
NULL = re.compile(r"null|Null|NULL|~|")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT_10 = re.compile(r"[-+]?[0-9]+")
INT_8 = re.compile(r"0o[0-7]+")
INT_16 = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INF = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
NAN = re.compile(r"\.nan|\.NaN|\.NAN")


READERS = [
    (NULL, lambda text: None),
    (BOOL, lambda text: text.lower() == "true"),
    (INT_10, int),
    (INT_8, lambda text: int(text[2:], 8)),
    (INT_16, lambda text: int(text[2:], 16)),
    (FLOAT, float),
    (INF, lambda text: -math.inf if text.startswith("-") else math.inf),
    (NAN, lambda text: math.nan),
    (re.compile(".*", re.DOTALL), str),
]


def by_the_specification(text):
    return next(read(text) for pattern, read in READERS if pattern.fullmatch(text))


LIKE_SCALARS = st.one_of(
    *(st.from_regex(pattern, fullmatch=True) for pattern in (NULL, BOOL, INT_10, INT_8, INT_16, FLOAT, INF, NAN)),
    st.text("0123456789+-.eExobinfaINFulnNT~_: ", max_size=8),
    st.text(string.printable, max_size=8),
    st.text(max_size=5),
)


@pytest.mark.slow
@settings(MANY, max_examples=1000)
@given(LIKE_SCALARS.filter(lambda text: len(text) <= MAX_DIGITS))
def test_a_scalar_is_what_the_specification_says(text):
    got, expected = parse_scalar(text), by_the_specification(text)
    assert type(got) is type(expected)
    assert repr(got) == repr(expected)


@MANY
@given(NUMBERS)
def test_a_number_that_pyyaml_writes_reads_back(number):
    got = read_yaml(yaml.safe_dump([number]).encode(), "c.yaml").value[0]
    assert repr(got) == repr(number)
