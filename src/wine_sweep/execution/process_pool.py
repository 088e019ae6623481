"""Worker processes on this machine: one that dies or exceeds a limit costs its own trial and is replaced."""

from __future__ import annotations

import atexit
import pickle
import threading
import time
from collections import deque
from concurrent.futures import Future
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from wine_sweep.errors import ExecutionError
from wine_sweep.execution.base import Limits, LostTrialError, Task, TrialDirs, failure_of
from wine_sweep.execution.worker_handle import MEMORY_SECONDS, PausedTrial, WorkerHandle, start_forkserver
from wine_sweep.execution.worker_main import groups_beside
from wine_sweep.trial import Failure, Trial

LEAVE_SECONDS = 2.0
"""How long idle workers may take to leave before they are killed."""

LONGEST_WAIT = 3600
"""Seconds; the operating system waits for no more than 2**31 milliseconds at once."""


class ProcessWorkers:
    """Worker processes, forked where possible from a server that has the libraries loaded.

    A thread looks after them: it brings trials, takes answers, ends what exceeds a limit or is cancelled, and replaces
    what died. Nothing is shared between two workers, neither a pipe nor a lock, so that one killed at any moment takes
    nothing along. (A pool with a common queue does: of 68 kills of workers in pebble 5.2, 7 broke the pool with every trial
    in it, and it tells nobody which process has which trial.)

    Args:
        task: Picklable, or pickled; sent to each worker once.
        size: The number of processes.
        limits: What a trial may take.
        idle_seconds: How long a worker may have nothing to do before it is ended until there is; None for ever.
        trial_dirs: Where trials put files; None for a temporary folder.
    """

    def __init__(
        self,
        task: Task | bytes,
        size: int,
        limits: Limits = Limits(),
        *,
        idle_seconds: float | None = None,
        trial_dirs: Path | None = None,
    ) -> None:
        self.size = size
        self._pickled = task if isinstance(task, bytes) else pickle.dumps(task)
        self._limits = limits
        self._idle_seconds = float("inf") if idle_seconds is None else idle_seconds
        self._trial_dirs = TrialDirs.at(trial_dirs)
        self._waiting: deque[tuple[Trial, Future[Trial]]] = deque()
        self._going_on: deque[tuple[Trial, Future[Trial]]] = deque()
        self._dropped: deque[int] = deque()
        self._lost: dict[int, Failure] = {}
        self._staff: list[WorkerHandle] = []
        self._wakeup_recv: Connection
        self._wakeup_send: Connection
        self._wakeup_recv, self._wakeup_send = Pipe(duplex=False)
        self._lock = threading.Lock()
        self._stopping = False
        self._is_over = False
        self._error: BaseException | None = None
        start_forkserver()
        self._thread = threading.Thread(target=self._run, name="wine-sweep-workers", daemon=True)
        self._thread.start()
        atexit.register(self.stop)  # multiprocessing would wait for workers that nobody has stopped

    def submit(self, trial: Trial) -> Future[Trial]:
        """Have a trial measured; see `Workers`. Cancelling the future ends the trial, whatever it is doing."""
        future: Future[Trial] = Future()
        with self._lock:
            if self._is_over:
                raise ExecutionError(f"the worker processes are gone: {self._error or 'they were stopped'}") from self._error
            (self._going_on if self.holds(trial.number) else self._waiting).append((trial, future))
        future.add_done_callback(lambda done: self._wake() if done.cancelled() else None)
        self._wake()
        return future

    def drop(self, trial: Trial) -> None:
        """Have a trial ended that was given back RUNNING; see `Workers`."""
        self._dropped.append(trial.number)
        self._wake()

    def holds(self, number: int) -> bool:
        """Return whether a worker holds a trial, or ends it, or has died of late while it held it."""
        return number in self._lost or any(each.hold is not None and each.hold.number == number for each in list(self._staff))

    def explain(self, error: BaseException) -> Failure:
        """Describe how a worker was lost, or which limit was exceeded; see `Workers`."""
        return failure_of(error)

    def stop(self) -> None:
        """End the workers; what is open is cancelled. Those that measure are killed, the others leave."""
        self._stopping = True
        self._wake()
        self._thread.join()
        atexit.unregister(self.stop)

    def _wake(self) -> None:
        """Have the thread look at what is new, unless it has ended, and with it what there was to look at."""
        with self._lock:
            if not self._is_over:
                self._wakeup_send.send_bytes(b"!")

    def _run(self) -> None:
        try:
            self._spawn(self.size)
            while not self._stopping:
                self._answer()
                self._assign()
                self._wait()
                for worker in list(self._staff):
                    self._poll(worker)
        except Exception as error:  # noqa: BLE001  # kept for `submit`: a thread has nobody to raise it to
            self._error = error
        finally:
            self._shutdown()

    def _spawn(self, number: int) -> None:
        for _ in range(number):
            self._staff.append(WorkerHandle(self._pickled, self._limits, self._trial_dirs))

    def _answer(self) -> None:
        """Answer the workers that hold trials: which end, and which go on. One that has died fails its trial now."""
        while self._dropped:
            number = self._dropped.popleft()
            self._lost.pop(number, None)
            if (holder := self._holder(number)) is not None:
                holder.drop()
        while self._going_on:
            trial, future = self._going_on.popleft()
            failure, holder = self._lost.pop(trial.number, None), self._holder(trial.number)
            if failure is not None:
                if future.set_running_or_notify_cancel():
                    future.set_exception(LostTrialError(failure))
            elif holder is None:
                self._waiting.append((trial, future))
            elif future.cancelled():
                future.set_running_or_notify_cancel()
                holder.drop(seconds=0.0)
            else:
                holder.give(trial, future)

    def _holder(self, number: int) -> WorkerHandle | None:
        """Find the worker in which a trial waits to go on."""
        return next((each for each in self._staff if each.hold is not None and each.hold == PausedTrial(number)), None)

    def _assign(self) -> None:
        """Bring trials to workers that are ready, and start workers for those that are left."""
        free = [worker for worker in self._staff if worker.is_free]
        while free and self._waiting:
            trial, future = self._waiting.popleft()
            if not future.cancelled():
                free.pop(0).give(trial, future)
            else:
                future.set_running_or_notify_cancel()
        starting = sum(not worker.is_ready for worker in self._staff)
        self._spawn(max(0, min(len(self._waiting) - starting, self.size - len(self._staff))))

    def _wait(self) -> None:
        """Wait until something happens or some limit may be reached."""
        now = time.monotonic()
        jobs = [worker.job for worker in self._staff if worker.job is not None]
        times = [job.deadline - now for job in jobs]
        times += [worker.hold.until - now for worker in self._staff if worker.hold is not None]
        times += [worker.idle_since + self._idle_seconds - now for worker in self._staff if worker.has_nothing]
        times += [MEMORY_SECONDS] if jobs and self._limits.memory is not None else []
        longest = min([*times, LONGEST_WAIT]) if times else None
        sources: list[Connection | int] = [self._wakeup_recv]
        for worker in self._staff:
            sources += [worker.connection, worker.sentinel]
        wait(sources, timeout=None if longest is None else max(0.0, longest))
        while self._wakeup_recv.poll():
            self._wakeup_recv.recv_bytes()

    def _poll(self, worker: WorkerHandle) -> None:
        """See to one worker: its answer, its death, its excess, its leave."""
        is_alive = worker.take_message()
        if not is_alive or wait([worker.sentinel], timeout=0):
            self._reap(worker)
        elif worker.job is not None and worker.job.future.cancelled():
            self._end(worker, None)
        elif (failure := worker.excess()) is not None:
            self._end(worker, failure)
        elif worker.is_overdue or (worker.has_nothing and time.monotonic() - worker.idle_since >= self._idle_seconds):
            self._end(worker, None)

    def _reap(self, worker: WorkerHandle) -> None:
        """Take a worker that died off the list. One that died before its first trial takes a waiting one along.

        Otherwise workers that cannot even start would be started for ever. What it held is lost when it is to go on.
        """
        failure = worker.why_lost()
        if worker.hold is not None and worker.hold.waits:
            self._lost[worker.hold.number] = failure
        if not worker.is_ready and self._waiting:
            worker.give(*self._waiting.popleft())
        self._end(worker, failure)

    def _end(self, worker: WorkerHandle, failure: Failure | None) -> None:
        """Kill a worker, and with it what it started; its trial ends with a failure, or is cancelled already."""
        number = worker.number
        worker.kill()
        worker.join()
        self._staff.remove(worker)
        if number is not None:
            self._trial_dirs.clear_scratch(number)  # before anybody hears of the end, and measures the trial again
        worker.fail(failure or Failure("Cancelled", "nobody waits for it"))

    def _shutdown(self) -> None:
        """End everything."""
        with self._lock:
            self._is_over = True
        open_trials = [*self._going_on, *self._waiting]
        open_trials += [(each.job.trial, each.job.future) for each in self._staff if each.job is not None]
        for _, future in open_trials:
            future.cancel()
            future.set_running_or_notify_cancel()
        beside = groups_beside([each.pid for each in self._staff if each.pid is not None and not each.has_nothing])
        for worker in self._staff:
            worker.kill(beside=()) if worker.job is not None else worker.close()
        last = time.monotonic() + LEAVE_SECONDS
        for worker in self._staff:
            worker.join(last - time.monotonic())
            worker.kill(beside)  # one that did not leave, or what it has left behind
            worker.join()
            if worker.number is not None:
                self._trial_dirs.clear_scratch(worker.number)
        self._staff.clear()
        self._trial_dirs.close()
        self._wakeup_send.close()
        self._wakeup_recv.close()
