"""A process that has imported everything, and forks a command of wine_sweep off for each request: a process without the seconds.

Requests and answers are JSON, a line each. A request may set traps: where the command comes to the nth call of something, it
kills itself, or leaves a mark and waits until it may go on.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMPORTS = ("mlflow", "mlflow.pyfunc", "mlflow.sklearn", "sklearn.tree", "wine_sweep.api", "wine_sweep.sweep.refresh")
COMMANDS = ("app", "check", "inspect", "sweeps")
STALL_SECONDS = 120


def import_all() -> None:
    for name in (*IMPORTS, *(f"wine_sweep.cli.{command}" for command in COMMANDS)):
        importlib.import_module(name)


def set_trap(*, target: str, nth: int, after: bool, mark: str | None, go: str | None, kill: bool) -> None:
    """Replace a method by one that does the same, but for the trap."""
    holder, name = target.rsplit(".", 1)
    module, owner = holder.rsplit(".", 1)
    owner = getattr(importlib.import_module(module), owner)
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def spring() -> None:
        if mark is not None:
            Path(mark).touch()
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        deadline = time.monotonic() + STALL_SECONDS
        while go is not None and not Path(go).exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody let {target} go on")
            time.sleep(0.005)

    def trapped(*arguments: Any, **keys: Any) -> Any:
        nonlocal calls
        calls += 1
        mine = calls == nth
        if mine and not after:
            spring()
        result = real(*arguments, **keys)
        if mine and after:
            spring()
        return result

    setattr(owner, name, trapped)


def become(request: dict[str, Any]) -> None:
    """Be the command, and end."""
    os.setsid()
    for number, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for trap in request["traps"]:
        set_trap(**trap)
    sys.argv = ["wine-sweep", *request["arguments"]]
    from wine_sweep.cli.app import main

    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        become(request)
    except BaseException:  # noqa: BLE001  # of the command, or of a trap: it must not go on as a second one of us
        sys.excepthook(*sys.exc_info())
    os._exit(70)


def wait(pid: int, seconds: float) -> int | None:
    """Give the exit code, negative for a signal; None when it has not ended in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() <= deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    return None


def answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def serve() -> None:
    import_all()
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        answer({"code": wait(request["pid"], request["seconds"])} if "pid" in request else {"pid": start(request)})


if __name__ == "__main__":
    serve()
