"""What running trials print, line by line, for somebody who watches."""

from __future__ import annotations

from collections.abc import Callable

from wine_sweep.objective.output import STDERR_FILE, STDOUT_FILE, Tail
from wine_sweep.spool import TrialDirs
from wine_sweep.trial import Trial
from wine_sweep.wording import mask


class Outputs:
    """Follows the files that functions and commands print to, on this machine.

    Args:
        trial_dirs: Where these files are.
        tell: Is told a trial's number and a line of its output.
    """

    def __init__(self, trial_dirs: TrialDirs, tell: Callable[[int, str], object]) -> None:
        self._trial_dirs = trial_dirs
        self._tell = tell
        self._tails: dict[int, list[Tail]] = {}

    def follow(self, trial: Trial) -> None:
        """Begin with a trial."""
        folder = self._trial_dirs.folder(trial.number)
        self._tails[trial.number] = [Tail(folder / name) for name in (STDOUT_FILE, STDERR_FILE)]

    def look(self) -> None:
        """Tell the lines that are new."""
        for number in self._tails:
            self._tell_lines(number)

    def end(self, trial: Trial) -> None:
        """Tell the rest of a trial that has ended; its files may be deleted then."""
        if trial.number in self._tails:
            self._tell_lines(trial.number, to_the_end=True)
            for tail in self._tails.pop(trial.number):
                tail.close()

    def _tell_lines(self, number: int, *, to_the_end: bool = False) -> None:
        for tail in self._tails[number]:
            for line in tail.read(to_the_end=to_the_end).splitlines():
                self._tell(number, mask(line))
