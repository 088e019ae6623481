"""Logging in as few calls as MLflow's limits allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from wine_sweep.trial import canonical_json

BATCH_METRICS = 800
BATCH_PARAMS = 100
BATCH_TAGS = 100
"""MLflow takes 1,000 entries in a batch, of which 100 parameters and 100 tags."""

MAX_TEXT = 6000
"""The longest value of a parameter."""

Item = TypeVar("Item")


def log_in_batches(
    client: MlflowClient,
    run_id: str,
    *,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log in one call, or in as many as MLflow's limits for a batch ask for; tags last, so that they vouch for the rest.

    Args:
        client: The open store.
        run_id: The run.
        metrics: What was measured.
        params: Parameters by name, their values as they are.
        tags: Tags by name.
    """
    batches = zip_longest(
        *(
            reversed(list(pieces))
            for pieces in (
                batched(metrics, BATCH_METRICS),
                batched([Param(key, _shown(value)) for key, value in (params or {}).items()], BATCH_PARAMS),
                batched([RunTag(key, str(value)) for key, value in (tags or {}).items()], BATCH_TAGS),
            )
        ),
        fillvalue=(),
    )
    for some_metrics, some_params, some_tags in reversed(list(batches)):
        client.log_batch(run_id, list(some_metrics), list(some_params), list(some_tags), synchronous=True)


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into pieces of at most `size` items."""
    return (items[first : first + size] for first in range(0, len(items), size))


def _shown(value: Any) -> str:
    text = canonical_json(value) if isinstance(value, list | dict) else str(value)
    return text[:MAX_TEXT]
