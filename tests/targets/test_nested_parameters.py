"""What is planned of parameters that lead into steps, pipelines and functions that are themselves searched."""

import pytest

from wine_sweep.config import read_config
from wine_sweep.errors import ConfigError
from wine_sweep.search.methods import count_trials
from wine_sweep.targets.prepare import prepare

START = """\
data: {{source: t.csv, target: y, duplicates: keep}}
model: {model}
search: {{parameters: {parameters}{more}}}
evaluation: {{cv: 3}}
"""
PCA = "{estimator: sklearn.decomposition.PCA}"
REDUCED = "{pipeline: {reduce: sklearn.decomposition.PCA, clf: sklearn.linear_model.LogisticRegression}}"
MIXED = """{pipeline: {
  prep: {pipeline: {table: {estimator: sklearn.compose.ColumnTransformer, params: {transformers: [
    [num, {pipeline: {impute: sklearn.impute.SimpleImputer, scale: sklearn.preprocessing.MinMaxScaler}}, {dtype: number}],
    [text, {estimator: sklearn.preprocessing.OneHotEncoder, params: {handle_unknown: ignore}}, {dtype: text}]]}}}},
  clf: {estimator: xgboost.XGBClassifier, params: {n_estimators: 2}}}}"""


@pytest.fixture
def planned(tmp_path):
    def plan(model, parameters, more=""):
        rows = "".join(
            f"{row % 7},{row * 5 % 11},{'xyz'[row % 3] if 'dtype' in model else row},{'ab'[row % 2]}\n" for row in range(60)
        )
        (tmp_path / "t.csv").write_text("a,b,c,y\n" + rows)
        (tmp_path / "c.yaml").write_text(START.format(model=model, parameters=parameters, more=more))
        return prepare(read_config(tmp_path / "c.yaml"))

    return plan


def refusals(planned, *args):
    with pytest.raises(ConfigError) as caught:
        planned(*args)
    return [str(problem).partition(": ")[2] for problem in caught.value.problems]


def test_a_parameter_of_a_step_is_searched_only_where_the_step_has_it(planned):
    when = f"reduce: [passthrough, {PCA}], reduce__n_components: {{choices: [2, 3], when: {{reduce: [{PCA}]}}}}, clf__C: [0.1, 1]"
    ready = planned(REDUCED, f"{{{when}}}")
    assert count_trials(ready.config.search, ready.space) == 6
    made = [
        ready.factory.make({"reduce": each, "clf__C": 1, **more}).named_steps["reduce"]
        for each, more in (("passthrough", {}), ({"estimator": "sklearn.decomposition.PCA"}, {"reduce__n_components": 3}))
    ]
    assert made[0] == "passthrough"
    assert made[1].n_components == 3


def test_without_that_condition_it_is_an_error_unless_constraints_may_rule_it_out(planned):
    parameters = f"{{reduce: [{PCA}, passthrough], reduce__n_components: [2, 3], clf__C: [0.1, 1]}}"
    (said, again) = refusals(planned, REDUCED, parameters)
    assert said == (
        "search.parameters.reduce__n_components.0: 'reduce' is 'passthrough' (text), which has no parameters;"
        " name by `when` its values that have this one"
    )
    assert again == said.replace("components.0", "components.1")
    assert planned(REDUCED, parameters, ", constraints: [clf__C < 5]").space.names == ["reduce", "reduce__n_components", "clf__C"]


def test_a_condition_on_a_condition_counts(planned):
    kinds = f"reduce: [passthrough, {PCA}], reduce__whiten: {{choices: [true, false], when: {{reduce: [{PCA}]}}}}"
    third = "reduce__n_components: {choices: [2], when: {reduce__whiten: true}}"
    assert len(planned(REDUCED, f"{{{kinds}, {third}}}").space.names) == 3


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("{reduce: [sklearn.decomposition.PCA, PCA]}", "search.parameters.reduce.1: expected a dotted path such as"),
        ("{reduce: [sklearn.decomposition.PCAA]}", "search.parameters.reduce.0: there is no 'PCAA' in sklearn.decomposition"),
        ("{reduce: [{pipeline: {a: {estimator: sklearn.decomposition.PCA, params: {whitn: true}}}}]}",
         "search.parameters.reduce.0.pipeline.a.params.whitn: PCA has no parameter 'whitn'; did you mean 'whiten'?"),
        ("{reduce: [{pipeline: {a: sklearn.decomposition.PCA}, params: {memory: cache}}]}",
         "search.parameters.reduce.0.params.memory: joblib writes into that folder"),
        ("{clf__solver: [lbfgs, numpy.log1p]}", "search.parameters.clf__solver.1: The 'solver' parameter of LogisticReg"),
    ],
)  # fmt: skip
def test_a_searched_value_that_cannot_be_used_is_an_error_at_its_place(planned, parameters, expected):
    (said,) = refusals(planned, REDUCED, parameters)
    assert said.startswith(expected)


def test_a_mixed_table_is_planned_with_pipelines_in_pipelines(planned):
    names = "prep__table__num__scale__feature_range: [[0, 1], [-1, 1]], prep__table__num__impute__strategy: [mean, numpy.nanmax]"
    ready = planned(MIXED, f"{{{names}}}")
    assert ready.subject == "ColumnTransformer > XGBClassifier"
    assert ready.packages == ["sklearn", "xgboost"]
    assert not ready.needs.numbers
    params = {"prep__table__num__scale__feature_range": [-1, 1], "prep__table__num__impute__strategy": "numpy.nanmax"}
    model = ready.factory.make(params)
    rows, target = ready.material.dataset.features, ready.material.dataset.target == "a"
    shape = model.fit(rows, target)[:-1].transform(rows).shape
    assert shape == (60, 5)
    assert model.get_params()["prep__table__num__scale__feature_range"] == (-1, 1)


def test_a_config_without_nested_pipelines_is_dumped_as_before(planned):
    dumped = planned(REDUCED, "{clf__C: [0.1, 1]}").config.model_dump(mode="json")["model"]["pipeline"]
    assert dumped["reduce"] == {"estimator": "sklearn.decomposition.PCA", "params": {}}
    nested = planned(MIXED, "{prep__table__num__impute__strategy: [mean]}").config.model_dump(mode="json")["model"]["pipeline"]
    assert list(nested["prep"]) == ["pipeline", "params"]
    assert list(nested["prep"]["pipeline"]["table"]) == ["estimator", "params"]
