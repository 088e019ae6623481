"""Tasks that workers measure with: some measure, some hang, crash or eat memory."""

from __future__ import annotations

import importlib
import sys

import pytest

TASKS = """
import ctypes, os, re, signal, subprocess, sys, time
from dataclasses import replace
import numpy
from wine_sweep.trial import Score, Step, TrialState

FOLDER = os.path.dirname(__file__)

def done(trial, **values):
    scores = {name: Score(float(value), 0.0) for name, value in values.items()}
    return replace(trial, state=TrialState.FINISHED, scores=scores)

def double(trial):
    return done(trial, twice=trial.params["x"] * 2.0)

def threads(trial):
    from threadpoolctl import threadpool_info
    return done(trial, threads=max((pool["num_threads"] for pool in threadpool_info()), default=1))

def by_x(trial):
    \"\"\"Do what x says: a name of one of the others, or a number to double.\"\"\"
    what = trial.params["x"]
    return globals()[what](trial) if isinstance(what, str) else double(trial)

def die(trial):
    os.kill(os.getpid(), signal.SIGKILL)

def crash(trial):
    ctypes.string_at(0)

def leave(trial):
    os._exit(7)

def exit_politely(trial):
    sys.exit("enough")

def unpicklable(trial):
    return replace(trial, params={"x": lambda: None})

def hang(trial):
    time.sleep(3600)

def hold_the_lock(trial):
    re.match(r"(a+)+$", "a" * 64 + "b")  # hangs in C and never lets another thread of Python's run

def eat(trial):
    eaten = []
    for _ in range(400):
        eaten.append(b"x" * 10_000_000)
        time.sleep(0.005)
    return double(trial)

def eat_in_a_child(trial):
    program = "import time; eaten = b'x' * 600_000_000; time.sleep(3600)"
    subprocess.run([sys.executable, "-c", program])

def pids(trial):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    folder = trial.params["folder"]
    with open(os.path.join(folder, f"{trial.number}.tmp"), "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(file.name, os.path.join(folder, f"{trial.number}.pids"))
    return globals()[trial.params["x"]](trial)

def pid(trial):
    time.sleep(0.2)
    return done(trial, pid=os.getpid())

def stepwise(trial):
    time.sleep(0.4)
    return replace(trial, steps=(*trial.steps, Step({"rmse": (1.0,)}, 0.1)))

def die_once(trial):
    path = os.path.join(trial.params["folder"], f"{trial.number}.died")
    if trial.params.get("x") and not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return done(trial, rmse=1.0)

class CountingTask:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, trial):
        return double(trial)

    def __reduce__(self):
        return (count_load, (self.folder,))

def count_load(folder):
    import multiprocessing
    name = multiprocessing.current_process().name
    kind = "Dask" if name.startswith("Dask") else "process"
    open(os.path.join(folder, f"{kind}-{os.getpid()}-{time.time()}"), "w").close()
    return CountingTask(folder)

class Unloadable:
    def __reduce__(self):
        return (refuse, ())

def refuse():
    if __name__ != "__main__" and os.environ.get("WINE_SWEEP_TEST_PID") != str(os.getpid()):
        raise ImportError("no such thing here")
"""


@pytest.fixture(scope="package")
def tasks(tmp_path_factory):
    """A module that worker processes can import: pickling a task sends only its name."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "worker_tasks.py").write_text(TASKS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("worker_tasks")
    sys.path.remove(str(folder))


@pytest.fixture(scope="package")
def dask_cluster(tasks, tmp_path_factory):
    """A scheduler and two workers of one thread each, shared by the tests that leave them as they were."""
    from tests.execution.clusters import Cluster

    made = Cluster(tmp_path_factory.mktemp("cluster"), tasks.FOLDER).start(2)
    yield made
    made.stop()
