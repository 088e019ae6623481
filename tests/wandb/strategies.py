"""W&B sweep files by chance: everything that W&B's schema allows."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from wine_sweep.wandb.translate import MACROS

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
numbers = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
positive = st.integers(1, 10**6) | st.floats(1e-6, 1e6)
exponents = st.integers(-20, 20) | st.floats(-20, 20)
steps = st.sampled_from([1, 2, 8, 0.1, 0.25, 0.3, 1e-3, 1e-12, 3.0])
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats() | st.text(max_size=8)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)


_NOTHING = st.just({})


@st.composite
def ranges(draw, ends, kinds, extra=_NOTHING):
    low, high = sorted([draw(ends), draw(ends)])
    return {"distribution": draw(st.sampled_from(kinds)), "min": low, "max": high, **draw(extra)}


q = _NOTHING | st.fixed_dictionaries({"q": steps})
shape = st.fixed_dictionaries({}, optional={"mu": st.floats(-20, 20), "sigma": st.floats(0, 5)})
choices = st.lists(values, min_size=1, max_size=4)
parameters = st.one_of(
    st.fixed_dictionaries({"value": values}),
    st.fixed_dictionaries({"value": values, "distribution": st.just("constant")}),
    choices.map(lambda listed: {"values": listed}),
    choices.map(lambda listed: {"values": listed, "distribution": "categorical"}),
    choices.map(lambda listed: {"values": listed, "probabilities": [1 / len(listed)] * len(listed)}),
    st.tuples(numbers, numbers).map(sorted).map(lambda ends: {"min": ends[0], "max": ends[1]}),
    ranges(st.integers(-(10**6), 10**6), ["int_uniform"]),
    ranges(numbers, ["uniform"]),
    ranges(numbers, ["q_uniform"], q),
    ranges(exponents, ["log_uniform", "inv_log_uniform"]),
    ranges(exponents, ["q_log_uniform"], q),
    ranges(positive, ["log_uniform_values", "inv_log_uniform_values"]),
    ranges(positive, ["q_log_uniform_values"], q),
    st.tuples(st.sampled_from(["normal", "log_normal"]), shape).map(lambda pair: {"distribution": pair[0], **pair[1]}),
    st.tuples(st.sampled_from(["q_normal", "q_log_normal"]), shape, q).map(
        lambda all_: {"distribution": all_[0], **all_[1], **all_[2]}
    ),
    st.fixed_dictionaries({"distribution": st.just("beta")}, optional={"a": positive, "b": positive}),
    st.tuples(st.fixed_dictionaries({"distribution": st.just("q_beta")}, optional={"a": positive}), q).map(
        lambda pair: {**pair[0], **pair[1]}
    ),
)
spaces = st.dictionaries(
    names, parameters | st.dictionaries(names, parameters, min_size=1, max_size=2).map(lambda inner: {"parameters": inner}),
    min_size=1, max_size=4,
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
metrics = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "goal": st.sampled_from(["minimize", "maximize"]),
        "target": numbers,
        "impute": st.sampled_from(["latest", "best", "worst"]),
        "impute_while_running": st.sampled_from(["latest", "best", "worst", "false"]),
    },
)
etas = st.integers(2, 9) | st.floats(1.01, 9)
stopping = st.fixed_dictionaries(
    {"type": st.just("hyperband"), "min_iter": st.integers(1, 50)},
    optional={"max_iter": st.integers(50, 500), "s": st.integers(0, 5), "eta": etas, "strict": st.booleans()},
) | st.fixed_dictionaries(
    {"type": st.just("hyperband"), "max_iter": st.integers(1, 500), "s": st.integers(0, 300)}, optional={"eta": etas}
)
words = st.lists(
    st.sampled_from(
        [
            *(f"${{{macro}}}" for macro in (*MACROS, "envvar:HOME", "unheard_of")),
            *("a{b", "x}y", "${args}tail", "A=1", "--home=${envvar:HOME}"),
        ]
    )
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    max_size=6,
)
sweeps = st.fixed_dictionaries(
    {"method": st.sampled_from(["grid", "random", "bayes", "custom"]), "parameters": spaces},
    optional={
        "name": texts,
        "project": texts,
        "description": st.text(max_size=60),
        "program": st.sampled_from(["train.py", "a b.py", "{x}.py", "src/train.py"]),
        "command": words,
        "run_cap": st.integers(1, 10**6),
        "metric": metrics,
        "entity": texts,
        "controller": st.just({"type": "local"}),
        "apiVersion": st.just("1"),
        "kind": st.just("sweep"),
        "job": texts,
        "prior_runs": st.lists(texts, max_size=2),
        "scheduler": st.just({"engine": "optuna"}),
    },
)


@st.composite
def sweeps_with_stopping(draw):
    sweep = draw(sweeps)
    if "metric" in sweep and draw(st.booleans()):
        sweep["early_terminate"] = draw(stopping)
    return sweep


def joined_names(space):
    for name, parameter in space.items():
        yield from [f"{name}.{inner}" for inner in parameter["parameters"]] if "parameters" in parameter else [name]


def are_distinct(space):
    found = list(joined_names(space))
    return len(set(found)) == len(found)


def is_finite(value):
    return not isinstance(value, float) or math.isfinite(value)
