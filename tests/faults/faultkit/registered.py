"""What MLflow says of a registered model, asked by its own client: stage, alias, ledger, and whether it predicts."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import dataclass

from mlflow import MlflowClient

LEDGER = "wine_sweep.ledger."
ROWS = 5
"""How many rows are predicted."""


@dataclass(frozen=True)
class Found:
    """A registered model, as MLflow tells of it.

    Args:
        staged: The versions in Staging.
        alias: The version with the alias ``staging``.
        versions: All versions.
        twice: How many versions are of a model that has one already.
        ledger: The entries that ``wine_sweep`` has left, the oldest first, as they stand in tags.
    """

    staged: list[str]
    alias: str | None
    versions: list[str]
    twice: int
    ledger: list[dict[str, object]]

    @property
    def done(self) -> list[str]:
        """The versions that were put into Staging one after the other, as far as the ledger says."""
        moves = [each for each in self.ledger if each["progress"] == "done" and each["action"] != "kept"]
        return [str(each["after"]) for each in moves if each["stage"] == "Staging"]

    @property
    def begun(self) -> int:
        return sum(each["progress"] == "begun" for each in self.ledger)


def look(client: MlflowClient, name: str) -> Found:
    """Ask MLflow's own client."""
    versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda each: int(each.version))
    model = client.get_registered_model(name)
    tags = {**model.tags}
    for version in versions:
        tags |= version.tags
    sources = Counter(version.source for version in versions)
    alias = model.aliases.get("staging")
    return Found(
        staged=[str(version.version) for version in versions if version.current_stage == "Staging"],
        alias=None if alias is None else str(alias),
        versions=[str(version.version) for version in versions],
        twice=sum(count - 1 for count in sources.values()),
        ledger=[json.loads(tags[key]) for key in sorted(tags) if key.startswith(LEDGER)],
    )


def predicts(uri: str, name: str) -> bool:
    """Whether what is in Staging loads as its users load it, and predicts a number for each row."""
    import mlflow
    import numpy as np
    import pandas as pd

    mlflow.set_tracking_uri(uri)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = mlflow.pyfunc.load_model(f"models:/{name}/Staging")
            rows = pd.DataFrame(np.ones((ROWS, 11)), columns=model.metadata.get_input_schema().input_names())
            predicted = np.asarray(model.predict(rows))
    finally:
        mlflow.set_tracking_uri(None)
    return predicted.shape == (ROWS,) and bool(np.isfinite(predicted).all())


def complaints(found: Found, *, settled: bool = True) -> list[str]:
    """Say what is not as it should be.

    Args:
        found: What MLflow says.
        settled: Whether alias and ledger have to agree by now.
    """
    wrong = []
    if len(found.staged) != 1:
        wrong.append(f"in Staging: {found.staged}")
    if found.twice:
        wrong.append(f"{found.twice} versions too many")
    if not settled:
        return wrong
    if [found.alias] != found.staged:
        wrong.append(f"the alias is on {found.alias}, in Staging is {found.staged}")
    if found.begun:
        wrong.append(f"{found.begun} entries of the ledger have begun and not ended")
    if found.done[-1:] != found.staged:
        wrong.append(f"the ledger says {found.done}, in Staging is {found.staged}")
    return wrong
