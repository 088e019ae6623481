"""The section `execution`: where trials are measured, what they may take, and what is put up with."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from wine_sweep.config.fields import Bytes, Count, Duration, Model, Text
from wine_sweep.config.problems import config_error

LEAST_MEMORY = 64 * 1024**2
"""The smallest limit, in bytes; Python with the libraries alone takes more."""

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})")
Again = Annotated[int, Field(strict=True, ge=0, le=100)]


class Backend(StrEnum):
    """Where trials are measured."""

    SERIAL = "serial"
    PROCESSES = "processes"
    DASK = "dask"

    @property
    def can_kill(self) -> bool:
        """Whether a trial runs in a process of its own, which can be ended from outside."""
        return self is not Backend.SERIAL


class RetriesConfig(Model):
    """How often a trial is measured again, by what went wrong; each cause is counted by itself.

    Args:
        worker: Its worker process died, or the machine that it was on left the cluster.
        timeout: It took longer than `trial_timeout`.
        memory: It used more than `memory_limit`.
        error: The estimator raised, or a metric was not finite.
    """

    worker: Again = 1
    timeout: Again = 0
    memory: Again = 0
    error: Again = 0


def _for_a_lost_worker(value: Any) -> Any:
    return {"worker": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _enough(value: int) -> int:
    if value < LEAST_MEMORY:
        raise config_error(f"must be at least 64MiB ({LEAST_MEMORY} bytes), got {value} bytes")
    return value


def _scheduler(value: str) -> str:
    found = _ADDRESS.fullmatch(value)
    if found is None or not 0 < int(found[3]) < 2**16:
        raise config_error(f"a scheduler's address is tcp://HOST:PORT or tls://HOST:PORT, got {value!r}")
    return value


class ExecutionConfig(Model):
    """Where trials run.

    Args:
        backend: ``processes`` on this machine, ``serial`` in this process, or a ``dask`` cluster.
        workers: How many trials run at a time: all cores by default, on a cluster as many as it has threads.
        address: The Dask scheduler; by default a cluster is started on this machine.
        trial_timeout: How long a trial may take, in seconds, all its steps together.
        memory_limit: How much memory a trial's processes may use together, in bytes.
        retries: How often a trial is measured again; a number is meant for lost workers.
        max_failures: The number of failed trials that ends the sweep.
        grace: How long what runs may take after somebody asked the sweep to stop, in seconds.
        tracking_timeout: How long the tracking store may be gone, in seconds.
    """

    backend: Backend = Backend.PROCESSES
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None
    address: Annotated[Text, AfterValidator(_scheduler)] | None = None
    trial_timeout: Duration | None = None
    memory_limit: Annotated[Bytes, AfterValidator(_enough)] | None = None
    retries: Annotated[
        RetriesConfig,
        BeforeValidator(_for_a_lost_worker, json_schema_input_type=Annotated[int, Field(ge=0, le=100)] | RetriesConfig),
    ] = RetriesConfig()
    max_failures: Count | None = None
    grace: Duration = 20.0
    tracking_timeout: Duration = 600.0

    @property
    def alone(self) -> ExecutionConfig:
        """The same limits for one trial, in a worker process on this machine."""
        return self.model_copy(update={"backend": Backend.PROCESSES, "workers": 1, "address": None})

    @model_validator(mode="after")
    def _serial_is_one(self) -> Self:
        if self.backend is Backend.SERIAL and self.workers not in (None, 1):
            raise config_error(f"backend serial has one worker; use `backend: processes` for {self.workers}", "workers")
        return self

    @model_validator(mode="after")
    def _only_processes_can_be_ended(self) -> Self:
        for name in ("trial_timeout", "memory_limit"):
            if getattr(self, name) is not None and not self.backend.can_kill:
                raise config_error("backend serial cannot end a trial; use `backend: processes`", name)
        return self

    @model_validator(mode="after")
    def _address_of_a_cluster(self) -> Self:
        if self.address is not None and self.backend is not Backend.DASK:
            raise config_error("is a Dask scheduler's; add `backend: dask`", "address")
        return self
