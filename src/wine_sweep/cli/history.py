"""``wine-sweep history``."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from wine_sweep.cli.console import SafeTable, stdout, styled
from wine_sweep.cli.formats import print_json
from wine_sweep.registry import Action, Entry, ModelRegistry, Progress
from wine_sweep.runner.history import History, StageContent, parse_moment, read_history
from wine_sweep.tracking.store import open_store


def history_command(name: str, *, as_of: str | None, tracking_uri: str | None, as_json: bool) -> None:
    """Print what is and was in a registered model's stages, since when, by whom and why; the newest first.

    Raises:
        WineSweepError: As `read_history` and `parse_moment` say.
    """
    at = parse_moment(as_of, "--as-of") if as_of is not None else None
    history = read_history(ModelRegistry(open_store(tracking_uri)), name, at=at)
    if as_json:
        print_json(_record(history))
        return
    console = stdout()
    moment = f" as of {_shown(history.at)}" if history.at is not None else ""
    console.print(styled((name, "bold"), moment))
    console.print()
    for held in history.held:
        console.print(f"- {_describe_stage(held, past=history.at is not None)}")
    if not history.entries:
        when = "" if history.at is None else " up to then"
        console.print()
        console.print(f"Nothing is in its ledger{when}: wine_sweep has promoted nothing.")
        return
    console.print()
    _print_entries(console, history)


def _print_entries(console: Console, history: History) -> None:
    table = SafeTable(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("who", overflow="fold", max_width=12)
    table.add_column("what", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for entry in reversed(history.entries):
        table.add_row(_shown(entry.when), entry.who, Text("\n").join(map(styled, _what(entry))), " ".join(entry.reasons))
    console.print(table)


def _what(entry: Entry) -> tuple[str, str]:
    """Say in a few words what an entry is about, in two lines."""
    words = {Action.PROMOTED: "promoted", Action.KEPT: "kept", Action.ROLLED_BACK: "rolled back"}[entry.action]
    if entry.progress is not Progress.DONE:
        words = {Progress.BEGUN: f"{words} (begun)", Progress.FAILED: f"not {words}"}[entry.progress]
    before, after = entry.before or "none", entry.after or "none"
    versions = before if entry.action is Action.KEPT else f"{before} → {after}"
    return words, f"{entry.stage} {versions}"


def _describe_stage(held: StageContent, *, past: bool) -> str:
    stage, holds = held.stage.value, "held" if past else "holds"
    if held.version is None:
        return f"{stage} {holds} no version{', as far as the ledger says' if past else ''}."
    if held.entry is None:
        return f"{stage} {holds} version {held.version}; it was put there without wine_sweep, so the ledger says no more."
    return f"{stage} {holds} version {held.version}, since {_shown(held.entry.when)} UTC."


def _shown(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _record(history: History) -> dict[str, object]:
    return {
        "model": history.name,
        "as_of": history.at.isoformat() if history.at is not None else None,
        "stages": {
            held.stage.value: None
            if held.version is None
            else {
                "version": held.version,
                "since": held.entry.when.isoformat(timespec="seconds") if held.entry is not None else None,
                "run_id": held.entry.run_id if held.entry is not None else None,
            }
            for held in history.held
        },
        "entries": [entry.record() for entry in reversed(history.entries)],
    }
