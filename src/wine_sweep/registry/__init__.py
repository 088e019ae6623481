"""The MLflow Model Registry: versions, their stages and aliases, and the ledger of what was moved and why."""

from wine_sweep.registry.hold import exclusive
from wine_sweep.registry.ledger import Action, Entry, Progress, in_stage, new_token, versions_behind
from wine_sweep.registry.models import ModelRegistry, Promotion
from wine_sweep.registry.versions import STAGES, RegisteredVersion

__all__ = [
    "STAGES",
    "Action",
    "Entry",
    "ModelRegistry",
    "Progress",
    "Promotion",
    "RegisteredVersion",
    "exclusive",
    "in_stage",
    "new_token",
    "versions_behind",
]
