"""Every estimator of scikit-learn and of the boosting libraries, fitted with text for every parameter that takes text."""

from __future__ import annotations

import pytest
from tests.security.test_estimator_parameters import heard_of, is_listed


@pytest.mark.full_form
def test_no_estimator_has_a_parameter_that_the_list_lacks():
    assert {key: events for key, events in heard_of().items() if not is_listed(*key)} == {}
