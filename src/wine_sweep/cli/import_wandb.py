"""``wine-sweep import-wandb``. Imports neither MLflow nor Optuna, and runs nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wine_sweep.cli.exits import can_print, print_json
from wine_sweep.config import parse_config
from wine_sweep.config.yaml_io import MAX_BYTES, read_file
from wine_sweep.errors import ConfigError, Problem, SourceLocation
from wine_sweep.messages import shell_word, visible
from wine_sweep.wandb import Note, WandbSweep, read_sweep, report, translate, write_config


def import_wandb_command(path: Path, *, output: Path | None, force: bool, as_json: bool) -> None:
    """Write the config that a W&B sweep comes to: the config to a file or stdout, what became of the keys to stderr.

    Raises:
        ConfigError: The file is no sweep that W&B would take, or the config cannot be written.
    """
    text, notes, trusted = _import(path, output)
    if output is None and not as_json and not can_print(text):
        wrong = f"has the encoding {sys.stdout.encoding}, and the config other characters; give --output, or set PYTHONUTF8=1"
        raise ConfigError.at("stdout", wrong)
    if output is not None:
        _write(text, output, path, force=force)
    if as_json:
        documents = [{"key": note.key, "kind": note.kind.value, "message": note.message} for note in notes]
        print_json({"config": text, "notes": documents})
        return
    if output is None:
        print(text, end="")
    print("\n".join(map(visible, [*report(notes), *_next(output, trusted)])), file=sys.stderr)


def _import(path: Path, output: Path | None) -> tuple[str, Sequence[Note], tuple[Path, ...]]:
    """Read and translate: the config, what became of the keys, and the folders to trust: the config's, and that of its command.

    What our config could not hold is found here, before anything is written.
    """
    sweep = read_sweep(_read(path), str(path))
    home = Path.cwd() if output is None else output.resolve().parent
    folder = _folder(sweep, home, path)
    translation = translate(sweep, folder=None if folder == home else os.path.relpath(folder, home))
    text = write_config(translation, path.name)
    draft = parse_config(text.encode(), source=str(path), folder=home, default_name=path.stem)
    if draft.problems:
        raise ConfigError([Problem(each.message, each.path, SourceLocation(str(path))) for each in draft.problems])
    return text, translation.notes, (folder,) if home.is_relative_to(folder) else (home, folder)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError.at(str(path), f"cannot be read: {error.strerror or error}") from error


def _folder(sweep: WandbSweep, home: Path, path: Path) -> Path:
    """Find where the program lies: beside the config, where W&B's agent would be started, or beside W&B's file."""
    candidates = (home, Path.cwd(), path.resolve().parent)
    return next((each for each in candidates if sweep.program is not None and (each / sweep.program).is_file()), home)


def _write(text: str, output: Path, source: Path, *, force: bool) -> None:
    if output.resolve() == source.resolve():
        raise ConfigError.at(str(output), "is the file to import; give the config another name")
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError.at(str(output), "exists already; give another name, or --force to write over it") from error
    except OSError as error:
        raise ConfigError.at(str(output), f"cannot be written: {error.strerror or error}") from error


def _next(output: Path | None, trusted: Sequence[Path]) -> list[str]:
    """Describe what to type; a program of the user's own runs only where the command line says that it may."""
    config = shell_word(output) if output is not None else "CONFIG"
    trust = " ".join(f"--trust {shell_word(os.path.relpath(each))}" for each in trusted)
    return ["", "Next", f"  wine-sweep plan {config} {trust}", f"  wine-sweep run {config} {trust}"]
