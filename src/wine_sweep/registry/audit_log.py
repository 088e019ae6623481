"""The ledger of a registered model: what was in a stage, since when, by whom, and for what reasons.

Each entry is one tag with JSON, on the version that it is about: what was promoted, what was gone back to, what was kept
against a challenger. Where there was no version yet it is on the registered model. An entry is never written over by
another process, since its key holds the moment and a token; so entries survive whatever happens at the same time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

PREFIX = "wine_sweep.ledger."
LONGEST = 5000
"""Characters: what a tag of a registered model holds in every store."""

_WIDEST = 6
"""Characters that JSON takes at most for one: a control character."""

_LAST_YEAR = 9998
"""Of the year after it no later moment could be written."""

_CLOCKS_DIFFER = timedelta(days=1)
"""An entry that is further ahead than this is a stranger's, or a broken clock's: nothing has to follow it."""

_CLOCKS_BREAK = timedelta(days=3650)
"""An entry that is further ahead than this is none: it would stand after all others for good."""

_MOMENT = "%Y%m%dT%H%M%S.%fZ"


class Action(StrEnum):
    """What an entry is about."""

    PROMOTED = "promoted"
    KEPT = "kept"
    ROLLED_BACK = "rolled_back"


class Progress(StrEnum):
    """How far what an entry is about has come: an entry is written before a stage is moved, and again after it."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


def new_token() -> str:
    """Return what tells an entry from all others of its moment."""
    return uuid.uuid4().hex[:8]


@dataclass(frozen=True)
class Entry:
    """One entry.

    Args:
        action: What was done.
        stage: The stage, as MLflow writes it.
        who: The user.
        before: The version that was in the stage; None when there was none.
        after: The version that is in the stage since; of what was kept, the same as before.
        reasons: Why, a sentence each.
        ground: On what ground, in a word of the gate's.
        run_id: The trial's run of the model that it is about: the promoted one, or the refused challenger.
        sweep: The parent run of the sweep that it comes from; empty where there is none.
        left: The stage that the version was taken out of.
        evidence: The numbers.
        progress: How far it came.
        when: The moment, in UTC.
        token: Tells entries of one moment apart.
    """

    action: Action
    stage: str
    who: str
    before: str | None
    after: str | None
    reasons: tuple[str, ...]
    ground: str = ""
    run_id: str = ""
    sweep: str = ""
    left: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = Progress.DONE
    when: datetime = field(default_factory=lambda: datetime.now(UTC))
    token: str = field(default_factory=new_token)

    @property
    def key(self) -> str:
        """The tag's key; keys are in the order of time."""
        return f"{PREFIX}{self.when.astimezone(UTC).strftime(_MOMENT)}-{self.token}"

    @property
    def moves(self) -> bool:
        """Return whether it has put a version into the stage."""
        return self.action is not Action.KEPT and self.progress is Progress.DONE

    def record(self) -> dict[str, Any]:
        """Return what ``history --json`` prints."""
        return {"when": self.when.astimezone(UTC).isoformat(timespec="seconds"), **_without(asdict(self), "when", "token")}

    def text(self) -> str:
        """Write it as the tag's value; what does not fit loses first slices, then all numbers, then the last reasons."""
        tree = {**_without(asdict(self), "when", "token"), "evidence": dict(self.evidence)}
        text = json.dumps(tree, ensure_ascii=False)
        words = " ".join(self.reasons)
        for evidence in (_without(dict(self.evidence), "slices", "selection"), {}):
            if len(text) > LONGEST:
                tree["evidence"] = evidence
                text = json.dumps(tree, ensure_ascii=False)
        while len(text) > LONGEST:
            words = words[: len(words) - (len(text) - LONGEST) // _WIDEST - 1]
            tree["reasons"] = [f"{words}…"]
            text = json.dumps(tree, ensure_ascii=False)
        return text

    @classmethod
    def of(cls, key: str, value: str) -> Entry:
        """Read it back.

        Raises:
            ValueError: The tag is no entry, or of a later version of wine_sweep.
        """
        moment, _, token = key.removeprefix(PREFIX).rpartition("-")
        try:
            tree = json.loads(value)
            when = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
            tree |= {"action": Action(tree["action"]), "progress": Progress(tree["progress"])}
            entry = cls(**{**tree, "reasons": tuple(tree["reasons"])}, when=when, token=token)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{key} holds no entry: {type(error).__name__}: {error}") from error
        entry._refuse_other_types(key)
        return entry

    def _refuse_other_types(self, key: str) -> None:
        """Raise ValueError at what is no text where text belongs, and at a moment that will not come for a long time."""
        words = [self.stage, self.who, self.ground, self.run_id, self.sweep, *self.reasons]
        words += [each for each in (self.before, self.after, self.left) if each is not None]
        if not all(isinstance(each, str) for each in words) or not isinstance(self.evidence, Mapping):
            raise ValueError(f"{key} holds no entry: what should be text is not")
        if self.when.year > _LAST_YEAR or self.when - datetime.now(UTC) > _CLOCKS_BREAK:
            raise ValueError(f"{key} holds no entry: the year {self.when.year} has not come yet")

    def following(self, others: Iterable[Entry]) -> Entry:
        """Return it as one that comes after others, whatever the clocks of the machines say that they come from.

        What is further ahead than clocks differ is not followed: whoever writes the last moment that can be written would end
        the ledger.

        So the order of the ledger is that in which a stage was moved (L. Lamport, "Time, clocks, and the ordering of events
        in a distributed system", 1978).
        """
        latest_possible = max(self.when, datetime.now(UTC)) + _CLOCKS_DIFFER
        latest = max((each.when for each in others if each.when <= latest_possible), default=None)
        if latest is None or latest < self.when:
            return self
        return replace(self, when=latest + timedelta(microseconds=1))

    def ended(self, progress: Progress, why: str = "") -> Entry:
        """Return it as it is once done or failed, with a reason more."""
        return replace(self, progress=progress, reasons=(*self.reasons, why) if why else self.reasons)


def read_entries(tags: Mapping[str, str], version: str | None) -> tuple[Sequence[Entry], Sequence[str]]:
    """Read the entries among tags, in the order of time, and say what is wrong with those that cannot be read.

    Args:
        tags: The tags.
        version: The version that they are on; None for the registered model. An entry about another one is none of ours, and
            what it says cannot be ended there.
    """
    entries, unreadable = [], []
    for key in sorted(key for key in tags if key.startswith(PREFIX)):
        try:
            entry = Entry.of(key, tags[key])
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if entry.after == version:
            entries.append(entry)
        else:
            unreadable.append(f"{key} is not on the version that it is about")
    return entries, unreadable


def in_stage(entries: Iterable[Entry], stage: str, *, at: datetime | None = None) -> Entry | None:
    """Return which of all entries, in the order of time, put the version into a stage that was there at a moment, or is now.

    None when none was, as far as is written.
    """
    found: Entry | None = None
    for entry in entries:
        if not entry.moves or (at is not None and entry.when > at):
            continue
        if entry.stage == stage:
            found = entry
        elif entry.left == stage:
            found = None
    return found


def versions_behind(entries: Iterable[Entry], stage: str) -> Sequence[str]:
    """List the versions that were in a stage one after the other, the newest last.

    Those that were gone back from are left out, and those that have moved on to another stage.
    """
    behind: list[str] = []
    for entry in entries:
        if not entry.moves or entry.after is None:
            continue
        if entry.left == stage and entry.after in behind:
            behind.remove(entry.after)
        if entry.stage != stage:
            continue
        if entry.before is not None and not behind:
            behind.append(entry.before)
        if entry.action is Action.ROLLED_BACK and entry.after in behind:
            del behind[behind.index(entry.after) + 1 :]
        elif not behind or behind[-1] != entry.after:
            behind.append(entry.after)
    return behind


def _without(tree: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key not in keys}
