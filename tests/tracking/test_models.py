"""What a saved model needs is pinned by the distributions that its modules come from."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest
from sklearn.linear_model import Ridge

from wine_sweep.tracking import models
from wine_sweep.tracking.models import ModelToLog


class Boosted(Ridge):
    """As if it came from a package that several distributions bring along."""


@pytest.fixture
def _from_another_distribution(tmp_path, monkeypatch):
    (tmp_path / "xgboost.py").write_text("")
    information = tmp_path / "xgboost_cpu-3.0.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: xgboost-cpu\nVersion: 3.0.0\n")
    (information / "top_level.txt").write_text("xgboost\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "xgboost", raising=False)
    monkeypatch.setattr(Boosted, "__module__", "xgboost")
    models._installed.cache_clear()
    yield
    models._installed.cache_clear()


def test_a_model_pins_what_it_is_made_of():
    pinned = models._requirements(ModelToLog(Ridge(), None))
    names = ["cloudpickle", "numpy", "pandas", "scikit-learn", "scipy", "skops"]
    assert pinned == [f"{name}=={importlib.metadata.version(name)}" for name in names]


@pytest.mark.slow
@pytest.mark.usefixtures("_from_another_distribution")
def test_a_module_that_another_distribution_brings_along_is_pinned_by_that():
    if "xgboost" in importlib.metadata.packages_distributions() and _is_installed("xgboost"):
        pytest.skip("xgboost itself is installed here")
    pinned = models._requirements(ModelToLog(Boosted(), None))
    assert "xgboost-cpu==3.0.0" in pinned
    assert not [each for each in pinned if each.startswith("xgboost==")]


def _is_installed(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
