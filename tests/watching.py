"""Somebody who watches a sweep and says nothing; tests override what they look at."""

from __future__ import annotations


class Silent:
    def sweep_started(self, name, trials, workers) -> None:
        pass

    def trial_started(self) -> None:
        pass

    def trial_ended(self, state, best) -> None:
        pass

    def trial_restored(self, state, best) -> None:
        pass

    def phase(self, what) -> None:
        pass

    def results_wait(self, count) -> None:
        pass

    def trial_printed(self, number, line) -> None:
        pass
