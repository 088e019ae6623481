"""Sweeps of W&B's as configs of ours: read, said in our terms, and written with what became of each key."""

from wine_sweep.wandb.parameters import Note, NoteKind, report
from wine_sweep.wandb.translate import Translation, WandbSweep, read_sweep, translate, write_config

__all__ = ["Note", "NoteKind", "Translation", "WandbSweep", "read_sweep", "report", "translate", "write_config"]
