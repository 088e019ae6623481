"""May the winner take the place of the model in the stage? Pure functions over what both lose on the same rows."""

from wine_sweep.gate.comparison import Comparison, Slice, fit_dummy, paired_bootstrap, sliceable
from wine_sweep.gate.verdict import (
    Decision,
    Reason,
    Verdict,
    champion_columns,
    champion_fails,
    champion_unloadable,
    forced,
    judge_against_champion,
    judge_against_dummy,
    no_gate,
    other_target,
    other_task,
    overtaken,
    same_model,
    unknown_rows,
)

__all__ = [
    "Comparison",
    "Decision",
    "Reason",
    "Slice",
    "Verdict",
    "champion_columns",
    "champion_fails",
    "champion_unloadable",
    "fit_dummy",
    "forced",
    "judge_against_champion",
    "judge_against_dummy",
    "no_gate",
    "other_target",
    "other_task",
    "overtaken",
    "paired_bootstrap",
    "same_model",
    "sliceable",
    "unknown_rows",
]
