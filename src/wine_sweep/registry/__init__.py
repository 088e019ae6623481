"""The MLflow Model Registry: versions, their stages and aliases, and the ledger of what was moved and why."""

from wine_sweep.registry.audit_log import Action, Entry, Progress, in_stage, new_token, versions_behind
from wine_sweep.registry.client import STAGES, RegisteredVersion, exclusive
from wine_sweep.registry.transitions import ModelRegistry, Promotion

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
