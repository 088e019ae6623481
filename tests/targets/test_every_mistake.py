"""A config with several mistakes: each is named in the first answer, once, and nothing that goes when the others are mended."""

from __future__ import annotations

import itertools
import textwrap

import pytest

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.targets.prepare import prepare

GOOD = {
    "estimator": """
        data: {source: t.csv, target: y, groups: batch, weights: n}
        model: {estimator: sklearn.linear_model.ElasticNet, params: {max_iter: 50}}
        search: {method: random, trials: 3, parameters: {alpha: [0.1, 1], l1_ratio: {low: 0.1, high: 0.9}}}
        evaluation: {cv: {folds: 3}, metrics: [rmse, mae]}
        objective: {metric: rmse}
        selection: {constraints: [mae <= 9]}
        registry: {name: wine, gate: {slices: [a]}}
    """,
    "families": """
        data: {source: t.csv, target: y, groups: batch}
        models:
          svr:
            pipeline: {scale: sklearn.preprocessing.StandardScaler, svr: sklearn.svm.SVR}
            parameters: {svr__kernel: [linear, rbf], svr__gamma: {low: 0.1, high: 1, when: {svr__kernel: [rbf]}}}
          ridge: {estimator: sklearn.linear_model.Ridge, parameters: {alpha: {low: 0.1, high: 10}}}
        search: {method: tpe, trials: 4, pruner: {type: median}}
        evaluation: {cv: 3}
        objective: {metric: mae}
        registry: {name: wine, gate: {slices: [b]}}
    """,
    "function": """
        data: {source: t.csv, target: y}
        model: {function: train.py:train}
        search: {method: tpe, trials: 4, parameters: {alpha: [0.1, 1], depth: {low: 1, high: 9}}, constraints: [depth < 9]}
        objective: {metric: rmse}
        registry: {name: wine, gate: {slices: [b]}}
    """,
    "command": """
        model: {command: [python, train.py, "{alpha}", "--depth={depth}"]}
        search: {method: random, trials: 4, parameters: {alpha: [0.1, 1], depth: {low: 1, high: 9}}, initial: [{depth: 3}]}
        objective: {metric: rmse}
        execution: {workers: 2}
    """,
}

MISTAKES = {
    "estimator": [
        ("target: y,", "target: yy,", "data.target: there is no column 'yy'"),
        ("groups: batch", "groups: bacth", "data.groups: there is no column 'bacth'"),
        ("weights: n", "weihgts: n", "data.weihgts: unknown key; did you mean 'weights'?"),
        ("weights: n}", "weights: n, seed: -1}", "data.seed: must be at least 0"),
        ("ElasticNet,", "ElasticNte,", "model.estimator: there is no 'ElasticNte' in sklearn.linear_model"),
        ("max_iter: 50", "max_itr: 50", "model.params.max_itr: ElasticNet has no parameter 'max_itr'"),
        ("params: {max_iter: 50}", "parms: {max_iter: 50}", "model.parms: unknown key; did you mean 'params'?"),
        ("method: random", "metod: random", "search.metod: unknown key; did you mean 'method'?"),
        ("search: {", "serach: {", "serach: unknown key; did you mean 'search'?"),
        ("trials: 3", "trials: three", "search.trials: expected a whole number"),
        ("trials: 3,", "trials: 3, sampler: {seeed: 1},", "search.sampler"),
        ("alpha: [0.1", "alhpa: [0.1", "search.parameters.alhpa: ElasticNet has no parameter 'alhpa'"),
        ("high: 0.9}", "high: 0.01}", "search.parameters.l1_ratio: `low` must be below `high`"),
        ("high: 0.9}", "hihg: 0.9}", "search.parameters.l1_ratio.hihg: unknown key; did you mean 'high'?"),
        ("high: 0.9}}", "high: 0.9}}, constraints: [alpha < lratio]", "search.constraints.0: 'lratio' is not searched"),
        ("high: 0.9}}", "high: 0.9}}, initial: [{alpah: 1}]", "search.initial.0.alpah: is not searched"),
        ("folds: 3", "folds: 1", "evaluation.cv.folds: must be at least 2"),
        ("folds: 3", "folsd: 3", "evaluation.cv.folsd: unknown key; did you mean 'folds'?"),
        ("metrics: [rmse, mae]", "metrics: [rmse, maee, mae]", "evaluation.metrics.1: there is no metric 'maee'"),
        ("metric: rmse", "metric: rmes", "objective.metric: there is no metric 'rmes'"),
        ("[mae <= 9]", "[meae <= 9]", "selection.constraints.0: 'meae' is not measured"),
        ("slices: [a]", "slices: [a, z]", "registry.gate.slices.1: there is no column 'z'"),
        ("gate: {", "gate: {confidense: 0.9, ", "registry.gate.confidense: unknown key; did you mean 'confidence'?"),
        ("gate: {", "gate: {min_rows: 1, ", "registry.gate.min_rows: must be at least 2"),
        ("name: wine, ", "name: 'a/b', ", "registry.name: a registered model's name holds none of"),
    ],
    "families": [
        ("target: y", "target: yy", "data.target: there is no column 'yy'"),
        ("StandardScaler", "StandrdScaler", "models.svr.pipeline.scale: there is no 'StandrdScaler'"),
        ("svm.SVR", "svm.SVVR", "models.svr.pipeline.svr: there is no 'SVVR'"),
        ("svr__kernel: [linear, rbf]", "svr__krenel: [linear, rbf]", "models.svr.parameters.svr__krenel: "),
        ("high: 1,", "high: 0,", "models.svr.parameters.svr__gamma: `low` must be below `high`"),
        ("alpha: {low", "alfa: {low", "models.ridge.parameters.alfa: Ridge has no parameter 'alfa'"),
        ("linear_model.Ridge", "linear_modl.Ridge", "models.ridge.estimator: there is no module 'sklearn.linear_modl'"),
        ("ridge: {", "ridge: {parms: {tol: 1}, ", "models.ridge.parms: unknown key"),
        ("type: median", "type: median, warmup: 1", "search.pruner.warmup: "),
        ("metric: mae", "metric: maee", "objective.metric: there is no metric 'maee'"),
        ("slices: [b]", "slices: [z]", "registry.gate.slices.0: there is no column 'z'"),
        ("cv: 3", "cv: 3, seeds: 0", "evaluation.seeds: must be at least 1"),
    ],
    "function": [
        ("target: y", "target: yy", "data.target: there is no column 'yy'"),
        ("py:train", "py:trian", "model.function: there is no function 'trian'"),
        ("train.py:train}", "train.py:train, folder: .}", "model.folder: `folder` goes with `command`"),
        ("trials: 4", "trials: 0", "search.trials: must be at least 1"),
        ("high: 9", "high: 0", "search.parameters.depth: `low` must be below `high`"),
        ("[depth < 9]", "[dpeth < 9]", "search.constraints.0: 'dpeth' is not searched"),
        ("metric: rmse", "metric: speed", "objective.metric: say which way speed is better"),
        ("slices: [b]", "slices: [z]", "registry.gate.slices.0: there is no column 'z'"),
        ("trials: 4,", "trials: 4, budget: {rows: 0.5}, pruner: median,", "search.budget: a function reports its own steps"),
    ],
    "command": [
        ("[python,", "[pyhton,", "model.command.0: there is no program 'pyhton'"),
        ("{alpha}", "{alhpa}", "model.command.2: {alhpa} is no parameter"),
        ("={depth}", "={dept}", "model.command.3: {dept} is no parameter"),
        ("method: random", "method: randm", "search.method: got 'randm'"),
        ("{depth: 3}", "{depth: 30}", "search.initial.0.depth: 30 lies outside the space"),
        ("{depth: 3}", "{dpeth: 3}", "search.initial.0.dpeth: is not searched"),
        ("high: 9", "high: nine", "search.parameters.depth.high: expected a number"),
        ("workers: 2", "wokers: 2", "execution.wokers: unknown key; did you mean 'workers'?"),
        ("metric: rmse", "metric: speed", "objective.metric: say which way speed is better"),
        ("execution: {", "data: {source: t.csv}\nexecution: {", "data: a command reads its data and measures by itself"),
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(
        "a,b,batch,n,y\n" + "".join(f"{row},{row % 3},B{row // 3},{row % 5 + 1},{row * 7 % 11}.5\n" for row in range(60))
    )
    (tmp_path / "train.py").write_text("def train(params, context):\n    return {'rmse': 1.0}\n")
    return tmp_path


def problems(folder, text, trust=(".",)):
    draft = parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c")
    try:
        prepare(draft, trusted=trust)
    except ConfigError as error:
        return [str(each).removeprefix("c.yaml:") for each in error.problems]
    return []


SPOILT = {
    "model.estimator": ("model.params.max_itr", "search.parameters.alhpa", "search.parameters.l1"),
    "models.svr.pipeline": ("models.svr.parameters.svr__krenel",),
    "models.ridge.estimator": ("models.ridge.parameters.alfa",),
    "search.parameters.depth": ("search.initial.0.depth",),
}
"""What cannot be said while something else is not known: which estimator is meant, what a parameter may be."""


def together(mistakes):
    """Yield neighbours by two, which are of one section mostly, and groups of up to five from all over."""
    for start, distance in itertools.product(range(len(mistakes)), (1, 2, 3)):
        yield (mistakes[start], mistakes[(start + distance) % len(mistakes)])
    for start, stride in itertools.product(range(len(mistakes)), (3, 4)):
        yield tuple(dict.fromkeys(mistakes[(start + stride * step) % len(mistakes)] for step in range(stride + 1)))


def written(good, mistakes):
    """Return the config with all of the mistakes; None where one would write over another, or what spoils it for good."""
    text = good
    places = [place for *_, place in mistakes]
    for right, wrong, place in mistakes:
        spoilt = next((names for spoiler, names in SPOILT.items() if place.startswith(spoiler)), ())
        if any(other.startswith(spoilt) for other in places) if spoilt else False:
            return None
        if text.count(right) != 1 or wrong in text:
            return None
        text = text.replace(right, wrong)
    return text if all(wrong in text for _, wrong, _ in mistakes) else None


@pytest.mark.parametrize("kind", GOOD)
def test_each_mistake_is_named_in_the_first_answer_and_nothing_that_follows_from_it(kind, folder):
    good, tried = textwrap.dedent(GOOD[kind]), 0
    assert problems(folder, good) == []
    for mistakes in [*((mistake,) for mistake in MISTAKES[kind]), *together(MISTAKES[kind])]:
        text = written(good, mistakes)
        if text is None:
            continue
        tried += 1
        found = [line.partition(": ")[2] for line in problems(folder, text)]
        names = {line: [place for *_, place in mistakes if line.startswith(place)] for line in found}
        assert len(found) == len(mistakes), (text, found)
        assert sorted(itertools.chain(*names.values())) == sorted(place for *_, place in mistakes), (text, found)
    assert tried > len(MISTAKES[kind]) * 2


OWN = "open('imported', 'w').close()\nimport optuna\nclass Own(optuna.samplers.RandomSampler): ..."


@pytest.mark.parametrize(
    ("file", "trust", "expected"),
    [
        ("own.py", ["train.py"], {"runs code of your own; run with --trust own.py if you trust it": "untrusted"}),
        ("none.py", ["."], {"there is no file {folder}/none.py": "missing-file"}),
        ("own.py", ["."], {"Own has no such option; it has no options": "invalid"}),
    ],
)
def test_a_sampler_of_ones_own_is_checked_among_other_mistakes_and_imported_only_when_it_is_trusted(
    file, trust, expected, folder
):
    (folder / "own.py").write_text(OWN)
    text = textwrap.dedent(GOOD["function"]).replace("method: tpe", f'method: "{file}:Own", sampler: {{sede: 1}}')
    text = text.replace("metric: rmse", "metric: speed").replace("[depth < 9]", "[dpeth < 9]")
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c"), trusted=trust)
    of_sampler = {
        each.message: each.code
        for each in caught.value.problems
        if each.path[:2] in (("search", "method"), ("search", "sampler"))
    }
    assert {key.format(folder=folder): code for key, code in expected.items()} == of_sampler
    assert ("search", "constraints", 0) in [each.path for each in caught.value.problems]
    assert (folder / "imported").exists() == (file == "own.py" and trust == ["."])


def test_a_key_that_is_given_twice_hides_nothing(folder):
    text = textwrap.dedent(GOOD["function"]).replace("trials: 4,", "trials: 4, trials: 5,")
    assert [line.partition(": ")[2] for line in problems(folder, text)] == ["search.trials: given twice"]
    text = text.replace("target: y", "target: z").replace("metric: rmse", "metirc: rmse")
    assert [line.partition(": ")[2].partition(":")[0] for line in problems(folder, text)] == [
        "data.target",
        "search.trials",
        "objective.metirc",
    ]


def test_what_is_trusted_in_vain_is_named_with_the_rest(folder):
    text = textwrap.dedent(GOOD["command"]).replace("workers", "wokers")
    found = problems(folder, text, trust=["trian.py"])
    assert [line.partition(":")[0] for line in found] == ["5", "--trust"]
    assert found[1].startswith("--trust: 'trian.py' is no file or folder here")


@pytest.mark.parametrize("more", ["constraints: [alpha < 9]", "initial: [{alpha: 1, l1_ratio: 7}]"])
def test_a_name_that_is_right_is_not_wrong_where_its_declaration_is_misspelt(more, folder):
    text = textwrap.dedent(GOOD["estimator"]).replace("alpha: [0.1, 1]", "alhpa: [0.1, 1]")
    text = text.replace("high: 0.9}}", f"high: 0.9}}}}, {more}")
    text = text.replace("metrics: [rmse, mae]", "metrics: [rmse, mea]")
    assert [line.partition(": ")[2].partition(":")[0] for line in problems(folder, text)] == [
        "search.parameters.alhpa",
        *(["search.initial.0.l1_ratio"] if "initial" in more else []),
        "evaluation.metrics.1",
    ]


def test_the_values_of_a_key_that_is_misspelt_are_looked_at_too(folder):
    text = textwrap.dedent(GOOD["estimator"]).replace("search: {", "serach: {").replace("target: y", "traget: z")
    text = text.replace("alpha: [0.1, 1]", "alpha: [0.1, -1]")
    places = [line.split(": ")[:2] for line in problems(folder, text)]
    column = text.splitlines()[3].index("-1") + 1
    assert places == [
        ["2:23", "data.traget"],
        ["2:31", "data.target"],
        ["4:1", "serach"],
        [f"4:{column}", "search.parameters.alpha.1"],
    ]
