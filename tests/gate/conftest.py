"""Models of red wine whose strength can be chosen: the trees of one forest, averaged over some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from wine_sweep.config import DataConfig
from wine_sweep.data import load_table, make_dataset, split_rows
from wine_sweep.gate import sliceable
from wine_sweep.trial import DataRequirements, Task

RED = "wine-quality-red"


@dataclass(frozen=True)
class Wine:
    """Rows of red wine that no tree was trained on, and what each of 300 trees predicts for them."""

    target: np.ndarray
    groups: np.ndarray
    table: object
    trees: np.ndarray

    def model(self, trees, rng):
        """What a forest of so many of the trees predicts."""
        return self.trees[rng.permutation(len(self.trees))[:trees]].mean(axis=0)


@pytest.fixture(scope="session")
def wine():
    config = DataConfig(source=RED, test_size=0.4, seed=0)
    data = make_dataset(load_table(RED), config, source=RED, needs=DataRequirements(Task.REGRESSION, True, False, "a forest"))
    split = split_rows(data, config, task=Task.REGRESSION, in_time=False)
    features, target = data.features.to_numpy(), data.target.to_numpy()
    forest = RandomForestRegressor(300, min_samples_leaf=2, random_state=0).fit(features[split.train], target[split.train])
    trees = np.array([tree.predict(features[split.test]) for tree in forest.estimators_])
    return Wine(target[split.test], data.groups[split.test], sliceable(data).iloc[split.test], trees)
