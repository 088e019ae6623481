"""May the winner take the place of the model in the stage? Pure functions over what both lose on the same rows."""

from wine_sweep.gate.cases import (
    champion_columns,
    champion_fails,
    champion_unloadable,
    forced,
    no_gate,
    other_target,
    other_task,
    overtaken,
    same_model,
    unknown_rows,
)
from wine_sweep.gate.dummy import fit_dummy
from wine_sweep.gate.paired import Comparison, paired_bootstrap
from wine_sweep.gate.slices import Slice, sliceable
from wine_sweep.gate.verdict import Decision, Reason, Verdict, judge_against_champion, judge_against_dummy

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
