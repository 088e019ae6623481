"""What a person reads who got a config wrong: the whole text of every problem, and where it points."""

import textwrap

import pytest

from wine_sweep.config import parse_config
from wine_sweep.errors import ConfigError
from wine_sweep.targets.prepare import prepare

DATA = "data: {source: table.csv, target: y}"
CLASSES = "data: {source: classes.csv, target: kind}"
MODEL = "model: {estimator: sklearn.linear_model.ElasticNet}"
CLASSIFIER = "model: {estimator: sklearn.linear_model.LogisticRegression}"
PIPELINE = "model: {pipeline: {scale: sklearn.preprocessing.StandardScaler, svr: sklearn.svm.SVR}}"
BAGGING = (
    "model: {estimator: sklearn.ensemble.BaggingRegressor, params: {estimator: %s}}\nsearch: {parameters: {n_estimators: [2]}}"
)
SEARCH = "search: {parameters: {alpha: [0.1, 1]}}"
SEARCH_C = "search: {parameters: {C: [0.1, 1]}}"
SEARCH_SVR = "search: {parameters: {svr__C: [0.1, 1]}}"
REGRESSION_METRICS = "For regression: rmse, mae, mape, median_ae, max_error, r2, or a scikit-learn scorer's name"
CLASSIFICATION_METRICS = (
    "For classification: log_loss, accuracy, balanced_accuracy, f1, f1_macro, f1_micro, f1_weighted, precision, recall, roc_auc,"
    " or a scikit-learn scorer's name"
)
NOT_A_TABLE = (
    "is neither a bundled table (wine-quality-red, wine-quality-white, wine-quality) nor a file of the endings"
    " .csv, .tsv, .txt, .jsonl (also .gz, .bz2, .xz, .zip), .parquet, .feather, .arrow or .xlsx"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    numbers = [(row, row * 7 % 11, row * 3 % 13 + 0.5) for row in range(40)]
    write(folder / "table.csv", "a,b,y", numbers)
    write(folder / "classes.csv", "a,b,kind", [(a, b, "xyz"[a % 3]) for a, b, _ in numbers])
    write(folder / "two.csv", "a,b,kind", [(a, b, "yn"[a % 2]) for a, b, _ in numbers])
    write(folder / "gaps.csv", "a,b,y", [(a, "" if a in (2, 5) else b, y) for a, b, y in numbers])
    write(folder / "words.csv", "a,colour,y", [(a, "red" if a in (2, 5) else b, y) for a, b, y in numbers])
    write(folder / "constant.csv", "a,y", [(a, 3) for a, _, _ in numbers])
    write(folder / "lonely.csv", "a,y", [(a, int(a == 7)) for a, _, _ in numbers])
    batches = [(a, f"B{a // 4}", a % 3, y) for a, _, y in numbers]
    write(folder / "batches.csv", "a,batch,n,y", batches)
    write(
        folder / "nobatch.csv",
        "a,batch,n,y",
        [(a, "" if a in (2, 5) else b, "" if a in (3, 9) else n, y) for a, b, n, y in batches],
    )
    write(
        folder / "odd.csv",
        "a,one,neg,zero,inf,word,y",
        [(a, "x", -1 if a in (2, 5) else 1, 0, "inf" if a == 3 else 1, "much" if a == 4 else 1, y) for a, _, _, y in batches],
    )
    write(folder / "same.csv", "a,one,y", [(a, "x", y) for a, _, _, y in batches])
    write(folder / "chain.csv", "a,batch,y", [(a // 2, f"B{(a + 1) // 2}", y) for a, _, _, y in batches])
    write(folder / "solo.csv", "a,batch,kind", [(a, f"B{a // 4}", "z" if 4 <= a < 7 else "xy"[a % 2]) for a in range(40)])
    write(folder / "late.csv", "a,n,y", [(a, int(a < 20), y) for a, _, _, y in batches])
    (folder / "header.csv").write_text("a,b,y\n")
    return folder


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def problems_of(text, folder, overrides=(), trusted=()):
    try:
        draft = parse_config(text.encode(), source="c.yaml", folder=folder, default_name="c", overrides=overrides)
        prepare(draft, trusted=trusted)
    except ConfigError as error:
        return [str(problem).removeprefix("c.yaml:").replace(str(folder), "FOLDER") for problem in error.problems]
    return []


def config(*sections):
    """Data, model and search, in this order, each as given or a good one; then whatever else is given."""
    given = {section.partition(":")[0]: section for text in sections for section in text.split("\n")}
    return "\n".join({"data": DATA, "model": MODEL, "search": SEARCH, **given}.values()) + "\n"


BROKEN = {
    # The file as a whole
    "a list for a config": ("- 1\n", "1:1: a config is a mapping of keys such as `data`, `model` and `search`"),
    "no data": (f"{MODEL}\n{SEARCH}\n", "1:1: data: is missing: the table that the estimator learns from"),
    "no model": (f"{DATA}\n{SEARCH}\n", "1:1: model: is missing; give `model`, or `models` for several to choose between"),
    "no search": (f"{DATA}\n{MODEL}\n", "1:1: search: is missing"),
    "an unknown section": (
        config("serach: {}"),
        "4:1: serach: unknown key; did you mean 'search'?"
        " Allowed: name, experiment, data, model, models, search, evaluation, objective, selection, execution, registry",
    ),
    "a number for a name": (config("name: 5"), "4:7: name: expected text, got 5"),
    "an empty name": (config("name: ''"), "4:7: name: must not be empty"),
    "a list for an experiment": (config("experiment: [a]"), "4:13: experiment: expected text, got a list"),
    # data
    "a number for data": (config("data: 5"), "1:7: data: expected a mapping of keys, got 5"),
    "nothing for data": (config("data:"), "1:6: data: is missing: the table that the estimator learns from"),
    "data without a source": (config("data: {target: y}"), "1:1: data.source: is missing"),
    "an unknown key in data": (
        config("data: {source: table.csv, traget: y}"),
        "1:27: data.traget: unknown key; did you mean 'target'?"
        " Allowed: source, target, test_size, seed, duplicates, groups, weights, features, drop, new, time, test, separator,"
        " decimal, thousands, comment, encoding, sheet, na_values, keep_default_na, dtypes, max_size",
    ),
    "a test_size of all rows": (
        config("data: {source: table.csv, target: y, test_size: 1.0}"),
        "1:49: data.test_size: must be below 1.0, got 1.0",
    ),
    "a test_size of no rows": (
        config("data: {source: table.csv, target: y, test_size: 0}"),
        "1:49: data.test_size: must be above 0.0, got 0",
    ),
    "a test_size in quotes": (
        config("data: {source: table.csv, target: y, test_size: '0.2'}"),
        "1:49: data.test_size: expected a number, got '0.2' (text)",
    ),
    "a negative seed": (
        config("data: {source: table.csv, target: y, seed: -1}"),
        "1:44: data.seed: must be at least 0, got -1",
    ),
    "a fraction for a seed": (
        config("data: {source: table.csv, target: y, seed: 1.5}"),
        "1:44: data.seed: expected a whole number, got 1.5",
    ),
    "a seed of `yes`": (
        config("data: {source: table.csv, target: y, seed: yes}"),
        "1:44: data.seed: expected a whole number, got 'yes' (text)",
    ),
    "an unknown way with duplicates": (
        config("data: {source: table.csv, target: y, duplicates: grop}"),
        "1:50: data.duplicates: got 'grop' (text); did you mean 'group'? Allowed: group, drop, keep",
    ),
    "a table that is not there": (
        config("data: {source: missing.csv, target: y}"),
        "1:16: data.source: no such file: FOLDER/missing.csv",
    ),
    "a spreadsheet": (config("data: {source: table.ods, target: y}"), f"1:16: data.source: 'table.ods' {NOT_A_TABLE}"),
    "a bundled table misspelled": (
        config("data: {source: wine-quality-rde}"),
        f"1:16: data.source: 'wine-quality-rde' {NOT_A_TABLE}",
    ),
    "a table without rows": (
        config("data: {source: header.csv, target: y}"),
        "1:16: data.source: FOLDER/header.csv has no rows",
    ),
    "a target that is no column": (
        config("data: {source: table.csv, target: z}"),
        "1:35: data.target: there is no column 'z' in the table; allowed: a, b, y",
    ),
    "a table of one's own without a target": (
        config("data: {source: table.csv}"),
        "1:1: data.target: is missing: which column is to be predicted? The table has: a, b, y",
    ),
    "a target with gaps": (
        config("data: {source: gaps.csv, target: b}"),
        "1:34: data.target: column 'b' has no value (empty, NA, None or null) in rows 3, 6",
    ),
    "a target that never changes": (
        config("data: {source: constant.csv, target: y}"),
        "1:38: data.target: column 'y' is constant: every row has 3.0",
    ),
    "a feature with gaps": (
        config("data: {source: gaps.csv, target: y}"),
        "1:16: data.source: column 'b' has no value in rows 3, 6, and ElasticNet cannot take gaps;"
        " drop the rows, or begin model.pipeline with sklearn.impute.SimpleImputer",
    ),
    "a feature with text": (
        config("data: {source: words.csv, target: y}"),
        "1:16: data.source: column 'colour' holds 'red' in rows 3, 6; ElasticNet needs numbers;"
        " `model.preprocess: auto` prepares any column, `data.drop` leaves it out",
    ),
    "a target with text for a regressor": (
        config("data: {source: words.csv, target: colour}"),
        "1:35: data.target: column 'colour' holds 'red' in rows 3, 6; a regressor predicts numbers",
    ),
    "a target with fractions for a classifier": (
        config(CLASSIFIER, SEARCH_C),
        "1:35: data.target: column 'y' holds fractions, first in rows 1, 2, 3, 4, 5 and 35 more; a classifier needs classes",
    ),
    "a class of one row": (
        config("data: {source: lonely.csv, target: y}", CLASSIFIER, SEARCH_C),
        "1:36: data.target: class 1 of column 'y' stands only in row 8; to learn it and to test it takes 2 different rows",
    ),
    # data.groups and data.weights
    "groups that are no column": (
        config("data: {source: batches.csv, target: y, groups: bacth, weights: n}"),
        "1:48: data.groups: there is no column 'bacth' in the table; did you mean 'batch'? Allowed: a, batch, n, y",
    ),
    "weights that are no column": (
        config("data: {source: batches.csv, target: y, groups: batch, weights: m}"),
        "1:64: data.weights: there is no column 'm' in the table; allowed: a, batch, n, y",
    ),
    "a number for groups": (
        config("data: {source: batches.csv, target: y, groups: 1}"),
        "1:48: data.groups: expected text, got 1",
    ),
    "the target for groups": (
        config("data: {source: batches.csv, target: y, groups: y}"),
        "1:48: data.groups: column 'y' is `target` already; a column has one use",
    ),
    "the target for weights": (
        config("data: {source: batches.csv, target: y, weights: y}"),
        "1:49: data.weights: column 'y' is `target` already; a column has one use",
    ),
    "the target of a bundled table for weights": (
        config("data: {source: wine-quality-red, weights: quality}"),
        "1:43: data.weights: column 'quality' is `target` already; a column has one use",
    ),
    "groups for weights": (
        config("data: {source: batches.csv, target: y, weights: n, groups: n}"),
        "1:49: data.weights: column 'n' is `groups` already; a column has one use",
    ),
    "groups with gaps": (
        config("data: {source: nobatch.csv, target: y, groups: batch, weights: a}"),
        "1:48: data.groups: column 'batch' has no value in rows 3, 6; every row needs a group",
    ),
    "weights with gaps": (
        config("data: {source: nobatch.csv, target: y, weights: n}"),
        "1:49: data.weights: column 'n' has no value in rows 4, 10; every row needs a weight",
    ),
    "weights below 0": (
        config("data: {source: odd.csv, target: y, weights: neg}"),
        "1:45: data.weights: column 'neg' is negative in rows 3, 6; a weight is at least 0",
    ),
    "weights of nothing": (
        config("data: {source: odd.csv, target: y, weights: zero}"),
        "1:45: data.weights: column 'zero' is 0 in every row; nothing would count",
    ),
    "an infinite weight": (
        config("data: {source: odd.csv, target: y, weights: inf}"),
        "1:45: data.weights: column 'inf' is infinite in row 4",
    ),
    "a weight in words": (
        config("data: {source: odd.csv, target: y, weights: word}"),
        "1:45: data.weights: column 'word' holds 'much' in row 5; a weight is a number of at least 0",
    ),
    "no feature beside groups": (
        config("data: {source: constant.csv, target: a, groups: y}"),
        "1:16: data.source: there is no feature: 'a' is all there is beside y",
    ),
    "one group": (
        config("data: {source: same.csv, target: y, groups: one}"),
        "1:45: data.groups: column 'one' is x in every row, and one group cannot be split",
    ),
    "groups that equal rows join into one": (
        config("data: {source: chain.csv, target: y, groups: batch}"),
        "1:46: data.groups: the 21 groups of column 'batch' are all joined by rows with equal features, and one group cannot be"
        " split; `duplicates: keep` goes by the column alone",
    ),
    "fewer groups than folds": (
        config("data: {source: batches.csv, target: y, groups: batch, weights: n}", "evaluation: {cv: 8}"),
        "4:18: evaluation.cv: 8 folds need training rows of 8 groups of 'batch' at least; there are 7",
    ),
    "a class in one group": (
        config("data: {source: solo.csv, target: kind, groups: batch}", CLASSIFIER, SEARCH_C),
        "1:34: data.target: class z of column 'kind' stands only in rows 5, 6, 7;"
        " to learn it and to test it takes rows of 2 groups of 'batch'",
    ),
    "groups in time": (
        config("data: {source: batches.csv, target: y, groups: batch, weights: n}", "evaluation: {cv: {time_series: 3}}"),
        "1:48: data.groups: splits in time cannot keep groups together; leave one of the two out",
    ),
    "a model that takes no weights": (
        config(
            "data: {source: late.csv, target: y, weights: n}",
            "model: {estimator: sklearn.neighbors.KNeighborsRegressor}",
            "search: {parameters: {n_neighbors: [1, 2]}}",
        ),
        "1:46: data.weights: KNeighborsRegressor takes no weights: its `fit` has no `sample_weight`;"
        " leave `weights` out, or use another model",
    ),
    "a pipeline whose model takes no weights": (
        config(
            "data: {source: late.csv, target: y, weights: n}",
            PIPELINE.replace("svr: sklearn.svm.SVR", "lars: sklearn.linear_model.Lars"),
            "search: {parameters: {lars__eps: [0.1, 0.2]}}",
        ),
        "1:46: data.weights: Lars takes no weights: its `fit` has no `sample_weight`; leave `weights` out, or use another model",
    ),
    "a metric that takes no weights": (
        config("data: {source: late.csv, target: y, weights: n}", "evaluation: {metrics: [rmse, max_error]}"),
        "4:30: evaluation.metrics.1: max_error takes no weights, and data.weights gives some; leave one of the two out",
    ),
    "an objective that takes no weights": (
        config("data: {source: late.csv, target: y, weights: n}", "objective: {metric: max_error}"),
        "4:21: objective.metric: max_error takes no weights, and data.weights gives some; leave one of the two out",
    ),
    "test rows without weight": (
        config("data: {source: late.csv, target: y, weights: n, duplicates: keep}", "evaluation: {cv: {time_series: 3}}"),
        "1:46: data.weights: none of the 10 test rows has a weight above 0",
    ),
    "a fold without weight": (
        config(
            "data: {source: late.csv, target: y, weights: n, duplicates: keep, test_size: 0.6, seed: 1}",
            "evaluation: {cv: 12}",
        ),
        "1:46: data.weights: no row that fold 6 measures on has a weight above 0",
    ),
    # model
    "neither estimator nor pipeline": (
        config("model: {params: {}}"),
        "2:8: model: give one of `estimator`, `pipeline`, `function` or `command`",
    ),
    "estimator and pipeline": (
        config("model: {estimator: sklearn.svm.SVR, pipeline: {svr: sklearn.svm.SVR}}"),
        "2:8: model: give one of `estimator`, `pipeline`, `function` or `command`",
    ),
    "a model as text": (
        config("model: sklearn.svm.SVR"),
        "2:8: model: expected a mapping of keys, got 'sklearn.svm.SVR' (text)",
    ),
    "an unknown form of model": (
        config("model: {estimator: sklearn.svm.SVR, depth: 3}", "search: {parameters: {C: [1]}}"),
        "2:37: model.depth: unknown key; allowed: estimator, pipeline, params, preprocess, early_stopping, function, command, "
        "folder, stdout",
    ),
    "an estimator without its package": (
        config("model: {estimator: ElasticNet}"),
        "2:20: model.estimator: expected a dotted path such as sklearn.linear_model.ElasticNet, got 'ElasticNet'",
    ),
    "an estimator misspelled": (
        config("model: {estimator: sklearn.linear_model.ElasticNte}"),
        "2:20: model.estimator: there is no 'ElasticNte' in sklearn.linear_model; did you mean 'ElasticNet'?",
    ),
    "a module misspelled": (
        config("model: {estimator: sklearn.linear_modle.ElasticNet}"),
        "2:20: model.estimator: there is no module 'sklearn.linear_modle'; did you mean 'sklearn.linear_model'?",
    ),
    "a package misspelled": (
        config("model: {estimator: sklean.linear_model.ElasticNet}"),
        "2:20: model.estimator: the package 'sklean' is not trusted; did you mean 'sklearn'?",
    ),
    "a package that is not trusted": (
        config("model: {estimator: os.system}"),
        "2:20: model.estimator: the package 'os' is not trusted; run with --trust os if you trust its code",
    ),
    "a function for an estimator": (
        config("model: {estimator: sklearn.base.clone}"),
        "2:20: model.estimator: sklearn.base.clone is not an estimator: it needs `fit`, `get_params` and `set_params`",
    ),
    "a transformer for a model": (
        config("model: {estimator: sklearn.preprocessing.StandardScaler}", "search: {parameters: {with_mean: [true]}}"),
        "2:20: model.estimator: StandardScaler is neither a regressor nor a classifier",
    ),
    "an unknown fixed parameter": (
        config("model: {estimator: sklearn.linear_model.ElasticNet, params: {alhpa: 1}}"),
        "2:62: model.params.alhpa: ElasticNet has no parameter 'alhpa'; did you mean 'alpha'?",
    ),
    "a fixed parameter out of bounds": (
        config("model: {estimator: sklearn.linear_model.ElasticNet, params: {l1_ratio: 2}}"),
        "2:72: model.params.l1_ratio: The 'l1_ratio' parameter of ElasticNet must be a float in the range [0.0, 1.0]."
        " Got 2 instead.",
    ),
    "a fixed parameter that is no text": (
        config("model: {estimator: sklearn.linear_model.ElasticNet, params: {1: 1}}"),
        "2:62: model.params.1: a key must be text; put it in quotes",
    ),
    "params as a list": (
        config("model: {estimator: sklearn.linear_model.ElasticNet, params: [1]}"),
        "2:61: model.params: expected a mapping of keys, got a list",
    ),
    "a pipeline as a list": (
        config("model: {pipeline: [sklearn.svm.SVR]}", SEARCH_SVR),
        "2:19: model.pipeline: expected a mapping of keys, got a list",
    ),
    "a model in the middle of a pipeline": (
        config("model: {pipeline: {svr: sklearn.svm.SVR, scale: sklearn.preprocessing.StandardScaler}}", SEARCH_SVR),
        "2:25: model.pipeline.svr: only the last step may be a model; SVR does not transform",
    ),
    "a step misspelled": (
        config("model: {pipeline: {scale: sklearn.preprocessing.StandardScalr, svr: sklearn.svm.SVR}}", SEARCH_SVR),
        "2:27: model.pipeline.scale: there is no 'StandardScalr' in sklearn.preprocessing; did you mean 'StandardScaler'?",
    ),
    "a step without an estimator": (
        config("model: {pipeline: {scale: {params: {}}, svr: sklearn.svm.SVR}}", SEARCH_SVR),
        "2:27: model.pipeline.scale: give either `estimator` or `pipeline`",
    ),
    "a step named as what it lacks": (
        config("model: {pipeline: {estimator: {params: {}}, svr: sklearn.svm.SVR}}", SEARCH_SVR),
        "2:31: model.pipeline.estimator: give either `estimator` or `pipeline`",
    ),
    "a step's unknown parameter": (
        config("model: {pipeline: {svr: {estimator: sklearn.svm.SVR, params: {gama: 1}}}}", SEARCH_SVR),
        "2:63: model.pipeline.svr.params.gama: SVR has no parameter 'gama'; did you mean 'gamma'?",
    ),
    "an estimator within an estimator misspelled": (
        config(BAGGING % "{estimator: sklearn.svm.SVRR}"),
        "2:87: model.params.estimator.estimator: there is no 'SVRR' in sklearn.svm; did you mean 'SVR'?",
    ),
    "an unknown parameter of an estimator within": (
        config(BAGGING % "{estimator: sklearn.svm.SVR, params: {gama: 1}}"),
        "2:113: model.params.estimator.params.gama: SVR has no parameter 'gama'; did you mean 'gamma'?",
    ),
    # search
    "nothing to search": (config("search: {parameters: {}}"), "3:22: search.parameters: must not be empty"),
    "an unknown method": (
        config("search: {method: gird, parameters: {alpha: [1]}}"),
        "3:18: search.method: got 'gird' (text); did you mean 'grid'? "
        "Allowed: grid, random, tpe, gp, cmaes, qmc, nsga2, nsga3, auto",
    ),
    "a search without an end": (
        config("search: {method: tpe, parameters: {alpha: [1]}}"),
        "3:18: search.method: method tpe needs `trials` or `timeout`, or it would never end",
    ),
    "no trials": (
        config("search: {parameters: {alpha: [1]}, trials: 0}"),
        "3:44: search.trials: must be at least 1, got 0",
    ),
    "trials as a float": (
        config("search: {parameters: {alpha: [1]}, trials: 1e3}"),
        "3:44: search.trials: expected a whole number, got 1000.0",
    ),
    "an odd timeout": (
        config("search: {parameters: {alpha: [1]}, timeout: 10 minutes}"),
        "3:45: search.timeout: a duration is a number of seconds or such as 90s, 10m, 1h30m, 2d; got '10 minutes'",
    ),
    "a timeout of nothing": (
        config("search: {parameters: {alpha: [1]}, timeout: 0s}"),
        "3:45: search.timeout: must be above 0, got '0s' (text)",
    ),
    "an unknown key in search": (
        config("search: {parameters: {alpha: [1]}, patient: 3}"),
        "3:36: search.patient: unknown key; did you mean 'patience'? Allowed: method, sampler, parameters, constraints, trials,"
        " timeout, target, patience, pruner, budget, seed, initial, max_choices, from",
    ),
    "an unknown searched parameter": (
        config("search: {parameters: {aplha: [1]}}"),
        "3:23: search.parameters.aplha: ElasticNet has no parameter 'aplha'; did you mean 'alpha'?",
    ),
    "an unknown searched parameter of a step": (
        config(PIPELINE, "search: {parameters: {svr__c: [1]}}"),
        "3:23: search.parameters.svr__c: Pipeline has no parameter 'svr__c'; did you mean 'svr__C'?",
    ),
    "a parameter of a step without the step": (
        config(PIPELINE, "search: {parameters: {gamma: [1]}}"),
        "3:23: search.parameters.gamma: Pipeline has no parameter 'gamma'; did you mean 'svr__gamma'?",
    ),
    "a parameter both fixed and searched": (
        config("model: {estimator: sklearn.linear_model.ElasticNet, params: {alpha: 1}}"),
        "3:30: search.parameters.alpha: fixed in `model.params` and searched here; keep one of the two",
    ),
    "a choice out of bounds": (
        config("search: {parameters: {alpha: [1, -1]}}"),
        "3:34: search.parameters.alpha.1: The 'alpha' parameter of ElasticNet must be a float in the range [0.0, inf)."
        " Got -1 instead.",
    ),
    "a choice out of bounds among choices": (
        config("search: {parameters: {alpha: {choices: [1, -1]}}}"),
        "3:44: search.parameters.alpha.choices.1: The 'alpha' parameter of ElasticNet must be a float in the range [0.0, inf)."
        " Got -1 instead.",
    ),
    "a range that begins out of bounds": (
        config("search: {parameters: {alpha: {low: -1, high: 1}}}"),
        "3:36: search.parameters.alpha.low: The 'alpha' parameter of ElasticNet must be a float in the range [0.0, inf)."
        " Got -1 instead.",
    ),
    "a range that ends out of bounds": (
        config("search: {parameters: {l1_ratio: {low: 0.0, high: 2, num: 3}}}"),
        "3:50: search.parameters.l1_ratio.high: The 'l1_ratio' parameter of ElasticNet must be a float in the range [0.0, 1.0]."
        " Got 2.0 instead.",
    ),
    "a range the wrong way round": (
        config("search: {parameters: {alpha: {low: 2, high: 1}}}"),
        "3:30: search.parameters.alpha: `low` must be below `high`; got low 2, high 1",
    ),
    "a range without an end": (
        config("search: {parameters: {alpha: {low: 1}}}"),
        "3:23: search.parameters.alpha.high: is missing",
    ),
    "a logarithmic range from 0": (
        config("search: {parameters: {alpha: {low: 0, high: 1, log: true}}}"),
        "3:36: search.parameters.alpha.low: with `log: true`, `low` must be above 0; got 0",
    ),
    "a grid of a range of floats": (
        config("search: {parameters: {alpha: {low: 0.0, high: 1}}}"),
        "3:30: search.parameters.alpha: method grid needs `num` (how many points) or `step` in a range of floats",
    ),
    "a step and a number of points": (
        config("search: {parameters: {alpha: {low: 0.0, high: 1, num: 3, step: 0.1}}}"),
        "3:64: search.parameters.alpha.step: `step` cannot be combined with `log` or `num`; give one of them",
    ),
    "a step beyond the range": (
        config("search: {parameters: {alpha: {low: 0.0, high: 1, step: 2}}}"),
        "3:56: search.parameters.alpha.step: `step` must be above 0 and at most high - low; got 2",
    ),
    "a bound that is text": (
        config("search: {parameters: {alpha: {low: small, high: 1}}}"),
        "3:36: search.parameters.alpha.low: expected a number, got 'small' (text)",
    ),
    "a bound that is not a number": (
        config("search: {parameters: {alpha: {low: 1, high: .nan}}}"),
        "3:45: search.parameters.alpha.high: expected a number between -2**53 and 2**53, got nan",
    ),
    "one point": (
        config("search: {parameters: {alpha: {low: 0.1, high: 1, num: 1}}}"),
        "3:55: search.parameters.alpha.num: must be at least 2, got 1",
    ),
    "`log: yes`": (
        config("search: {parameters: {alpha: {low: 1, high: 2, log: yes}}}"),
        "3:53: search.parameters.alpha.log: expected true or false, got 'yes' (text)",
    ),
    "an unknown type of range": (
        config("search: {parameters: {alpha: {low: 1, high: 2, type: integer}}}"),
        "3:54: search.parameters.alpha.type: got 'integer' (text); did you mean 'int'? Allowed: int, float",
    ),
    "whole numbers from a fraction": (
        config("search: {parameters: {alpha: {low: 0.5, high: 2, type: int}}}"),
        "3:56: search.parameters.alpha.type: with `type: int`, `low`, `high` and `step` must be whole numbers",
    ),
    "an initial point as a mapping": (
        config("search: {parameters: {alpha: [1]}, initial: {alpha: 1}}"),
        "3:45: search.initial: expected a list, got a mapping",
    ),
    "an initial value among no choices": (
        config("search: {parameters: {alpha: [1, 2]}, initial: [{alpha: 3}]}"),
        "3:57: search.initial.0.alpha: 3 lies outside the space: 1, 2",
    ),
    "an initial value outside a range": (
        config("search: {method: random, trials: 2, parameters: {alpha: {low: 0.1, high: 5, log: true}}, initial: [{alpha: 6}]}"),
        "3:108: search.initial.0.alpha: 6 lies outside the space: 0.1 to 5, log",
    ),
    "an initial value of what is not searched": (
        config("search: {method: random, trials: 2, parameters: {alpha: [1, 2]}, initial: [{alhpa: 1}]}"),
        "3:77: search.initial.0.alhpa: is not searched; did you mean 'alpha'? Allowed: alpha",
    ),
    "a grid's initial point with a hole": (
        config("search: {parameters: {alpha: [1], l1_ratio: [0.1]}, initial: [{alpha: 1}]}"),
        "3:63: search.initial.0: a grid's point names every parameter; missing: l1_ratio",
    ),
    "the same initial point twice": (
        config("search: {parameters: {alpha: [1]}, initial: [{alpha: 1}, {alpha: 1}]}"),
        "3:45: search.initial: the same parameters are given twice",
    ),
    # evaluation and objective
    "test rows that are named and drawn": (
        config("data: {source: table.csv, target: y, test: table.csv, test_size: 0.3}"),
        "1:66: data.test_size: is for test rows that are drawn, and `test` names them; leave it out",
    ),
    "test rows named twice": (
        config("data: {source: table.csv, target: y, test: {table: table.csv, column: a}}"),
        "1:44: data.test: give exactly one of `table`, `column`, `since`; got table, column",
    ),
    "test rows since a time that no column has": (
        config("data: {source: table.csv, target: y, test: {since: 2026-01-01}}"),
        "1:52: data.test.since: goes with `time`, the column that it is a time of",
    ),
    "test rows since true": (
        config("data: {source: table.csv, target: y, time: a, test: {since: true}}"),
        "1:61: data.test.since: is a date such as 2026-12-01, or a number; got true",
    ),
    "folds and a hold-out": (
        config("evaluation: {cv: {folds: 5, holdout: 0.2}}"),
        "4:18: evaluation.cv: give exactly one of `folds`, `holdout`, `time_series`, `column`,"
        " `leave_one_group_out`, `leave_one_out`; got folds, holdout",
    ),
    "one fold": (config("evaluation: {cv: {folds: 1}}"), "4:26: evaluation.cv.folds: must be at least 2, got 1"),
    "repeats of own folds": (
        config("evaluation: {cv: {column: a, repeats: 2}}"),
        "4:39: evaluation.cv.repeats: `repeats` goes with `folds` and `holdout`",
    ),
    "repeats without shuffling": (
        config("evaluation: {cv: {folds: 3, shuffle: false, repeats: 2}}"),
        "4:54: evaluation.cv.repeats: without shuffling the folds are always the same; leave `repeats` out",
    ),
    "groups left out beside others": (
        config("data: {source: batches.csv, target: y, groups: batch}", "evaluation: {cv: {leave_one_group_out: n}}"),
        "4:40: evaluation.cv.leave_one_group_out: `data.groups` is 'batch', and the groups that are left out are the same; leave"
        " one of the two out",
    ),
    "a column of folds that is the target": (
        config("evaluation: {cv: {column: y}}"),
        "4:27: evaluation.cv.column: column 'y' is `target` already; a column has one use",
    ),
    "a column of folds that is not there": (
        config("evaluation: {cv: {column: fold}}"),
        "4:27: evaluation.cv.column: there is no column 'fold' in the table; allowed: a, b, y",
    ),
    "a column of folds to learn from": (
        config("data: {source: table.csv, target: y, features: [a, b]}", "evaluation: {cv: {column: b}}"),
        "1:52: data.features.1: column 'b' is `evaluation.cv.column` already; a column has one use",
    ),
    "a metric of one row that needs several": (
        config("evaluation: {cv: leave_one_out, metrics: [rmse, r2]}"),
        "4:49: evaluation.metrics.1: r2 cannot be computed of one row, and each row is a fold; name metrics that can",
    ),
    "one left out, or not": (
        config("evaluation: {cv: {leave_one_out: false}}"),
        "4:34: evaluation.cv.leave_one_out: is true, or left out",
    ),
    "a gap between folds": (
        config("evaluation: {cv: {folds: 3, gap: 2}}"),
        "4:34: evaluation.cv.gap: `gap` goes with `time_series`",
    ),
    "an unknown key in cv": (
        config("evaluation: {cv: {fold: 5, holdout: 0.2}}"),
        "4:19: evaluation.cv.fold: unknown key; did you mean 'folds'?"
        " Allowed: folds, repeats, shuffle, seed, holdout, time_series, gap, max_train, column,"
        " leave_one_group_out, leave_one_out, stratified",
    ),
    "classes where there are none": (
        config("evaluation: {cv: {folds: 3, stratified: true}}"),
        "4:41: evaluation.cv.stratified: ElasticNet predicts numbers, and only classes can be stratified; leave `stratified` out",
    ),
    "a hold-out of classes where there are none": (
        config("evaluation: {cv: {holdout: 0.3, stratified: true}}"),
        "4:45: evaluation.cv.stratified: ElasticNet predicts numbers, and only classes can be stratified; leave `stratified` out",
    ),
    "classes in time": (
        config("data: {source: table.csv, target: y, duplicates: keep}", "evaluation: {cv: {time_series: 3, stratified: false}}"),
        "4:47: evaluation.cv.stratified: `stratified` goes with `folds` and `holdout`",
    ),
    "`stratified: yes`": (
        config("evaluation: {cv: {folds: 3, stratified: yes}}"),
        "4:41: evaluation.cv.stratified: expected true or false, got 'yes' (text)",
    ),
    "fewer than no resamples": (
        config("evaluation: {bootstrap: -1}"),
        "4:25: evaluation.bootstrap: must be at least 0, got -1",
    ),
    "too few resamples": (
        config("evaluation: {bootstrap: 39}"),
        "4:25: evaluation.bootstrap: an interval of confidence 0.95 needs 40 resamples at least, or its ends are the lowest and"
        " the highest of them; got 39 (0 turns it off)",
    ),
    "too few resamples for a high confidence": (
        config("evaluation: {bootstrap: {resamples: 199, confidence: 0.99}}"),
        "4:37: evaluation.bootstrap.resamples: an interval of confidence 0.99 needs 200 resamples at least, or its ends are the"
        " lowest and the highest of them; got 199 (0 turns it off)",
    ),
    "confidence of 95": (
        config("evaluation: {bootstrap: {confidence: 95}}"),
        "4:38: evaluation.bootstrap.confidence: must be below 1.0, got 95",
    ),
    "resamples as text": (
        config("evaluation: {bootstrap: many}"),
        "4:25: evaluation.bootstrap: expected a mapping of keys, got 'many' (text)",
    ),
    "an unknown key in bootstrap": (
        config("evaluation: {bootstrap: {samples: 100}}"),
        "4:26: evaluation.bootstrap.samples: unknown key; did you mean 'resamples'? Allowed: resamples, confidence",
    ),
    "no metrics": (config("evaluation: {metrics: []}"), "4:23: evaluation.metrics: must not be empty"),
    "metrics as text": (config("evaluation: {metrics: rmse}"), "4:23: evaluation.metrics: expected a list, got 'rmse' (text)"),
    "a metric misspelled": (
        config("evaluation: {metrics: [mae, rsme]}"),
        f"4:29: evaluation.metrics.1: there is no metric 'rsme'; did you mean 'rmse'? {REGRESSION_METRICS}",
    ),
    "a metric of nothing known": (
        config("evaluation: {metrics: [profit]}"),
        f"4:24: evaluation.metrics.0: there is no metric 'profit'. {REGRESSION_METRICS}",
    ),
    "a classifier's metric for a regressor": (
        config("evaluation: {metrics: [accuracy]}"),
        f"4:24: evaluation.metrics.0: accuracy does not fit a regression model. {REGRESSION_METRICS}",
    ),
    "a regressor's metric for a classifier": (
        config(CLASSES, CLASSIFIER, SEARCH_C, "objective: {metric: rmse}"),
        f"4:21: objective.metric: rmse does not fit a classification model. {CLASSIFICATION_METRICS}",
    ),
    "a metric twice": (config("evaluation: {metrics: [rmse, rmse]}"), "4:30: evaluation.metrics.1: rmse is given twice"),
    "a metric of two classes for three": (
        config(CLASSES, CLASSIFIER, SEARCH_C, "evaluation: {metrics: [accuracy, f1]}"),
        "4:34: evaluation.metrics.1: f1 needs two classes, column 'kind' has 3; use f1_macro",
    ),
    "a metric that needs a positive class": (
        config("data: {source: two.csv, target: kind}", CLASSIFIER, SEARCH_C, "evaluation: {metrics: [precision]}"),
        "4:24: evaluation.metrics.0: precision needs to know which class is the positive one: column 'kind' holds n and y;"
        " write {metric: precision, positive: y}, or use precision_macro",
    ),
    "a positive class that is none": (
        config(
            "data: {source: two.csv, target: kind}", CLASSIFIER, SEARCH_C, "evaluation: {metrics: [{metric: f1, positive: yes}]}"
        ),
        "4:24: evaluation.metrics.0: yes is no class of column 'kind', which holds n and y",
    ),
    "a metric without the parameter that it needs": (
        config("data: {source: two.csv, target: kind}", CLASSIFIER, SEARCH_C, "evaluation: {metrics: [fbeta_score]}"),
        "4:24: evaluation.metrics.0: fbeta_score needs `params: {beta: …}`",
    ),
    "a metric of one's own": (
        config("data: {source: two.csv, target: kind}", CLASSIFIER, SEARCH_C, "evaluation: {metrics: [mine.metrics.profit]}"),
        "4:24: evaluation.metrics.0: the package 'mine' is not trusted; run with --trust mine if you trust its code",
    ),
    "an objective the wrong way round": (
        config("objective: {metric: rmse, direction: maximize}"),
        "4:38: objective.direction: rmse is better when lower: leave `direction` out, or say minimize",
    ),
    "an objective without a metric": (config("objective: {direction: minimize}"), "4:1: objective.metric: is missing"),
    "an objective as a number": (
        config("objective: 7"),
        "4:12: objective: expected a mapping of keys, got 7",
    ),
    # execution and registry
    "an unknown backend": (
        config("execution: {backend: process}"),
        "4:22: execution.backend: got 'process' (text); did you mean 'processes'? Allowed: serial, processes, dask",
    ),
    "no workers": (config("execution: {workers: 0}"), "4:22: execution.workers: must be at least 1, got 0"),
    "two serial workers": (
        config("execution: {backend: serial, workers: 2}"),
        "4:39: execution.workers: backend serial has one worker; use `backend: processes` for 2",
    ),
    "an address without dask": (
        config('execution: {address: "tcp://127.0.0.1:8786"}'),
        "4:22: execution.address: is a Dask scheduler's; add `backend: dask`",
    ),
    "an address without a port": (
        config('execution: {backend: dask, address: "tcp://scheduler"}'),
        "4:37: execution.address: a scheduler's address is tcp://HOST:PORT or tls://HOST:PORT, got 'tcp://scheduler'",
    ),
    "an address on the web": (
        config('execution: {backend: dask, address: "http://scheduler:8787"}'),
        "4:37: execution.address: a scheduler's address is tcp://HOST:PORT or tls://HOST:PORT, got 'http://scheduler:8787'",
    ),
    "an address beyond the last port": (
        config('execution: {backend: dask, address: "tcp://[::1]:65536"}'),
        "4:37: execution.address: a scheduler's address is tcp://HOST:PORT or tls://HOST:PORT, got 'tcp://[::1]:65536'",
    ),
    "a timeout that nothing could keep": (
        config("execution: {backend: serial, trial_timeout: 10m}"),
        "4:45: execution.trial_timeout: backend serial cannot end a trial; use `backend: processes`",
    ),
    "a memory limit that nothing could keep": (
        config("execution: {backend: serial, memory_limit: 4GB}"),
        "4:44: execution.memory_limit: backend serial cannot end a trial; use `backend: processes`",
    ),
    "a memory limit below what Python takes": (
        config("execution: {memory_limit: 60MB}"),
        "4:27: execution.memory_limit: must be at least 64MiB (67108864 bytes), got 60000000 bytes",
    ),
    "a memory limit in letters": (
        config("execution: {memory_limit: 4 gigabytes}"),
        "4:27: execution.memory_limit: a size is a number of bytes or such as 4GB, 512MiB; got '4 gigabytes'",
    ),
    "retries for what there is not": (
        config("execution: {retries: {wroker: 2}}"),
        "4:23: execution.retries.wroker: unknown key; did you mean 'worker'? Allowed: worker, timeout, memory, error",
    ),
    "fewer retries than none": (
        config("execution: {retries: -1}"),
        "4:22: execution.retries: must be at least 0, got -1",
    ),
    "no grace at all": (config("execution: {grace: 0}"), "4:20: execution.grace: must be above 0, got 0"),
    "no failure at all": (config("execution: {max_failures: 0}"), "4:27: execution.max_failures: must be at least 1, got 0"),
    "a registry without a name": (config("registry: {stage: Staging}"), "4:1: registry.name: is missing"),
    "a model's name that MLflow refuses": (
        config("registry: {name: wine/quality}"),
        "4:18: registry.name: a registered model's name holds none of / : . @ % or quotes; got 'wine/quality'",
    ),
    "a stage in lower case": (
        config("registry: {name: wine, stage: staging}"),
        "4:31: registry.stage: got 'staging' (text); did you mean 'Staging'? Allowed: Staging, Production",
    ),
    "a number for a gate": (
        config("registry: {name: wine, gate: 5}"),
        "4:30: registry.gate: expected a mapping of keys, or false for no gate; got 5",
    ),
    "an unknown key of a gate": (
        config("registry: {name: wine, gate: {min_row: 5}}"),
        "4:31: registry.gate.min_row: unknown key; did you mean 'min_rows'?"
        " Allowed: min_improvement, confidence, min_rows, slices, slice_margin, seed, metric",
    ),
    "a gate by a metric that is not measured": (
        config("evaluation: {metrics: [rmse, r2]}", "registry: {name: wine, gate: {metric: mea}}"),
        "5:39: registry.gate.metric: 'mea' is not measured; allowed: rmse, r2",
    ),
    "a gate that is never sure": (
        config("registry: {name: wine, gate: {confidence: 0.5}}"),
        "4:43: registry.gate.confidence: must be above 0.5, got 0.5",
    ),
    "a gate that is too sure": (
        config("registry: {name: wine, gate: {confidence: 0.9999}}"),
        "4:43: registry.gate.confidence: must be at most 0.9998, since the rows are drawn anew 10,000 times",
    ),
    "a gate of one row": (
        config("registry: {name: wine, gate: {min_rows: 1}}"),
        "4:41: registry.gate.min_rows: must be at least 2, got 1",
    ),
    "a gate that asks for less than nothing": (
        config("registry: {name: wine, gate: {min_improvement: -0.1}}"),
        "4:48: registry.gate.min_improvement: must be at least 0.0, got -0.1",
    ),
    "a margin below zero": (
        config("registry: {name: wine, gate: {slice_margin: -1}}"),
        "4:45: registry.gate.slice_margin: must be at least 0.0, got -1",
    ),
    "a slice given twice": (
        config("registry: {name: wine, gate: {slices: [a, b, a]}}"),
        "4:39: registry.gate.slices: 'a' is given twice",
    ),
    "a slice of no column": (
        config("registry: {name: wine, gate: {slices: [a, c]}}"),
        "4:43: registry.gate.slices.1: there is no column 'c' in the table; allowed: a, b",
    ),
    "a slice of the target": (
        config("registry: {name: wine, gate: {slices: [y]}}"),
        "4:40: registry.gate.slices.0: column 'y' is `target`; a slice is of a feature, or of the group column",
    ),
    "a slice of the weights": (
        config(
            "data: {source: batches.csv, target: y, groups: batch, weights: n}",
            "registry: {name: wine, gate: {slices: [a, n]}}",
        ),
        "4:43: registry.gate.slices.1: column 'n' is `weights`; a slice is of a feature, or of the group column",
    ),
}


RANDOM = "method: random, trials: 4, "
TWO = "parameters: {alpha: [1, 2], l1_ratio: [0.1, 0.5]}"
TREES = "model: {estimator: sklearn.ensemble.ExtraTreesRegressor}"
FAMILIES = (
    "models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {alpha: [1, 2]}},"
    " svr: {estimator: sklearn.svm.SVR, parameters: {C: [1, 2]}}}"
)


ORDER = "[{alpha: highest}, {max_depth: lowest}, {kernel: [linear, rbf]}]"


def thrifty(cheapest, *sections):
    """A config that asks for the cheapest within one standard error."""
    return config(*sections, f"selection: {{select: one_standard_error, cheapest: {cheapest}}}")


def searching(body):
    return f"search: {{{body}}}"


def families(models, search="search: {}"):
    return f"{DATA}\n{models}\n{search}\n"


# Every key of a search, its model families, its objectives and its selection
BROKEN_SEARCHES = {
    "no end of random trials": (
        config(searching("method: random, " + TWO)),
        "3:18: search.method: method random needs `trials` or `timeout`, or it would never end",
    ),
    "an unknown option of a sampler": (
        config(searching("method: tpe, trials: 4, sampler: {n_startup: 3}, " + TWO)),
        "3:55: search.sampler.n_startup: Optuna's TPESampler has no such option; did you mean 'n_startup_trials'? Allowed:"
        " n_startup_trials, n_ei_candidates, multivariate, group, constant_liar",
    ),
    "an option of the wrong type": (
        config(searching("method: tpe, trials: 4, sampler: {n_startup_trials: many}, " + TWO)),
        "3:62: search.sampler.n_startup_trials: Optuna's TPESampler takes int here, got 'many' (text)",
    ),
    "options for a grid": (
        config(searching("sampler: {seed: 1}, " + TWO)),
        "3:19: search.sampler: grid has no sampler of Optuna's; leave `sampler` out",
    ),
    "options for a method that is not known": (
        config(searching("method: auto, trials: 4, sampler: {popsize: 3}, " + TWO)),
        "3:44: search.sampler: auto picks the method; name one to set its options",
    ),
    "an option for a method without any": (
        config(searching(RANDOM + "sampler: {n: 3}, " + TWO)),
        "3:50: search.sampler.n: Optuna's RandomSampler has no such option; it has no options",
    ),
    "options as a list": (
        config(searching(RANDOM + "sampler: [1], " + TWO)),
        "3:46: search.sampler: expected a mapping of keys, got a list",
    ),
    "an unknown crossover": (
        config(searching("method: nsga2, trials: 9, sampler: {crossover: sbxx}, " + TWO)),
        "3:57: search.sampler.crossover: got 'sbxx' (text); did you mean 'sbx'? Allowed: uniform, blxalpha, spx, sbx, vsbx, undx",
    ),
    "an option out of bounds": (
        config(searching("method: nsga2, trials: 9, sampler: {population_size: 1}, " + TWO)),
        "3:45: search.sampler: Optuna's NSGAIISampler does not take it: `population_size` must be greater than or equal to 2.",
    ),
    "a constraint that ends in the middle": (
        config(searching("constraints: ['alpha <'], " + TWO)),
        "3:24: search.constraints.0: 'alpha <' is no condition; such as: a <= b, or: c == 'x' and a < 5",
    ),
    "a number for a constraint": (
        config(searching("constraints: [5], " + TWO)),
        "3:24: search.constraints.0: a constraint is text, such as 'min_samples_leaf <= max_depth'",
    ),
    "constraints as text": (
        config(searching("constraints: alpha < 1, " + TWO)),
        "3:23: search.constraints: expected a list, got 'alpha < 1' (text)",
    ),
    "a constraint beyond the language": (
        config(searching("constraints: ['alpha ** 2 < 1'], " + TWO)),
        "3:24: search.constraints.0: 'alpha ** 2' is not understood; allowed: names, numbers, text, + - * /, == != < <= >"
        " >=, in, and, or, not, abs, min, max",
    ),
    "a constraint on what is not searched": (
        config(searching("constraints: ['alhpa < l1_ratio'], " + TWO)),
        "3:24: search.constraints.0: 'alhpa' is not searched; did you mean 'alpha'? Allowed: alpha, l1_ratio",
    ),
    "a constraint that null cannot be computed in": (
        config(searching("parameters: {max_iter: [10, 20], random_state: [null, 1]}, constraints: [random_state < max_iter]")),
        "3:83: search.constraints.0: 'random_state < max_iter' cannot be computed for random_state None, max_iter 10: '<'"
        " not supported between instances of 'NoneType' and 'int'; say so for such values, as in: x == null or x <= y",
    ),
    "a grid of nothing": (
        config(searching("constraints: [alpha < l1_ratio], " + TWO)),
        "3:23: search.constraints: no values of the parameters keep these constraints",
    ),
    "constraints that nothing keeps": (
        config(searching(RANDOM + "constraints: [alpha < l1_ratio], " + TWO)),
        "3:50: search.constraints: no values of the parameters keep these constraints",
    ),
    "more constrained combinations than can be counted": (
        config(
            searching(
                "parameters: {max_iter: {low: 1, high: 2000}, random_state: {low: 1, high: 2000}}, constraints: [max_iter"
                " != random_state]"
            )
        ),
        "3:105: search.constraints: conditions and constraints make more than 2,000,000 combinations; fewer values, or"
        " another method",
    ),
    "a condition on what is not searched": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alhpa: 1}}}")),
        "3:72: search.parameters.l1_ratio.when.alhpa: is not searched; did you mean 'alpha'? Allowed: alpha",
    ),
    "a condition on a value never taken": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: [1, 3]}}}")),
        "3:83: search.parameters.l1_ratio.when.alpha.1: 3 is none of its values, so that this would never hold: 1, 2",
    ),
    "conditions in a circle": (
        config(
            searching("parameters: {alpha: {choices: [1], when: {l1_ratio: 0.1}}, l1_ratio: {choices: [0.1], when: {alpha: 1}}}")
        ),
        "3:51: search.parameters.alpha.when: the conditions go round in a circle: it waits for l1_ratio",
    ),
    "a condition on itself": (
        config(searching("parameters: {alpha: {choices: [1], when: {alpha: 1}}}")),
        "3:51: search.parameters.alpha.when: the conditions go round in a circle: it waits for alpha",
    ),
    "a condition without a value": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: []}}}")),
        "3:79: search.parameters.l1_ratio.when.alpha: an empty list leaves nothing to try",
    ),
    "a condition with a value twice": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: [1, 1]}}}")),
        "3:79: search.parameters.l1_ratio.when.alpha: the value 1 is given twice",
    ),
    "a condition as text": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: alpha}}")),
        "3:71: search.parameters.l1_ratio.when: expected a mapping of keys, got 'alpha' (text)",
    ),
    "a condition on itself among others": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: 1, l1_ratio: 0.1}}}")),
        "3:71: search.parameters.l1_ratio.when: the conditions go round in a circle: it waits for l1_ratio",
    ),
    "a method that is gone": (
        config(searching("method: brute_force, " + TWO)),
        "3:18: search.method: brute_force is gone; grid tries the same points, in the order written",
    ),
    "a key that is gone, and counts for nothing": (
        config(searching("regret: 0, " + TWO)),
        "3:10: search.regret: is gone, as is what Optuna had for it; stop by `trials`, `timeout`, `patience` or `target`",
    ),
    "a key that is gone": (
        config(searching("regret: {min_trials: 8}, " + TWO)),
        "3:10: search.regret: is gone, as is what Optuna had for it; stop by `trials`, `timeout`, `patience` or `target`",
    ),
    "older trials for qmc": (
        config(searching("method: qmc, trials: 4, from: x, " + TWO)),
        "3:40: search.from: qmc learns nothing from older trials; leave `from` out, or use tpe, gp, cmaes, nsga2 or nsga3",
    ),
    "a condition on null that is no choice": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: null}}}")),
        "3:79: search.parameters.l1_ratio.when.alpha: nothing is none of its values, so that this would never hold: 1, 2",
    ),
    "one model and families": (config(FAMILIES, "search: {}"), "4:9: models: give `model` or `models`, not both"),
    "neither model nor families": (
        "\n".join([DATA, SEARCH]) + "\n",
        "1:1: model: is missing; give `model`, or `models` for several to choose between",
    ),
    "no families": (families("models: {}"), "2:9: models: must not be empty"),
    "families as a list": (families("models: [a]"), "2:9: models: expected a mapping of keys, got a list"),
    "the families' own name searched for all": (
        families(FAMILIES, "search: {parameters: {model: [en]}}"),
        "3:30: search.parameters.model: with `models`, `model` is the parameter that names the family",
    ),
    "the families' own name searched in one": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {model: [1]}}}"),
        "2:79: models.en.parameters.model: with `models`, `model` is the parameter that names the family",
    ),
    "a regressor and a classifier": (
        families(
            "models: {en: {estimator: sklearn.linear_model.ElasticNet}, lr: {estimator: sklearn.linear_model.LogisticRegression}}"
        ),
        "2:64: models.lr: does classification, and the families before it do regression; one sweep does one of them",
    ),
    "a parameter shared and a family's own": (
        families(FAMILIES, "search: {parameters: {alpha: {choices: [1], when: {model: en}}}}"),
        "2:72: models.en.parameters.alpha: is searched for all families already, in `search.parameters`",
    ),
    "a shared parameter that one family lacks": (
        families(FAMILIES, "search: {parameters: {l1_ratio: [0.1]}}"),
        "3:23: search.parameters.l1_ratio: SVR has no parameter 'l1_ratio'; it has: C, cache_size, coef0, degree, epsilon,"
        " gamma, kernel, max_iter, shrinking, tol, verbose",
    ),
    "a family's endless range in a grid": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {alpha: {low: 0.1, high: 1}}}}"),
        "2:79: models.en.parameters.alpha: method grid needs `num` (how many points) or `step` in a range of floats",
    ),
    "a family's parameter both fixed and searched": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, params: {alpha: 1}, parameters: {alpha: [1]}}}"),
        "2:99: models.en.parameters.alpha: fixed in `params` and searched here; keep one of the two",
    ),
    "a shared parameter that a family fixes": (
        families(
            "models: {en: {estimator: sklearn.linear_model.ElasticNet, params: {alpha: 1}}}", "search: {parameters: {alpha: [1]}}"
        ),
        "3:30: search.parameters.alpha: fixed in `models.en.params` and searched here; keep one of the two",
    ),
    "a family's unknown parameter": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {aplha: [1]}}}"),
        "2:72: models.en.parameters.aplha: ElasticNet has no parameter 'aplha'; did you mean 'alpha'?",
    ),
    "a family's value out of bounds": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {alpha: [-1]}}}"),
        "2:80: models.en.parameters.alpha.0: The 'alpha' parameter of ElasticNet must be a float in the range [0.0, inf)."
        " Got -1 instead.",
    ),
    "an unknown key in a family": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNet, parameter: {alpha: [1]}}}"),
        "2:59: models.en.parameter: unknown key; did you mean 'parameters'?"
        " Allowed: estimator, pipeline, params, preprocess, early_stopping, parameters",
    ),
    "a family's estimator misspelled": (
        families("models: {en: {estimator: sklearn.linear_model.ElasticNte}}"),
        "2:26: models.en.estimator: there is no 'ElasticNte' in sklearn.linear_model; did you mean 'ElasticNet'?",
    ),
    "a condition on another family's parameter": (
        families(
            "models: {en: {estimator: sklearn.linear_model.ElasticNet, parameters: {alpha: {choices: [1], when: {C: 1}}}},"
            " svr: {estimator: sklearn.svm.SVR, parameters: {C: [1, 2]}}}"
        ),
        "2:101: models.en.parameters.alpha.when.C: is of another family; allowed: model",
    ),
    "a condition on no family": (
        families(FAMILIES, "search: {parameters: {tol: {choices: [0.1], when: {model: [en, svm]}}}}"),
        "3:64: search.parameters.tol.when.model.1: 'svm' (text) is none of its values, so that this would never hold: en, svr",
    ),
    "a target of two objectives": (
        config(searching(RANDOM + "target: 0.5, " + TWO), "objective: [rmse, mae]"),
        "3:45: search.target: `target` goes with one objective; there are 2",
    ),
    "a target in words": (
        config(searching(RANDOM + "target: low, " + TWO)),
        "3:45: search.target: expected a number, got 'low' (text)",
    ),
    "no patience": (config(searching(RANDOM + "patience: 0, " + TWO)), "3:47: search.patience: must be at least 1, got 0"),
    "an unknown pruner": (
        config(searching(RANDOM + "pruner: medain, " + TWO)),
        "3:45: search.pruner: got 'medain' (text); did you mean 'median'? Allowed: median, percentile, hyperband,"
        " successive_halving, threshold, patient, wilcoxon",
    ),
    "an unknown type of pruner": (
        config(searching(RANDOM + "pruner: {type: medain}, " + TWO)),
        "3:52: search.pruner.type: got 'medain' (text); did you mean 'median'? Allowed: median, percentile, hyperband,"
        " successive_halving, threshold, patient, wilcoxon",
    ),
    "a pruner without a type": (
        config(searching(RANDOM + "pruner: {percentile: 5}, " + TWO)),
        "3:37: search.pruner.type: is missing",
    ),
    "an unknown option of a pruner": (
        config(searching(RANDOM + "pruner: {type: median, n_warmup: 5}, " + TWO)),
        "3:70: search.pruner.n_warmup: Optuna's MedianPruner has no such option; did you mean 'n_warmup_steps'? Allowed:"
        " n_startup_trials, n_warmup_steps, interval_steps, n_min_trials",
    ),
    "a percentile pruner without its percentile": (
        config(searching(RANDOM + "pruner: percentile, " + TWO)),
        "3:45: search.pruner: Optuna's PercentilePruner needs `percentile`",
    ),
    "a percentile in words": (
        config(searching(RANDOM + "pruner: {type: percentile, percentile: much}, " + TWO)),
        "3:76: search.pruner.percentile: Optuna's PercentilePruner takes float here, got 'much' (text)",
    ),
    "a threshold pruner without a threshold": (
        config(searching(RANDOM + "pruner: threshold, " + TWO)),
        "3:45: search.pruner: Optuna's ThresholdPruner does not take it: Either lower or upper must be specified.",
    ),
    "wilcoxon's test of budgets": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: wilcoxon, budget: {rows: 0.5}")),
        "3:75: search.pruner: wilcoxon compares folds with folds; it does not go with `budget`",
    ),
    "a budget without a pruner": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, budget: {rows: 0.5}")),
        "3:75: search.budget: a budget that grows is for a pruner to look at; add `pruner`",
    ),
    "both forms of a budget": (
        config(
            TREES,
            searching(
                RANDOM
                + "parameters: {max_depth: [1]}, pruner: median, budget: {rows: 0.5, parameter: n_estimators, min: 1, max: 4}"
            ),
        ),
        "3:91: search.budget: give either `parameter` with `min` and `max`, or `rows`",
    ),
    "rows and a lowest value": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {rows: 0.5, min: 1}")),
        "3:98: search.budget.rows: `min` and `max` go with `parameter`; `rows` is the share to begin with",
    ),
    "a budget that does not grow": (
        config(
            TREES,
            searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {parameter: n_estimators, min: 4, max: 4}"),
        ),
        "3:91: search.budget: `parameter` needs `min` and `max`, min below max",
    ),
    "a budget without an end": (
        config(
            TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {parameter: n_estimators, min: 4}")
        ),
        "3:91: search.budget: `parameter` needs `min` and `max`, min below max",
    ),
    "a budget of nothing": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {}")),
        "3:91: search.budget: give either `parameter` with `min` and `max`, or `rows`",
    ),
    "a budget that is searched too": (
        config(
            TREES,
            searching(
                RANDOM + "parameters: {n_estimators: [1]}, pruner: median, budget: {parameter: n_estimators, min: 1, max: 4}"
            ),
        ),
        "3:106: search.budget.parameter: n_estimators grows as the budget; it cannot be searched or fixed too",
    ),
    "a budget that is fixed too": (
        config(
            "model: {estimator: sklearn.ensemble.ExtraTreesRegressor, params: {n_estimators: 4}}",
            searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {parameter: n_estimators, min: 1, max: 4}"),
        ),
        "3:103: search.budget.parameter: n_estimators grows as the budget; it cannot be searched or fixed too",
    ),
    "a budget of an unknown parameter": (
        config(
            TREES,
            searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {parameter: n_estimator, min: 1, max: 4}"),
        ),
        "3:103: search.budget.parameter: ExtraTreesRegressor has no parameter 'n_estimator'; did you mean 'n_estimators'?",
    ),
    "a budget that begins out of bounds": (
        config(
            TREES,
            searching(
                RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {parameter: min_samples_split, min: 1, max: 4}"
            ),
        ),
        "3:127: search.budget.min: The 'min_samples_split' parameter of ExtraTreesRegressor must be an int in the range [2,"
        " inf) or a float in the range (0.0, 1.0]. Got 1 instead.",
    ),
    "a budget of no rows": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {rows: 0}")),
        "3:98: search.budget.rows: must be above 0.0, got 0",
    ),
    "a budget of all rows": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {rows: 1}")),
        "3:98: search.budget.rows: must be below 1.0, got 1",
    ),
    "a budget that grows by nothing": (
        config(TREES, searching(RANDOM + "parameters: {max_depth: [1]}, pruner: median, budget: {rows: 0.5, factor: 1}")),
        "3:111: search.budget.factor: must be at least 2, got 1",
    ),
    "an initial value that a condition turns off": (
        config(
            searching(
                RANDOM + "parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: 1}}}, initial: [{alpha: 2,"
                " l1_ratio: 0.1}]"
            )
        ),
        "3:122: search.initial.0: l1_ratio is not searched with these values of alpha",
    ),
    "an initial value whose condition is open": (
        config(
            searching(
                RANDOM + "parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: 1}}}, initial: [{l1_ratio: 0.1}]"
            )
        ),
        "3:123: search.initial.0.l1_ratio: is searched only with certain values of alpha; say which",
    ),
    "an initial value without its family": (
        families(FAMILIES, searching(RANDOM + "initial: [{C: 1}]")),
        "3:48: search.initial.0.C: belongs to a family; say which, as `model`",
    ),
    "an initial value of another family": (
        families(FAMILIES, searching(RANDOM + "initial: [{model: en, C: 1}]")),
        "3:59: search.initial.0.C: is not searched for the family 'en' (text)",
    ),
    "an initial point of an unknown family": (
        families(FAMILIES, searching(RANDOM + "initial: [{model: forest}]")),
        "3:55: search.initial.0.model: 'forest' (text) lies outside the space: en, svr",
    ),
    "an initial point that breaks a constraint": (
        config(
            searching(RANDOM + "constraints: [alpha > 1 or l1_ratio < 0.5], " + TWO + ", initial: [{alpha: 1, l1_ratio: 0.5}]")
        ),
        "3:142: search.initial.0: breaks the constraint 'alpha > 1 or l1_ratio < 0.5'",
    ),
    "an initial point that can never keep the constraints": (
        config(
            searching(
                RANDOM + "constraints: [alpha > 1 or l1_ratio < 0.1], parameters: {alpha: [1, 2], l1_ratio: [0.1, 0.5]}, initial:"
                " [{alpha: 1}]"
            )
        ),
        "3:142: search.initial.0: no point with these values keeps the constraints",
    ),
    "a grid's initial point without what a condition asks for": (
        config(searching("parameters: {alpha: [1, 2], l1_ratio: {choices: [0.1], when: {alpha: 1}}}, initial: [{alpha: 1}]")),
        "3:95: search.initial.0: a grid's point names every parameter; missing: l1_ratio",
    ),
    "older trials for a grid": (
        config(searching("from: x, " + TWO)),
        "3:16: search.from: grid learns nothing from older trials; leave `from` out, or use tpe, gp, cmaes, nsga2 or nsga3",
    ),
    "older trials for random search": (
        config(searching(RANDOM + "from: x, " + TWO)),
        "3:43: search.from: random learns nothing from older trials; leave `from` out, or use tpe, gp, cmaes, nsga2 or nsga3",
    ),
    "older trials of nothing": (
        config(searching("method: tpe, trials: 4, from: '', " + TWO)),
        "3:40: search.from: must not be empty",
    ),
    "the same objective twice": (config("objective: [rmse, rmse]"), "4:12: objective: the same metric is given twice"),
    "two objectives for cmaes": (
        config(searching("method: cmaes, trials: 5, " + TWO), "objective: [rmse, mae]"),
        "3:18: search.method: cmaes has one objective; use tpe, gp, nsga2 or nsga3",
    ),
    "a second objective the wrong way round": (
        config("objective: [rmse, {metric: r2, direction: minimize}]"),
        "4:43: objective.1.direction: r2 is better when higher: leave `direction` out, or say maximize",
    ),
    "seven objectives": (
        config("objective: [rmse, mae, r2, mape, median_ae, max_error, fit_seconds]"),
        "4:12: objective: holds 6 entries at most, got 7",
    ),
    "a second objective misspelled": (
        config("objective: [rmse, ame]"),
        "4:19: objective.1: there is no metric 'ame'; did you mean 'mae'? For regression: rmse, mae, mape, median_ae,"
        " max_error, r2, or a scikit-learn scorer's name",
    ),
    "no objectives": (config("objective: []"), "4:12: objective: must not be empty"),
    "nothing but time": (
        config("evaluation: {metrics: [fit_seconds]}", "objective: fit_seconds"),
        "4:23: evaluation.metrics: nothing is measured but time; name a metric",
    ),
    "a pick of one objective": (
        config("selection: {pick: knee}"),
        "4:19: selection.pick: `pick` chooses among several objectives; there is one",
    ),
    "an unknown pick": (
        config("objective: [rmse, mae]", "selection: {pick: kne}"),
        "5:19: selection.pick: got 'kne' (text); did you mean 'knee'? Allowed: knee, first, weights",
    ),
    "weights of no objective": (
        config("objective: [rmse, mae]", "selection: {pick: {weights: {rsme: 1}}}"),
        "5:30: selection.pick.weights.rsme: is no objective; did you mean 'rmse'? Allowed: rmse, mae",
    ),
    "weights of zero": (
        config("objective: [rmse, mae]", "selection: {pick: {weights: {rmse: 0, mae: 0}}}"),
        "5:29: selection.pick.weights: one weight at least must be above 0",
    ),
    "a negative weight": (
        config("objective: [rmse, mae]", "selection: {pick: {weights: {rmse: -1, mae: 1}}}"),
        "5:36: selection.pick.weights.rmse: must be at least 0.0, got -1",
    ),
    "a pick by weights without any": (
        config("objective: [rmse, mae]", "selection: {pick: weights}"),
        "5:19: selection.pick: `pick` is knee, first, or {weights: {metric: weight, …}}",
    ),
    "a limit on what is not measured": (
        config("selection: {constraints: [rsme <= 1]}"),
        "4:27: selection.constraints.0: 'rsme' is not measured; did you mean 'rmse'? Allowed: fit_seconds, rmse, rmse_std,"
        " mae, mae_std, r2, r2_std",
    ),
    "a limit that is none": (
        config("selection: {constraints: [rmse == 1]}"),
        "4:27: selection.constraints.0: a constraint on metrics is one limit, such as 'rmse <= 0.7' or 'fit_seconds <= 2'",
    ),
    "limits for cmaes": (
        config(searching("method: cmaes, trials: 5, " + TWO), "selection: {constraints: [rmse <= 1]}"),
        "3:18: search.method: cmaes cannot learn limits on metrics; use tpe, gp, nsga2 or nsga3",
    ),
    "a number for a limit": (
        config("selection: {constraints: [5]}"),
        "4:27: selection.constraints.0: a constraint on metrics is one limit, such as 'rmse <= 0.7' or 'fit_seconds <= 2'",
    ),
    "an unknown key in selection": (
        config("selection: {picks: knee}"),
        "4:13: selection.picks: unknown key; did you mean 'pick'? Allowed: select, cheapest, pick, constraints",
    ),
    "a rule that is none": (
        config("selection: {select: one_std_error}"),
        "4:21: selection.select: got 'one_std_error' (text); did you mean 'one_standard_error'?"
        " Allowed: best, one_standard_error",
    ),
    "the cheapest without its rule": (
        config("selection: {cheapest: fit_seconds}"),
        "4:23: selection.cheapest: goes with `select: one_standard_error`; the best mean wins as it stands",
    ),
    "one standard error of several objectives": (
        config("objective: [rmse, mae]", "selection: {select: one_standard_error}"),
        "5:21: selection.select: one_standard_error goes with one objective; there are 2, and `pick` chooses",
    ),
    "one standard error of one value": (
        config("evaluation: {cv: {holdout: 0.3}}", "selection: {select: one_standard_error}"),
        "5:21: selection.select: one_standard_error needs the spread of a metric over two folds or seeds, or more;"
        " here each trial is measured once",
    ),
    "one standard error of a time": (
        config("objective: fit_seconds", "selection: {select: one_standard_error}"),
        "5:21: selection.select: one_standard_error needs the spread of a metric over two folds or seeds, or more;"
        " fit_seconds has none",
    ),
    "a cost that is none": (
        thrifty("model_sise"),
        "4:51: selection.cheapest: got 'model_sise' (text); did you mean 'model_size'? Allowed: fit_seconds, model_size,"
        f" or a list of parameters: {ORDER}",
    ),
    "an order that is no list": (
        thrifty("{alpha: highest}"),
        f"4:51: selection.cheapest: expected fit_seconds, model_size, or a list of parameters: {ORDER}; got a mapping",
    ),
    "an order of nothing": (
        thrifty("[]"),
        f"4:51: selection.cheapest: expected fit_seconds, model_size, or a list of parameters: {ORDER}; got an empty list",
    ),
    "an order of two parameters at once": (
        thrifty("[{alpha: highest, l1_ratio: lowest}]"),
        f"4:52: selection.cheapest.0: each entry is one parameter, as in {ORDER}; got a mapping",
    ),
    "an order that names a parameter twice": (
        thrifty("[{alpha: highest}, {alpha: lowest}]"),
        "4:70: selection.cheapest.1: the parameter alpha is given twice",
    ),
    "an order of a parameter that is not searched": (
        thrifty("[{alhpa: highest}]"),
        "4:53: selection.cheapest.0.alhpa: is not searched; did you mean 'alpha'? Allowed: alpha",
    ),
    "an end that is none": (
        thrifty("[{alpha: higest}]"),
        "4:60: selection.cheapest.0.alpha: got 'higest' (text); did you mean 'highest'? Allowed: highest, lowest,"
        " or a list of values from the cheapest to the dearest",
    ),
    "an order that is a number": (
        thrifty("[{alpha: 3}]"),
        "4:60: selection.cheapest.0.alpha: expected highest, lowest, or a list of values from the cheapest to the dearest; got 3",
    ),
    "an order that names a value twice": (
        thrifty("[{alpha: [1, 0.1, 1]}]"),
        "4:60: selection.cheapest.0.alpha: a value is given twice",
    ),
    "an order of a value that is not searched": (
        thrifty("[{alpha: [1, 5]}]"),
        "4:64: selection.cheapest.0.alpha.1: alpha is never 5; allowed: 0.1, 1",
    ),
    "an order of a value out of range": (
        thrifty("[{alpha: [2, 0.2]}]", searching(RANDOM + "parameters: {alpha: {low: 0.1, high: 1}}")),
        "4:61: selection.cheapest.0.alpha.0: alpha is never 2; it is 0.1 to 1",
    ),
    "the highest of texts": (
        thrifty("[{selection: highest}]", "search: {parameters: {selection: [cyclic, random]}}"),
        "4:64: selection.cheapest.0.selection: 'highest' is for numbers, and selection may be 'cyclic' (text);"
        " list its values, the cheapest first",
    ),
    "the lowest of numbers and null": (
        thrifty("[{max_depth: lowest}]", TREES, searching("parameters: {max_depth: [3, null]}")),
        "4:64: selection.cheapest.0.max_depth: 'lowest' is for numbers, and max_depth may be null;"
        " list its values, the cheapest first",
    ),
    "an order that is too long for a tag": (
        thrifty(f"[{{selection: [{'x' * 2000}]}}]", "search: {parameters: {selection: [cyclic, random]}}"),
        "4:51: selection.cheapest: an order of parameters has 2000 characters at most",
    ),
    "no seeds": (config("evaluation: {seeds: 0}"), "4:21: evaluation.seeds: must be at least 1, got 0"),
    "seeds for a model without chance": (
        config("model: {estimator: sklearn.svm.SVR}", "search: {parameters: {C: [1]}}", "evaluation: {seeds: 3}"),
        "4:21: evaluation.seeds: no random_state of the model is left open: 3 seeds would measure the same thing",
    ),
    "seeds where random_state is fixed": (
        config(
            "model: {estimator: sklearn.ensemble.ExtraTreesRegressor, params: {random_state: 1}}",
            "search: {parameters: {max_depth: [1]}}",
            "evaluation: {seeds: 3}",
        ),
        "4:21: evaluation.seeds: no random_state of the model is left open: 3 seeds would measure the same thing",
    ),
}


def test_the_good_config_that_the_broken_ones_start_from_is_good(folder):
    assert problems_of(config(), folder) == []
    assert problems_of(config(CLASSES, CLASSIFIER, SEARCH_C), folder) == []
    assert problems_of(config(PIPELINE, SEARCH_SVR), folder) == []
    assert problems_of(config(BAGGING % "{estimator: sklearn.svm.SVR}"), folder) == []
    assert problems_of(config(searching(RANDOM + TWO)), folder) == []
    assert (
        problems_of(config(TREES, searching("pruner: median, budget: {rows: 0.5}, parameters: {max_depth: [1]}")), folder) == []
    )
    assert problems_of(families(FAMILIES), folder) == []


@pytest.mark.quick(101)
@pytest.mark.parametrize(("text", "expected"), [*BROKEN.values(), *BROKEN_SEARCHES.values()], ids=[*BROKEN, *BROKEN_SEARCHES])
def test_a_broken_config_is_explained_at_its_place(text, expected, folder):
    (only,) = problems_of(text, folder)
    assert only == expected


def test_a_choice_of_the_wrong_word_is_told_the_right_ones(folder):
    (only,) = problems_of(config("search: {parameters: {selection: [cyclic, randm]}}"), folder)
    assert only.startswith("3:43: search.parameters.selection.1: The 'selection' parameter of ElasticNet must be a str among {")
    assert "'random'" in only
    assert "'cyclic'" in only
    assert only.endswith("Got 'randm' instead.")


def test_every_problem_of_a_file_is_reported_in_its_order(folder):
    text = textwrap.dedent("""\
        experiment: [a]
        registry: {name: wine, stage: staging}
        evaluation:
          cv: {folds: 1}
          metrics: [rmse, accuracy]
        search:
          parameters:
            aplha: [1]
            l1_ratio: [0.5, 2]
          initial:
            - {aplha: 2, l1_ratio: 0.5}
        model:
          estimator: sklearn.linear_model.ElasticNet
          params: {max_iter: 0}
        data:
          source: missing.csv
          target: y
        objetive: {metric: rmse}
        """)
    assert problems_of(text, folder) == [
        "1:13: experiment: expected text, got a list",
        "2:31: registry.stage: got 'staging' (text); did you mean 'Staging'? Allowed: Staging, Production",
        "4:15: evaluation.cv.folds: must be at least 2, got 1",
        "5:19: evaluation.metrics.1: accuracy does not fit a regression model. "
        "For regression: rmse, mae, mape, median_ae, max_error, r2, or a scikit-learn scorer's name",
        "8:5: search.parameters.aplha: ElasticNet has no parameter 'aplha'; did you mean 'alpha'?",
        "9:21: search.parameters.l1_ratio.1: The 'l1_ratio' parameter of ElasticNet must be a float in the range [0.0, 1.0]."
        " Got 2 instead.",
        "11:15: search.initial.0.aplha: 2 lies outside the space: 1",
        "14:22: model.params.max_iter: The 'max_iter' parameter of ElasticNet must be an int in the range [1, inf) or None."
        " Got 0 instead.",
        "16:11: data.source: no such file: FOLDER/missing.csv",
        "18:1: objetive: unknown key; did you mean 'objective'?"
        " Allowed: name, experiment, data, model, models, search, evaluation, objective, selection, execution, registry",
    ]


def test_problems_are_sorted_by_number_and_not_by_letter(folder):
    text = "\n" * 8 + config("name: 5", "experiment: 5")
    assert [problem.partition(": ")[0] for problem in problems_of(text, folder)] == ["12:7", "13:13"]
    text = "name: 5\n" + "\n" * 8 + config("experiment: 5")
    assert [problem.partition(": ")[0] for problem in problems_of(text, folder)] == ["1:7", "13:13"]


def test_an_estimator_of_an_untrusted_package_is_not_imported(folder, tmp_path, monkeypatch):
    (tmp_path / "sly_package.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    for text in (
        config("model: {estimator: sly_package.Model}"),
        config("model: {pipeline: {sly: sly_package.Model}}"),
        config(BAGGING % "{estimator: sly_package.Model}"),
        config("search: {parameters: {alpha: [{estimator: sly_package.Model}]}}"),
    ):
        assert any("the package 'sly_package' is not trusted" in problem for problem in problems_of(text, folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.trials=ten", "search.trials: expected a whole number, got 'ten' (text)"),
        ("search.parameters.alpha=[1,-1]", "search.parameters.alpha.1: The 'alpha' parameter of ElasticNet must be a float"),
        ("data=5", "data: expected a mapping of keys, got 5"),
        ("data.target=z", "data.target: there is no column 'z' in the table; allowed: a, b, y"),
        (
            "data.seeed=1",
            "data.seeed: unknown key; did you mean 'seed'? Allowed: source, target, test_size, seed, duplicates, groups, weights",
        ),
        ("model.params.l1_ratio=2", "model.params.l1_ratio: The 'l1_ratio' parameter of ElasticNet must be"),
        ("objective.metric=accuracy", "objective.metric: accuracy does not fit a regression model."),
        ("evaluation.cv.folds=1", "evaluation.cv.folds: must be at least 2, got 1"),
    ],
)
def test_what_is_wrong_with_an_override_is_placed_at_the_override(override, expected, folder):
    (only,) = problems_of(config(), folder, overrides=[override])
    assert only.startswith(f"--set {override}: {expected}")


def test_what_is_wrong_with_overrides_comes_after_what_is_wrong_with_the_file(folder):
    got = problems_of(config("name: 5"), folder, overrides=["search.trials=ten", "data.seed=-1"])
    assert got[0] == "4:7: name: expected text, got 5"
    assert set(got[1:]) == {
        "--set search.trials=ten: search.trials: expected a whole number, got 'ten' (text)",
        "--set data.seed=-1: data.seed: must be at least 0, got -1",
    }


def test_an_override_that_looks_like_a_place_does_not_stand_before_the_file(folder):
    got = problems_of(config("name: 5"), folder, overrides=["data.duplicates=a:1:2"])
    assert [problem.partition(": ")[0] for problem in got] == ["4:7", "--set data.duplicates=a:1:2"]


def test_a_key_that_an_override_makes_on_its_way_is_placed_at_the_override(folder):
    (only,) = problems_of(config(), folder, overrides=["search.initial.0.alpha=3"])
    assert only == "--set search.initial.0.alpha=3: search.initial: expected a list, got a mapping"


CONSTRAINTS_IN_PIPELINES = (
    "checks.py `_refusal` walks steps with get_params(deep=False), which holds no steps of a Pipeline: no constraint is checked"
)
SVR_C = "The 'C' parameter of SVR must be a float in the range (0.0, inf]. Got -1 instead."


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            (
                "model: {pipeline: {svr: {estimator: sklearn.svm.SVR, params: {C: -1}}}}",
                "search: {parameters: {svr__gamma: [1]}}",
            ),
            f"2:66: model.pipeline.svr.params.C: {SVR_C}",
        ),
        ((PIPELINE, "search: {parameters: {svr__C: [1, -1]}}"), f"3:35: search.parameters.svr__C.1: {SVR_C}"),
        (
            (PIPELINE, "search: {parameters: {svr__C: {low: -1, high: 1}}}"),
            f"3:37: search.parameters.svr__C.low: {SVR_C}",
        ),
        (
            ("model: {pipeline: {svr: sklearn.svm.SVR}, params: {svr__C: -1}}", "search: {parameters: {svr__gamma: [1]}}"),
            f"2:60: model.params.svr__C: {SVR_C}",
        ),
    ],
    ids=["fixed in a step", "a choice", "a bound", "fixed for the pipeline"],
)
def test_a_value_that_a_step_refuses_is_refused(sections, expected, folder):
    assert problems_of(config(*sections), folder) == [expected]


def test_a_value_that_an_estimator_within_refuses_is_refused(folder):
    (only,) = problems_of(config(BAGGING % "{estimator: sklearn.svm.SVR, params: {C: -1}}"), folder)
    assert only.endswith(SVR_C)


@pytest.mark.parametrize(
    "sections",
    [
        (BAGGING % "5",),
        (BAGGING % "{estimator: 5}",),
        (BAGGING % "{estimator: sklearn.svm.SVR, param: {C: 1}}",),
        (BAGGING % "{estimator: sklearn.svm.SVR, params: {1: 2}}",),
        (
            "model: {estimator: sklearn.ensemble.BaggingRegressor, params: {estimator__C: 5}}",
            "search: {parameters: {n_jobs: [1]}}",
        ),
        ("model: {estimator: sklearn.multioutput.MultiOutputRegressor}", "search: {parameters: {n_jobs: [1]}}"),
        ("model: {estimator: sklearn.pipeline.Pipeline}", "search: {parameters: {verbose: [true]}}"),
        ("model: {estimator: sklearn.model_selection.GridSearchCV}", "search: {parameters: {n_jobs: [1]}}"),
        (PIPELINE.replace("}}", "}, params: {steps: 5}}"), "search: {parameters: {verbose: [true]}}"),
        (PIPELINE.replace("}}", "}, params: {steps: []}}"), "search: {parameters: {verbose: [true]}}"),
        (PIPELINE.replace("}}", "}, params: {scale: 5}}"), SEARCH_SVR),
    ],
)
def test_a_part_that_is_no_estimator_is_a_problem_and_not_a_crash(sections, folder):
    assert problems_of(config(*sections), folder)


def test_a_step_may_be_passed_through(folder):
    assert problems_of(config(PIPELINE.replace("}}", "}, params: {scale: passthrough}}"), SEARCH_SVR), folder) == []


@pytest.mark.parametrize(
    "source", ['"a\\0.csv"', "~no-such-user-here/a.csv", "x" * 400 + ".csv"], ids=["null byte", "user", "long"]
)
def test_a_path_that_cannot_be_is_a_problem_and_not_a_crash(source, folder):
    (only,) = problems_of(config(f"data: {{source: {source}, target: y}}"), folder)
    assert only.startswith("1:16: data.source: ")


@pytest.mark.parametrize(
    "spec",
    ["{low: 0.0, high: 1.0, step: 5e-324}", "{low: 0, high: 100000000000000000000000, step: 2}"],
)
def test_a_range_of_countless_points_is_no_crash(spec, folder):
    search = f"search: {{method: random, trials: 2, parameters: {{alpha: {spec}}}, initial: [{{alpha: 1}}]}}"
    problems_of(config(search), folder)


@pytest.mark.parametrize("key", ["1", "1.5", "null", "true"])
def test_a_key_that_is_no_text_is_explained(key, folder):
    (only,) = problems_of(config() + f"{key}: 2\n", folder)
    assert only.startswith("4:1: ")
    assert only.endswith(": a key must be text; put it in quotes")


def test_a_file_that_is_not_there_is_named(tmp_path):
    from wine_sweep.config import read_config

    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "none.yaml")
    assert str(caught.value) == f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory"
