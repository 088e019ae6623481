"""`GridSearchCV` on two cores under MLflow's autologging, with a child run for every point."""

from __future__ import annotations

import mlflow
from sklearn.model_selection import GridSearchCV

from benchmarks.peers.given import SCORING, given, move_to_staging, tell


def main() -> None:
    """Search; autologging logs the best model, which is then moved to Staging."""
    work = given()
    mlflow.set_experiment("wine-quality")
    mlflow.sklearn.autolog(max_tuning_runs=None, serialization_format="cloudpickle", silent=True)
    with mlflow.start_run(run_name=f"autolog-{work.name}") as run:
        search = GridSearchCV(work.model, work.parameters, scoring=SCORING, refit="rmse", cv=work.folds, n_jobs=2)
        search.fit(work.features, work.target)
        search.score(work.test_features, work.test_target)
    models = mlflow.search_logged_models(filter_string=f"source_run_id = '{run.info.run_id}'", output_format="list")
    best = next(model for model in models if model.name == "best_estimator")
    move_to_staging(best.model_uri)
    tell(search.best_params_, -search.best_score_, len(search.cv_results_["params"]))


if __name__ == "__main__":
    main()
