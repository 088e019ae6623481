"""Tables and models as people have them, each a config of its own: what it gives, or what it is told to write instead.

The configs, and the tables beside them, were collected or made for this; `penguins` are Gorman, Williams and Fraser's (2014).
Other tables are scikit-learn's, written here as people write them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from sklearn import datasets

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "tables"
ROOT = Path(__file__).parents[2]
FROM_SKLEARN = ("cancer", "diabetes", "iris")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The folder of all tables."""
    folder = tmp_path_factory.mktemp("tables") / "data"
    shutil.copytree(HERE / "data", folder)
    shutil.copy(ROOT / "configs/penguins.csv", folder)
    cancer, diabetes, iris = (
        getattr(datasets, f"load_{name}")(as_frame=True).frame for name in ("breast_cancer", "diabetes", "iris")
    )
    cancer.to_csv(folder / "cancer.csv", index=False)
    words = {"target": cancer["target"].map({0: "malignant", 1: "benign"})}
    cancer.assign(**words).to_csv(folder / "cancer_text.csv", index=False)
    iris.assign(target=iris["target"].map({0: "setosa", 1: "versicolor", 2: "virginica"})).to_csv(
        folder / "iris.csv", index=False
    )
    diabetes.to_csv(folder / "diabetes.csv", index=False)
    diabetes[:340].to_csv(folder / "diabetes_old.csv", index=False)
    diabetes[340:].to_csv(folder / "diabetes_new.csv", index=False)
    diabetes.to_csv(folder / "decimal.csv", index=False, sep=";", decimal=",")
    diabetes.to_csv(folder / "tab.tsv", index=False, sep="\t")
    diabetes.to_csv(folder / "with_index.csv")
    diabetes.to_feather(folder / "q.feather")
    diabetes.set_index("age").to_parquet(folder / "indexed.parquet")
    odd = {"age": "age [y]", "sex": "a<b", "bmi": "b m i", "bp": 'q"uo,te'}
    diabetes.rename(columns=odd).to_csv(folder / "oddnames.csv", index=False)
    return folder


@pytest.fixture
def wine_sweep(in_process, store, tables):
    """The command line, in a folder with all tables and one config."""

    def call(command, case, *arguments, registers=False):
        for each in (*HERE.glob("*.yaml"), HERE / "mymetrics.py"):
            shutil.copy(each, store.folder)
        if not (store.folder / "data").exists():
            (store.folder / "data").symlink_to(tables)
        text = (store.folder / f"{case}.yaml").read_text()
        if registers and "registry:" not in text:
            (store.folder / f"{case}.yaml").write_text(f"{text}\nregistry: {{name: {case}, gate: false}}\n")
        return in_process(command, f"{case}.yaml", *arguments)

    return call


@pytest.mark.parametrize(
    ("case", "code", "told"),
    [
        ("bin_text_f1", 2, ["evaluation.metrics.0: ", "write {metric: f1, positive: malignant}"]),
        ("es_xgb", 2, ["model.params.early_stopping_rounds: ", "`model.early_stopping`"]),
        ("ts_gap", 2, ["column 'date' holds ", "`data.time: date`"]),
        (
            "col_titanic_raw",
            2,
            [*(f"column '{each}'" for each in ("Name", "Sex", "Cabin", "Embarked", "boarded")), "preprocess: auto"],
        ),
        ("country", 0, ["column 'country' holds 'NA', read as a gap; write `data.keep_default_na: false`"]),
        ("col_zip", 0, ["column 'zip' holds 00000, read as the number 0; write `data.dtypes: {zip: text}`"]),
        ("fmt_withindex", 0, ["column 'Unnamed: 0' numbers the rows; write `data.drop: [\"Unnamed: 0\"]`"]),
    ],
)
def test_what_is_probably_not_meant_is_told_with_what_to_write(case, code, told, wine_sweep):
    done = wine_sweep("plan", case)
    assert done.returncode == code, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert [each for each in told if each not in said] == []


@pytest.mark.parametrize(
    ("case", "trials", "arguments"),
    [
        ("cb_min", 2, []),
        ("col_drop_key", 2, []),
        ("country", 2, []),
        ("country_kept", 2, []),
        ("fmt_decimal", 2, []),
        ("fmt_feather", 2, []),
        ("fmt_indexed", 2, []),
        ("fmt_tabtsv", 2, []),
        ("fraud_ap", 2, []),
        ("fraud_custom_file", 2, ["--trust", "mymetrics.py"]),
        ("fraud_fbeta_dict", 2, []),
        ("hgb_catidx", 2, []),
        ("lgbm_kwargs", 4, []),
        ("lgbm_noverbose", 2, []),
        ("oddnames_xgb", 1, []),
        ("own_test", 2, []),
        ("pen_ct_flat", 4, []),
        ("pen_hgb_cat_pq", 2, []),
        ("pen_nested_pipeline_key", 2, []),
        ("stack_pipe", 2, []),
        ("tfidf_ct", 2, []),
        ("ts_date_key", 2, []),
        ("ttr_func", 2, []),
        ("xgb_text_target", 2, []),
        (
            "es_xgb",
            2,
            ["--set", "model={estimator: xgboost.XGBClassifier, params: {n_estimators: 50}, early_stopping: {rounds: 5}}"],
        ),
        ("bin_text_f1", 2, ["--set", "evaluation.metrics=[{metric: f1, positive: malignant}]"]),
        ("ts_gap", 2, ["--set", "data.time=date"]),
        ("pen_nested_pipeline_key", 4, ["--set", "search.parameters.prep__num__impute__strategy=[mean, median]"]),
    ],
)
def test_it_is_swept_and_the_promoted_model_predicts_the_raw_table(case, trials, arguments, wine_sweep, store):
    done = wine_sweep("run", case, "--quiet", "--json", *arguments, registers=True)
    assert done.returncode == 0, done.stderr or done.stdout
    found = json.loads(done.stdout)
    assert found["trials"]["finished"] == trials, found["trials"]
    assert found["promotion"]["version"] == "1"
    if case == "fraud_ap":
        assert found["gate"]["comparison"]["metric"] == "average_precision"
        assert found["gate"]["comparison"]["low"] > 0.05
    mlflow.set_tracking_uri(store.uri)
    try:
        model = mlflow.pyfunc.load_model(f"models:/{case}@staging")
    finally:
        mlflow.set_tracking_uri(None)
    raw = table_of(store.folder / "data", case)
    predicted = model.predict(raw)
    assert len(predicted) == len(raw)
    row = {name: None if pd.isna(value) else value for name, value in raw.iloc[0].items()}
    (first,) = model.predict(pd.DataFrame([row]))
    assert first == (pytest.approx(predicted[0], rel=1e-6) if isinstance(predicted[0], float) else predicted[0])


def table_of(folder, case):
    """Read a case's table as its user would, without the target."""
    tables = {
        "bin_text_f1": "cancer_text.csv", "cb_min": "cancer.csv", "es_xgb": "cancer.csv", "lgbm_kwargs": "cancer.csv",
        "lgbm_noverbose": "cancer.csv", "stack_pipe": "cancer.csv", "col_drop_key": "with_id.csv", "country": "country.csv",
        "country_kept": "country.csv", "fraud_ap": "fraud.csv", "fraud_custom_file": "fraud.csv", "fraud_fbeta_dict": "fraud.csv",
        "hgb_catidx": "tnum.csv", "oddnames_xgb": "oddnames.csv", "own_test": "diabetes_new.csv", "pen_ct_flat": "penguins.csv",
        "pen_nested_pipeline_key": "penguins.csv", "tfidf_ct": "reviews.csv", "ts_date_key": "series.csv", "ts_gap": "series.csv",
        "ttr_func": "diabetes.csv", "xgb_text_target": "iris.csv",
    }  # fmt: skip
    if case == "fmt_decimal":
        table = pd.read_csv(folder / "decimal.csv", sep=";", decimal=",")
    elif case == "fmt_tabtsv":
        table = pd.read_csv(folder / "tab.tsv", sep="\t")
    elif case == "fmt_feather":
        table = pd.read_feather(folder / "q.feather")
    elif case == "fmt_indexed":
        table = pd.read_parquet(folder / "indexed.parquet").reset_index()
    elif case == "pen_hgb_cat_pq":
        table = pd.read_parquet(folder / "penguins_cat.parquet")
    else:
        table = pd.read_csv(folder / tables[case], keep_default_na=case != "country_kept")
    return table.drop(columns=[each for each in ("target", "species", "Survived", "fraud", "positive", "y") if each in table])
