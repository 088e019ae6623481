"""What the server of workers loads before it forks the first of them; imported by that server alone.

Python looks for no garbage meanwhile, and never among what is loaded then: it stays, and workers that looked would copy it.
"""

import gc
import importlib

LOADED = (
    "wine_sweep.evaluation.cross_validation",
    "wine_sweep.execution.worker_main",
    "sklearn.linear_model",
    "sklearn.pipeline",
)

gc.disable()
try:
    for name in LOADED:
        importlib.import_module(name)
finally:
    gc.freeze()
    gc.enable()
