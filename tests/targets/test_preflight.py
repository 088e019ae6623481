"""What is known before anything runs."""

import pathlib
import pickle

import numpy as np
import pytest

from wine_sweep.config import Direction, Duplicates, read_config
from wine_sweep.data.table import NAMES
from wine_sweep.errors import ConfigError
from wine_sweep.promotion.promote import Challenger
from wine_sweep.targets.prepare import prepare
from wine_sweep.trial import Task, Trial

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))
CONFIG = """\
data: {source: tables/t.csv, target: y, test_size: 0.2, seed: 3}
model: {estimator: sklearn.linear_model.ElasticNet, params: {max_iter: 500}}
search: {parameters: {alpha: [0.1, 1]}, seed: 11}
evaluation: {cv: 4, metrics: [r2, rmse]}
objective: {metric: rmse}
"""
PACKAGE = """\
from sklearn.linear_model import Ridge

class Mine(Ridge):
    pass
"""


def prepare_file(path: pathlib.Path, *, overrides=(), trusted=()):
    return prepare(read_config(path, overrides), trusted=trusted)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tables").mkdir()
    rows = "".join(f"{row},{row * 7 % 11},{row * 3 % 13}.5\n" for row in range(50))
    (tmp_path / "tables" / "t.csv").write_text("a,b,y\n" + rows)
    return tmp_path


def prepared(folder, text=CONFIG, **options):
    (folder / "sweep.yaml").write_text(text)
    return prepare_file(folder / "sweep.yaml", **options)


def refusals(folder, text, **options):
    with pytest.raises(ConfigError) as caught:
        prepared(folder, text, **options)
    return [str(problem).removeprefix(f"{folder / 'sweep.yaml'}:") for problem in caught.value.problems]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_can_run(path):
    ready = prepare_file(path)
    material = ready.material
    assert ready.name == ready.config.name
    assert ready.metrics[0].name == ready.objective.metric == ready.config.objective[0].metric
    assert {metric.name for metric in ready.metrics} == {each.plain_name for each in ready.config.evaluation.metrics}
    assert len(ready.metrics) == len(ready.config.evaluation.metrics)
    assert ready.config.data.source in NAMES or pathlib.Path(ready.config.data.source).parent == path.parent
    assert ready.config.data.target == material.dataset.target.name
    assert ready.draft.text == path.read_text()
    share = len(material.split.test) / len(material.dataset.target)
    assert share == pytest.approx(ready.config.data.test_size, abs=0.02)


def test_models_whose_steps_run_in_another_order_are_not_the_same_model(folder):
    scale, reduce = "scale: {estimator: sklearn.preprocessing.StandardScaler}", "cut: {estimator: sklearn.decomposition.PCA}"
    last = "ridge: {estimator: sklearn.linear_model.Ridge}"

    def key(*steps):
        pipeline = "{" + ", ".join([*steps, last]) + "}"
        text = f"""\
data: {{source: tables/t.csv, target: y}}
model: {{pipeline: {pipeline}}}
search: {{parameters: {{ridge__alpha: [1, 2]}}}}
"""
        plan = prepared(folder, text)
        return Challenger(plan, Trial(0, {"ridge__alpha": 1}), None, None, None, "m").key

    assert key(scale, reduce) == key(scale, reduce) != key(reduce, scale)


def test_what_is_prepared_fits_together(folder):
    ready = prepared(folder)
    assert ready.name == "sweep"
    assert ready.draft.folder == folder
    assert ready.draft.text == CONFIG
    assert ready.needs.task is Task.REGRESSION
    assert [metric.name for metric in ready.metrics] == ["rmse", "r2"]
    assert (ready.objective.metric, ready.objective.direction, ready.objective.evaluation) == (
        "rmse",
        Direction.MINIMIZE,
        "4 folds",
    )
    assert len(ready.material.split.test) == 10
    assert len(ready.material.folds) == 4
    assert sorted(row for fold in ready.material.folds for row in fold.measure) == list(range(40))


def test_workers_get_the_training_rows_and_no_test_row(folder):
    ready = prepared(folder)
    measurement = pickle.loads(pickle.dumps(ready.task()))
    train = ready.material.split.train
    assert measurement.features["a"].tolist() == train.tolist()  # column a counts the rows
    assert measurement.features.index.tolist() == list(range(40))
    np.testing.assert_array_equal(measurement.target, ready.material.dataset.target.to_numpy()[train])


def test_without_metrics_the_usual_ones_are_measured_and_the_first_decides(folder):
    text = "\n".join(CONFIG.splitlines()[:3]) + "\n"
    ready = prepared(folder, text)
    assert [metric.name for metric in ready.metrics] == ["rmse", "mae", "r2"]
    assert (ready.objective.metric, ready.objective.direction) == ("rmse", Direction.MINIMIZE)


def test_of_listed_metrics_the_first_decides(folder):
    ready = prepared(folder, CONFIG.replace("objective: {metric: rmse}\n", ""))
    assert (ready.objective.metric, ready.objective.direction) == ("r2", Direction.MAXIMIZE)


def test_an_objective_that_is_not_listed_is_measured_too(folder):
    ready = prepared(folder, CONFIG.replace("{metric: rmse}", "{metric: mae}"))
    assert [metric.name for metric in ready.metrics] == ["mae", "r2", "rmse"]


def test_a_given_direction_that_fits_is_fine(folder):
    assert prepared(folder, CONFIG.replace("{metric: rmse}", "{metric: r2, direction: maximize}")).objective.metric == "r2"


# Where the data is -------------------------------------------------------------------------------------------------------


def test_a_relative_path_starts_at_the_config(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    ready = prepared(folder)
    assert ready.config.data.source == str(folder / "tables" / "t.csv")
    assert ready.material.dataset.name == "t.csv"


def test_a_config_named_by_a_relative_path_finds_its_data(folder, monkeypatch):
    (folder / "sweep.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder / "tables")
    assert prepare_file(pathlib.Path("../sweep.yaml")).config.data.source == str(folder / "tables" / "t.csv")


def test_a_path_of_an_override_starts_at_the_config_too(folder):
    (folder / "u.csv").write_text((folder / "tables" / "t.csv").read_text())
    assert prepared(folder, overrides=["data.source=u.csv"]).config.data.source == str(folder / "u.csv")


def test_an_absolute_path_stays(folder, tmp_path_factory):
    text = CONFIG.replace("tables/t.csv", str(folder / "tables" / "t.csv"))
    assert prepared(tmp_path_factory.mktemp("other"), text).config.data.source == str(folder / "tables" / "t.csv")


# Seeds -------------------------------------------------------------------------------------------------------------------


def test_the_data_seed_decides_the_test_rows(folder):
    first, again, other = (prepared(folder, overrides=[f"data.seed={seed}"]) for seed in (3, 3, 4))
    assert first.material.split.test.tolist() == again.material.split.test.tolist()
    assert first.material.split.test.tolist() != other.material.split.test.tolist()


def test_the_search_seed_changes_no_rows(folder):
    first, other = (prepared(folder, overrides=[f"search.seed={seed}"]) for seed in (3, 4))
    assert first.material.split.test.tolist() == other.material.split.test.tolist()
    assert [fold.measure.tolist() for fold in first.material.folds] == [fold.measure.tolist() for fold in other.material.folds]


def test_the_evaluations_seed_changes_the_folds_and_not_the_test_rows(folder):
    first, other = (prepared(folder, overrides=[f"evaluation.cv={{folds: 4, seed: {seed}}}"]) for seed in (3, 4))
    assert first.material.split.test.tolist() == other.material.split.test.tolist()
    assert [fold.measure.tolist() for fold in first.material.folds] != [fold.measure.tolist() for fold in other.material.folds]


def test_a_random_state_that_is_left_open_gets_the_search_seed(folder):
    model = prepared(folder).factory.make({"alpha": 0.1})
    assert (model.alpha, model.max_iter, model.random_state) == (0.1, 500, 11)


@pytest.mark.parametrize(("chosen", "state"), [("42", 42), ("null", None)])
def test_a_random_state_that_is_chosen_stays(chosen, state, folder):
    text = CONFIG.replace("max_iter: 500", f"random_state: {chosen}")
    assert prepared(folder, text).factory.make({"alpha": 0.1}).random_state == state


def test_the_random_states_of_steps_are_seeded(folder):
    text = CONFIG.replace(
        "estimator: sklearn.linear_model.ElasticNet, params: {max_iter: 500}",
        "pipeline: {pca: sklearn.decomposition.PCA, net: {estimator: sklearn.linear_model.Lasso, params: {random_state: 1}}}",
    ).replace("alpha:", "net__alpha:")
    model = prepared(folder, text).factory.make({"net__alpha": 0.1})
    assert (model["pca"].random_state, model["net"].random_state) == (11, 1)


# Trust -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("site")
    (place / "wine_sweep_test_mine.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(place)
    return CONFIG.replace("sklearn.linear_model.ElasticNet, params: {max_iter: 500}", "wine_sweep_test_mine.Mine")


def test_a_package_outside_needs_trust(folder, mine):
    expected = "2:20: model.estimator: the package 'wine_sweep_test_mine' is not trusted; run with --trust wine_sweep_test_mine"
    (only,) = refusals(folder, mine)
    assert only == f"{expected} if you trust its code"


def test_trust_in_another_package_is_not_enough(folder, mine):
    (only,) = refusals(folder, mine, trusted=["wine_sweep_test"])
    assert "is not trusted" in only


def test_a_trusted_package_is_used(folder, mine):
    ready = prepared(folder, mine, trusted=["wine_sweep_test_mine"])
    assert type(ready.factory.make({"alpha": 0.5})).__name__ == "Mine"
    assert ready.needs.model == "Mine"


def test_trust_reaches_estimators_within_parameters(folder, mine):
    text = mine.replace(
        "estimator: wine_sweep_test_mine.Mine",
        "estimator: sklearn.ensemble.BaggingRegressor, params: {estimator: {estimator: wine_sweep_test_mine.Mine}}",
    ).replace("alpha: [0.1, 1]", "n_estimators: [2]")
    ready = prepared(folder, text, trusted=["wine_sweep_test_mine"])
    assert type(ready.factory.make({"n_estimators": 2}).estimator).__name__ == "Mine"


def test_no_config_can_trust(folder, mine):
    assert any("unknown key" in problem for problem in refusals(folder, mine + "trust: [wine_sweep_test_mine]\n"))


def test_a_module_within_a_trusted_module_is_not_found_and_no_crash(folder, mine):
    text = mine.replace("wine_sweep_test_mine.Mine", "wine_sweep_test_mine.inner.Mine")
    (only,) = refusals(folder, text, trusted=["wine_sweep_test_mine"])
    assert "there is no module 'wine_sweep_test_mine.inner'" in only


def test_a_trusted_package_that_is_not_installed_is_named(folder):
    text = CONFIG.replace("sklearn.linear_model.ElasticNet, params: {max_iter: 500}", "wine_sweep_test_none.Mine")
    (only,) = refusals(folder, text, trusted=["wine_sweep_test_none"])
    assert only == "2:20: model.estimator: 'wine_sweep_test_none' is not installed: pip install wine_sweep_test_none"


# What depends on what ----------------------------------------------------------------------------------------------------


def test_a_broken_section_does_not_hide_the_others(folder):
    text = CONFIG.replace("test_size: 0.2", "test_size: 2").replace("[r2, rmse]", "[r2, rsme]").replace("[0.1, 1]", "[0.1, -1]")
    places = [problem.partition(": ")[2].partition(":")[0] for problem in refusals(folder, text)]
    assert places == ["data.test_size", "search.parameters.alpha.1", "evaluation.metrics.1"]


def test_duplicates_are_dropped_before_anything_is_split(folder):
    (folder / "tables" / "t.csv").write_text("a,b,y\n" + "".join(f"{row % 30},{row % 30},{row % 30}.5\n" for row in range(60)))
    ready = prepared(folder, overrides=["data.duplicates=drop"])
    assert ready.config.data.duplicates is Duplicates.DROP
    assert len(ready.material.dataset.target) == 30


def test_a_step_with_an_imputer_first_lets_gaps_through(folder):
    (folder / "tables" / "t.csv").write_text(
        "a,b,y\n" + "".join(f"{row},{row if row % 3 else ''},{row}.5\n" for row in range(40))
    )
    assert any("cannot take gaps" in problem for problem in refusals(folder, CONFIG))
    text = CONFIG.replace(
        "estimator: sklearn.linear_model.ElasticNet, params: {max_iter: 500}",
        "pipeline: {impute: sklearn.impute.SimpleImputer, net: sklearn.linear_model.ElasticNet}",
    ).replace("alpha:", "net__alpha:")
    assert prepared(folder, text).material.dataset.features["b"].isna().sum() == 14
