"""`GridSearchCV` on two cores under MLflow's autologging, with a child run for every point; the best model is logged by hand.

Autologging could log it too, but would start Python again to find out its requirements, which nobody can tell it.
"""

from __future__ import annotations

import mlflow
from sklearn.model_selection import GridSearchCV

from benchmarks.peers.given import SCORING, given, put_in_staging, tell


def main() -> None:
    """Search, and move the best model to Staging."""
    work = given()
    mlflow.set_experiment("wine-quality")
    mlflow.sklearn.autolog(max_tuning_runs=None, log_models=False, silent=True)
    with mlflow.start_run(run_name=f"autolog-{work.name}"):
        search = GridSearchCV(work.model, work.parameters, scoring=SCORING, refit="rmse", cv=work.folds, n_jobs=2)
        search.fit(work.features, work.target)
        put_in_staging(work, search.best_params_, model=search.best_estimator_)
    tell(search.best_params_, -search.best_score_, len(search.cv_results_["params"]))


if __name__ == "__main__":
    main()
