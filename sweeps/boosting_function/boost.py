"""Gradient boosting, a few rounds at a time: after each, it says how it does, and may be told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

if TYPE_CHECKING:
    from wine_sweep import TrialContext

ROUNDS = 120
EVERY = 10


def train(params: dict[str, Any], context: TrialContext) -> tuple[dict[str, float], GradientBoostingRegressor]:
    """Fit on `context.fit`, measure on `context.measure`.

    Args:
        params: `learning_rate`, `max_depth`, `subsample` and whatever else the model takes.
        context: The rows, the seed, and who is told of each step.

    Returns:
        The metrics, and the fitted model.
    """
    fit, measure = context.fit, context.measure
    model = GradientBoostingRegressor(**params, warm_start=True, random_state=context.seed)
    curve = []
    for rounds in range(EVERY, ROUNDS + 1, EVERY):
        model.set_params(n_estimators=rounds).fit(fit.features, fit.target)
        predicted = model.predict(measure.features)
        rmse = root_mean_squared_error(measure.target, predicted)
        curve.append(f"{rounds},{rmse:.6f}")
        context.report(rounds, rmse=rmse)
    context.log_text("rounds,rmse\n" + "\n".join(curve) + "\n", "curve.csv")
    return {"rmse": rmse, "mae": mean_absolute_error(measure.target, predicted)}, model
