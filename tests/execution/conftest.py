"""Tasks that workers measure with: some measure, some hang, crash or eat memory."""

from __future__ import annotations

import importlib
import sys

import pytest

TASKS = """
import ctypes, os, re, signal, subprocess, sys, time
from dataclasses import replace
import numpy
from sklearn.linear_model import Ridge
from wine_sweep.trial import Report, Score, Step, TrialState

FOLDER = os.path.dirname(__file__)

def done(trial, **values):
    scores = {name: Score(float(value), 0.0) for name, value in values.items()}
    return replace(trial, state=TrialState.FINISHED, scores=scores)

def double(trial, bench=None):
    return done(trial, twice=trial.params["x"] * 2.0)

def threads(trial, bench=None):
    from threadpoolctl import threadpool_info
    return done(trial, threads=max((pool["num_threads"] for pool in threadpool_info()), default=1))

def by_x(trial, bench=None):
    \"\"\"Do what x says: a name of one of the others, or a number to double.\"\"\"
    what = trial.params["x"]
    return globals()[what](trial, bench) if isinstance(what, str) else double(trial)

def die(trial, bench=None):
    os.kill(os.getpid(), signal.SIGKILL)

def crash(trial, bench=None):
    ctypes.string_at(0)

def leave(trial, bench=None):
    os._exit(7)

def exit_politely(trial, bench=None):
    sys.exit("enough")

def unpicklable(trial, bench=None):
    return replace(trial, params={"x": lambda: None})

def hang(trial, bench=None):
    time.sleep(3600)

def hold_the_lock(trial, bench=None):
    re.match(r"(a+)+$", "a" * 64 + "b")  # hangs in C and never lets another thread of Python's run

def eat(trial, bench=None):
    eaten = []
    for _ in range(400):
        eaten.append(b"x" * 10_000_000)
        time.sleep(0.005)
    return double(trial)

def eat_in_a_child(trial, bench=None):
    program = "import time; eaten = b'x' * 600_000_000; time.sleep(3600)"
    subprocess.run([sys.executable, "-c", program])

def pids(trial, bench=None):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    folder = trial.params["folder"]
    with open(os.path.join(folder, f"{trial.number}.tmp"), "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(file.name, os.path.join(folder, f"{trial.number}.pids"))
    return globals()[trial.params["x"]](trial, bench)

def pid(trial, bench=None):
    time.sleep(0.2)
    return done(trial, pid=os.getpid())

def stepwise(trial, bench=None):
    time.sleep(0.4)
    return replace(trial, steps=(*trial.steps, Step({"rmse": (1.0,)}, 0.1)))

def orphan(trial, bench=None):
    \"\"\"Start a child as a command is started, in a group of its own, and wait for it.\"\"\"
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], process_group=0)
    note(trial, f"{os.getpid()} {child.pid}")
    child.wait()

def note(trial, text):
    path = os.path.join(trial.params["folder"], f"{trial.number}.pids")
    with open(f"{path}.tmp", "w") as file:
        file.write(text)
    os.rename(f"{path}.tmp", path)

def reporting(trial, bench):
    \"\"\"Report as often as x says, unless somebody says stop; tell each answer, and who gave it.\"\"\"
    started, answers = 17.0, []
    for step in range(trial.params["x"]):
        time.sleep(trial.params.get("pause", 0.0))
        trial = replace(trial, started=started, reports=(*trial.reports, Report(step, {"rmse": 10.0 - step})))
        answers.append(bench.report(trial))
        if not answers[-1]:
            break
    if "folder" in trial.params:
        note(trial, f"{os.getpid()} {sum(answers)} {len(answers)}")
    time.sleep(trial.params.get("last", 0.0))
    return done(trial, pid=os.getpid(), answers=sum(answers))

def stubborn(trial, bench):
    \"\"\"Report, and if x is 0 go on for an hour whatever the answer.\"\"\"
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], process_group=0)
    note(trial, f"{os.getpid()} {child.pid}")
    bench.report(replace(trial, reports=(Report(0, {"rmse": 1.0}),)))
    time.sleep(3600 if trial.params["x"] == 0 else 0)
    return done(trial)

def levels(trial, bench):
    begun, level = trial, float(trial.params["level"])
    for step in (0, 10, 20):
        trial = replace(trial, reports=(*trial.reports, Report(step, {"rmse": level})))
        if not bench.report(trial):
            return trial
    return replace(done(begun, rmse=level), reports=trial.reports)

def deaf(trial, bench):
    \"\"\"Report on and on, although the answer is no.\"\"\"
    answers = [bench.report(trial) for _ in range(5)]
    note(trial, f"{os.getpid()} {sum(answers)} {len(answers)}")
    return done(trial)

def ended_too_early(trial, bench):
    bench.report(done(trial, twice=0.0))

def talking(trial, bench):
    \"\"\"Leave a thread behind that reports when the trial has long ended.\"\"\"
    import threading
    threading.Thread(target=lambda: (time.sleep(0.2), bench.report(trial)), daemon=True).start()
    return done(trial, pid=os.getpid())

def files(trial, bench):
    \"\"\"Write into both folders what x says, after what is there already; hang, die or go on in steps as is said.\"\"\"
    for folder in (bench.folder, bench.scratch):
        with open(folder / "log", "a") as file:
            file.write(str(trial.params["x"]))
    scores = {"seen": len((bench.folder / "log").read_text()), "scratch": len((bench.scratch / "log").read_text())}
    if trial.params.get("then") == "report" and not trial.reports:
        bench.report(replace(trial, reports=(Report(0, {"rmse": 1.0}),)))
        scores["scratch"] = len((bench.scratch / "log").read_text())
    elif trial.params.get("then") == "step" and len(trial.steps) < 2:
        return replace(trial, steps=(*trial.steps, Step({"rmse": (1.0,)}, 0.1)))
    elif trial.params.get("then") in ("hang", "die"):
        globals()[trial.params["then"]](trial)
    return done(trial, **scores)

def no_files(trial, bench):
    return done(trial, folders=len(list(bench.folder.parent.iterdir())))

class Fragile(Ridge):
    def __init__(self, alpha=1.0, folder="", what="die"):
        super().__init__(alpha)
        self.folder = folder
        self.what = what

    def fit(self, rows, target, sample_weight=None):
        path = os.path.join(self.folder, f"{self.alpha}.fits")
        with open(path, "a") as file:
            file.write("x")
        if self.alpha == 2 and os.path.getsize(path) == 2:  # the second fold, the first time
            globals()[self.what](None)
        if self.alpha >= 10:
            raise ValueError(f"alpha {self.alpha} is too much for me")
        return super().fit(rows, target, sample_weight)

class CountingTask:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, trial, bench=None):
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
