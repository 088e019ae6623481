"""Read and write MLflow's Model Registry, one process of this machine at a time.

Of two promotions on different machines, `ModelRegistry.move` tells the one that came first.
"""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from filelock import Timeout
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from wine_sweep.config import Stage
from wine_sweep.errors import NotFoundError, OwnershipError, TrackingError
from wine_sweep.registry.audit_log import PREFIX
from wine_sweep.tracking import names
from wine_sweep.tracking.causes import came_second, is_missing
from wine_sweep.tracking.local_state import alone_on_machine
from wine_sweep.tracking.retry import RetryPolicy
from wine_sweep.tracking.store import all_pages, translated_errors

PATIENCE_SECONDS = 60.0
"""How long another promotion on this machine is waited for; it takes a second or two."""


@contextmanager
def exclusive(name: str, *, doing: str = "promoting", patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the only process on this machine that does something with a registered model.

    Args:
        name: The registered model.
        doing: What is done.
        patience: How long another process that does it is waited for, in seconds.

    Raises:
        OwnershipError: Another process does it, and does not end in time.
    """
    digest = hashlib.sha256(f"{doing} {name}".encode()).hexdigest()
    with ExitStack() as held:
        try:
            held.enter_context(alone_on_machine("locks", f"model-{digest[:32]}", patience=patience))
        except Timeout as error:
            raise OwnershipError(f"another process on this machine is {doing} {name}") from error
        yield


_logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_NO_STAGE = "None"
_NUMBER = re.compile(r"[0-9]{1,18}")


STAGES = frozenset(stage.value for stage in Stage)
"""The stages that hold one version at a time; beside them MLflow knows ``None`` and ``Archived``."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, and where it is.

    Args:
        name: The registered model.
        version: Its version.
        stage: MLflow's stage; ``None`` as text where it is in none.
        run_id: The run that it comes from; empty where there is none.
        source: The URI of its files.
        tags: Those of its tags that promotions go by: its entries of the ledger, and the key of its model.
    """

    name: str
    version: str
    stage: str
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}/{self.version}"


class RegisteredModels:
    """Reads registered models, and changes one thing at a time.

    Args:
        client: The open store.
        policy: Tries each step again while the store is away; by default nothing is tried again.
    """

    def __init__(self, client: MlflowClient, policy: RetryPolicy | None = None) -> None:
        self._client = client
        self._policy = policy or RetryPolicy(0)

    def versions(self, name: str) -> list[RegisteredVersion]:
        """List all versions of a registered model, the oldest first; none where there is no such model.

        Raises:
            TrackingError: The registry failed, or has a version that is no number.
        """
        if not name or {"'", '"'} <= set(name):
            return []  # MLflow has no name for such a model to be asked by
        found = self._step(f"read the model {name}", lambda: self._search(name))
        found_versions = [_registered(name, each) for each in found]
        strange = next((each.version for each in found_versions if not _NUMBER.fullmatch(each.version)), None)
        if strange is not None:
            raise TrackingError(f"the registered model '{name}' has a version {strange[:60]!r}; MLflow numbers versions from 1")
        return sorted(found_versions, key=lambda each: int(each.version))

    def all_in_stage(self, name: str, stage: Stage, *, among: list[RegisteredVersion] | None = None) -> list[RegisteredVersion]:
        """List the versions in a stage, the oldest first: one, unless somebody put several there by hand.

        Where none is, it is the one with the stage's alias, if that is in no stage at all: somebody may go by aliases alone, as
        everybody has to in an MLflow that has no stages any more.

        Args:
            name: The registered model.
            stage: The stage.
            among: All of its versions, where they have been read already.
        """
        versions = self.versions(name) if among is None else among
        here = [each for each in versions if each.stage == stage.value]
        if here or not versions:
            return here
        alias = self.alias_of(name, stage)
        return [each for each in versions if each.version == alias and each.stage == _NO_STAGE]

    def in_stage(self, name: str, stage: Stage) -> RegisteredVersion | None:
        """Return the version in a stage, the newest of several; None when there is none."""
        here = self.all_in_stage(name, stage)
        return here[-1] if here else None

    def find(self, name: str, version: str) -> RegisteredVersion:
        """Return a version by its number.

        Raises:
            NotFoundError: There is no such model, or no such version.
        """
        versions = self.versions(name)
        found = next((each for each in versions if each.version == version), None)
        if found is None:
            there = ", ".join(each.version for each in versions[-10:])
            raise NotFoundError(
                f"there is no version {version} of {name}; there are: {there}" if versions else self.no_model(name)
            )
        return found

    def no_model(self, name: str) -> str:
        """Report that there is no such registered model, and which there are; or that it has no version."""
        found = self._step("list the registered models", lambda: self._client.search_registered_models(max_results=20))
        if name in [each.name for each in found]:
            return f"the registered model '{name}' has no version"
        return f"there is no registered model '{name}'; there are: {', '.join(each.name for each in found) or 'none'}"

    def register(
        self, name: str, *, model_uri: str, run_id: str, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredVersion:
        """Make a logged model a version of a registered model; it is in no stage yet. Again gives the same version.

        Raises:
            TrackingError: The registry failed.
        """
        what = f"register a version of {name}"
        self._step(what, lambda: self._ensure(name))
        version = self._step(what, lambda: self._version(name, model_uri, run_id, description, dict(tags or {})))
        return self.find(name, version)

    def alias_of(self, name: str, stage: Stage) -> str | None:
        """Return the version that has a stage's alias."""
        return self._step(f"read the model {name}", lambda: self._alias(name, stage))

    @property
    def has_stages(self) -> bool:
        """Return whether this MLflow knows stages still."""
        return hasattr(self._client, "transition_model_version_stage")

    def transition(self, name: str, version: str, stage: str) -> None:
        """Put a version into one of MLflow's stages; what is in Staging or Production is archived, in the same transaction."""
        transition = getattr(self._client, "transition_model_version_stage", None)
        if transition is None:
            _logger.warning("this MLflow has no stages any more; only the alias tells the versions apart")
            return

        def move() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                transition(name, version, stage, archive_existing_versions=stage in STAGES)

        self._step(f"promote to {name} {stage}", move)

    def agree(self, name: str, stage: Stage, version: str) -> None:
        """Have the aliases say of a version what its stage says."""

        def set_aliases() -> None:
            if self._alias(name, stage) != version:
                self._client.set_registered_model_alias(name, stage.alias, version)
            for left in set(Stage) - {stage}:
                if self._alias(name, left) == version:  # it came from there, and a version is in one stage only
                    self._client.delete_registered_model_alias(name, left.alias)

        self._step(f"set the alias of {name} {stage.value}", set_aliases)

    def set_tag(self, name: str, version: str | None, key: str, value: str) -> None:
        """Set a tag of a version, or of the registered model."""

        def write() -> None:
            if version is None:
                self._ensure(name)
                self._client.set_registered_model_tag(name, key, value)
            else:
                self._client.set_model_version_tag(name, version, key, value)

        self._step(f"write into the ledger of {name}", write)

    def tags_of(self, name: str) -> dict[str, str]:
        """Read the tags of a registered model, those of its versions not among them; none where there is no such model."""

        def read() -> dict[str, str]:
            try:
                return dict(self._client.get_registered_model(name).tags)
            except MlflowException as error:
                if not is_missing(error):
                    raise
                return {}

        return self._step(f"read the model {name}", read)

    def _step(self, what: str, do: Callable[[], Result]) -> Result:
        return self._policy.run(translated_errors(what)(do))

    def _version(self, name: str, model_uri: str, run_id: str, description: str, tags: dict[str, str]) -> str:
        """Return the version that a logged model has, made if it has none."""
        for each in self._search(name):
            if each.run_id == run_id and each.source == model_uri:
                return str(each.version)
        model_id = model_uri.removeprefix("models:/")
        made = self._client.create_model_version(name, model_uri, run_id, tags=tags, description=description, model_id=model_id)
        return str(made.version)

    def _ensure(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            if not is_missing(error):
                raise
            try:
                self._client.create_registered_model(name, description="Promoted by wine_sweep.")
            except MlflowException as second:
                if not came_second(second):
                    raise

    def _search(self, name: str) -> list[ModelVersion]:
        found: Iterator[ModelVersion] = all_pages(
            lambda token: self._client.search_model_versions(f"name = {_quoted(name)}", page_token=token),
            lambda each: str(each.version),
            f"read the model {name}",
        )
        return list(found)

    def _alias(self, name: str, stage: Stage) -> str | None:
        try:
            version = str(self._client.get_model_version_by_alias(name, stage.alias).version)
        except MlflowException as error:
            if is_missing(error) or error.error_code == "INVALID_PARAMETER_VALUE":
                return None
            raise
        return version


def _registered(name: str, found: ModelVersion) -> RegisteredVersion:
    own = {key: value for key, value in found.tags.items() if key.startswith(PREFIX) or key == names.MODEL_KEY}
    return RegisteredVersion(name, str(found.version), str(found.current_stage), found.run_id or "", found.source or "", own)


def _quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"
