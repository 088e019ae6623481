"""A function that takes its time, notes when it began and ended, and misbehaves where it is told to."""

from __future__ import annotations

import os

from fault_command import note, work
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, root_mean_squared_error


def train(params, context):
    """Fit a line, and spoil it as far as the parameters say. The call for the winner's model, which has no fold, is not noted."""
    shift, scale, deed = params["shift"], params.get("scale", 0.0), params.get("deed", "work")
    who = (os.getpid(), shift, scale, deed)
    is_trial = context.fold is not None
    if is_trial:
        note("began", *who)
    work(shift, scale, deed, params["pause"])
    model = LinearRegression().fit(context.fit.features, context.fit.target)
    model.intercept_ += shift - 0.37
    model.coef_ = model.coef_ * (1.21 - scale)
    found = model.predict(context.measure.features)
    if is_trial:
        note("ended", *who)
    errors = {"rmse": root_mean_squared_error, "mae": mean_absolute_error}
    return {name: error(context.measure.target, found) for name, error in errors.items()}, model
