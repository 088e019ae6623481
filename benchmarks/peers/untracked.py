"""scikit-learn's own search on two cores, Optuna's where a sampler is asked for; nothing is tracked. This is the limit."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate

from benchmarks.peers.given import SCORING, Given, given, tell


def main() -> None:
    """Search, fit the best, print it."""
    work = given()
    if work.trials is None:
        search = GridSearchCV(work.model, work.parameters, scoring=SCORING, refit="rmse", cv=work.folds, n_jobs=2)
        search.fit(work.features, work.target)
        tell(search.best_params_, -search.best_score_, len(search.cv_results_["params"]))
    else:
        _sample(work, work.trials)


def _sample(work: Given, trials: int) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        params: dict[str, Any] = work.suggest(trial)
        model = clone(work.model).set_params(**params)
        scores = cross_validate(model, work.features, work.target, cv=work.folds, scoring=SCORING, n_jobs=2)
        return float(-scores["test_rmse"].mean())

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    clone(work.model).set_params(**study.best_params).fit(work.features, work.target)
    tell(study.best_params, study.best_value, len(study.trials))


if __name__ == "__main__":
    main()
