"""What scikit-learn's estimators declare about the values of their own parameters."""

from __future__ import annotations

from typing import Any


def refusal(model: Any, name: str, value: Any) -> str | None:
    """Say why an estimator's declared constraints refuse a value, or None. Estimators that declare none refuse nothing.

    Args:
        model: The estimator, its nested estimators set.
        name: The parameter, as `set_params` takes it: ``alpha``, ``svr__C``.
        value: The value, nested estimators already made.
    """
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    owner, _, last = name.rpartition("__")
    if owner:
        model = model.get_params(deep=True).get(owner)
    constraints = getattr(model, "_parameter_constraints", {})
    if last not in constraints:
        return None
    try:
        validate_parameter_constraints({last: constraints[last]}, {last: value}, caller_name=type(model).__name__)
    except InvalidParameterError as error:
        return str(error)
    return None
