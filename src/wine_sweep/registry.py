"""The MLflow Model Registry: a version, its stage, and the alias that always agrees with it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from wine_sweep.config import Stage
from wine_sweep.tracking.outage import OutagePolicy
from wine_sweep.tracking.store import translated_errors

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Promotion:
    """A version that has been moved to a stage.

    Args:
        name: The registered model.
        version: Its version.
        stage: Where it is now.
        run_id: The trial's run that it comes from.
        archived: The versions that it took the place of.
        already_there: Whether it was there before and nothing had to be done.
    """

    name: str
    version: str
    stage: Stage
    run_id: str
    archived: tuple[str, ...] = ()
    already_there: bool = False

    def record(self) -> dict[str, object]:
        """Give what is kept in MLflow as ``promotion.json``."""
        return {
            "model": self.name,
            "version": self.version,
            "stage": self.stage.value,
            "alias": self.stage.alias,
            "run_id": self.run_id,
            "archived_versions": list(self.archived),
            "already_there": self.already_there,
        }


class ModelRegistry:
    """Registers models and moves them between stages.

    Stages are deprecated in MLflow and people still use them, so stage and alias are kept the same: the version in
    ``Staging`` is the one with the alias ``staging``.

    Args:
        client: The open store.
        policy: Tries each step again while the store is away; by default nothing is tried again.
    """

    def __init__(self, client: MlflowClient, policy: OutagePolicy | None = None) -> None:
        self._client = client
        self._policy = policy or OutagePolicy(0)

    def promote(
        self, name: str, stage: Stage, *, model_uri: str, run_id: str, description: str, tags: dict[str, str]
    ) -> Promotion:
        """Make a logged model a version of a registered model, and move it to a stage; older versions there are archived.

        Doing it again for the same logged model changes nothing.

        Raises:
            TrackingError: The registry failed. The version that was in the stage is then still there.
        """

        def step(do: Callable[[], Result]) -> Result:
            @translated_errors(f"promote to {name} {stage.value}")
            def translated() -> Result:
                return do()

            return self._policy.run(translated)

        step(lambda: self._ensure(name))
        chosen = step(lambda: self._version(name, model_uri, run_id, description, tags))
        in_stage = step(lambda: self._in_stage(name, stage))
        already = in_stage == [chosen] and step(lambda: self._alias(name, stage)) == chosen
        if not already:
            step(lambda: self._move(name, chosen, stage))
        archived = tuple(each for each in in_stage if each != chosen)
        return Promotion(name, chosen, stage, run_id, archived, already_there=already)

    def stage_of(self, name: str, *, model_uri: str) -> str | None:
        """Give the stage that a logged model's version is in; None when it is no version of this registered model yet."""
        with translated_errors(f"read the model {name}"):
            return next((str(each.current_stage) for each in self._versions(name) if each.source == model_uri), None)

    def _version(self, name: str, model_uri: str, run_id: str, description: str, tags: dict[str, str]) -> str:
        """Give the version that a logged model has, made if it has none."""
        for each in self._versions(name):
            if each.run_id == run_id and each.source == model_uri:
                return str(each.version)
        model_id = model_uri.removeprefix("models:/")
        made = self._client.create_model_version(name, model_uri, run_id, tags=tags, description=description, model_id=model_id)
        return str(made.version)

    def _in_stage(self, name: str, stage: Stage) -> list[str]:
        return [str(each.version) for each in self._versions(name) if each.current_stage == stage.value]

    def _ensure(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != _MISSING:
                raise
            self._client.create_registered_model(name, description="Promoted by wine_sweep.")

    def _versions(self, name: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _alias(self, name: str, stage: Stage) -> str | None:
        try:
            version = str(self._client.get_model_version_by_alias(name, stage.alias).version)
        except MlflowException as error:
            if error.error_code in (_MISSING, "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return version

    def _move(self, name: str, version: str, stage: Stage) -> None:
        transition = getattr(self._client, "transition_model_version_stage", None)
        if transition is None:
            _logger.warning("this MLflow has no stages any more; only the alias '%s' was set", stage.alias)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                transition(name, version, stage.value, archive_existing_versions=True)
        self._client.set_registered_model_alias(name, stage.alias, version)
        for left in set(Stage) - {stage}:
            if self._alias(name, left) == version:  # it came from there, and a version is in one stage only
                self._client.delete_registered_model_alias(name, left.alias)
