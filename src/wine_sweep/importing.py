"""What Python processes that are started from here may import, files of the user's own, imports without garbage collection.

Python puts the working folder first on ``sys.path`` of every process that is started as ``python -c`` or ``python -m``, as
multiprocessing's helpers, joblib's workers and Dask's nannies are. A ``selectors.py`` that lies there would run in each of them.
``PYTHONSAFEPATH`` keeps the folder off. It would also keep the folder of a script off, where a script looks for what lies
beside it; so code of the user's own never gets to see a value of ours.

Half a million objects would be looked through again and again. With the usual thresholds that is a quarter of the time that
pandas, scikit-learn and MLflow take to import.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import FrameType, ModuleType

SAFE_PATH = "PYTHONSAFEPATH"
_DIGEST = "__wine_sweep_digest__"
OURS = "wine-sweep"
"""The value that is ours: any text means yes to Python, and one that the user has set stays."""


class _Starting:
    """Counts the contexts, of all threads, in which processes start: the first sets the variable, the last takes it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._before: str | None = None

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._before = os.environ.get(SAFE_PATH)
            self._count += 1
            if not os.environ.get(SAFE_PATH):
                os.environ[SAFE_PATH] = OURS

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._before is None:
                os.environ.pop(SAFE_PATH, None)
            elif self._count == 0 and self._before is not None:
                os.environ[SAFE_PATH] = self._before


_starting = _Starting()


def keep_working_folder_out() -> None:
    """Keep the working folder off ``sys.path`` of every process that this one starts, unless the user has set that already."""
    if not os.environ.get(SAFE_PATH):
        os.environ[SAFE_PATH] = OURS


@contextmanager
def working_folder_kept_out() -> Iterator[None]:
    """Keep the working folder off ``sys.path`` of the processes that are started within this context."""
    _starting.enter()
    try:
        yield
    finally:
        _starting.leave()


def start_scripts_as_usual() -> None:
    """Take back `keep_working_folder_out` in this process: code of the user's own is about to run, and may start scripts."""
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]


def users_own(environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables without the one that is ours, for a program of the user's own."""
    return {name: value for name, value in environment.items() if (name, value) != (SAFE_PATH, OURS)}


def import_last(folder: Path, names: Iterable[str] = ()) -> None:
    """Let modules of a folder be imported where nothing that is installed has their name: by code that lies there itself.

    Libraries try to import modules that may not be installed; such a module here is not what they mean, and nobody trusts it.

    Args:
        folder: The folder, which becomes the last one on ``sys.path``; nothing changes if it is there already.
        names: Modules of it that others may import too, as unpickling does.
    """
    entry = str(folder)
    known = sys.path_importer_cache.get(entry)
    if isinstance(known, _OwnFolder):
        known.names |= set(names)
    elif entry not in sys.path:
        sys.path.append(entry)
        guard_folders({entry: set(names)})


def guarded_folders() -> dict[str, set[str]]:
    """Return the folders of `import_last` with their names, for `guard_folders` in a process that gets this one's path."""
    found = {entry: sys.path_importer_cache.get(entry) for entry in sys.path}
    return {entry: finder.names for entry, finder in found.items() if isinstance(finder, _OwnFolder)}


def guard_folders(folders: Mapping[str, set[str]]) -> None:
    """Import from folders, given as in `guarded_folders`, as `import_last` says."""
    for entry, names in folders.items():
        sys.path_importer_cache[entry] = _OwnFolder(entry, names)


class _OwnFolder:
    """Finds the modules of a folder of the user's own: for code that lies there, and those of some names for everybody.

    Python asks it in place of its own finder of that folder; see `sys.path_importer_cache`.
    """

    def __init__(self, entry: str, names: set[str]) -> None:
        self.names = names
        self._entry = entry
        self._finder = FileFinder.path_hook(*_LOADERS)(entry)

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module; see `importlib.abc.PathEntryFinder`. A package that has no file of its own may be installed too."""
        if name not in self.names and not _is_asked_from(self._entry, sys._getframe()):
            return None
        elsewhere = [entry for entry in sys.path if not isinstance(sys.path_importer_cache.get(entry), _OwnFolder)]
        is_installed = PathFinder.find_spec(name, elsewhere) is not None
        return None if is_installed else self._finder.find_spec(name, target)

    def invalidate_caches(self) -> None:
        """Look at the folder again."""
        self._finder.invalidate_caches()


_LOADERS: tuple[tuple[type, list[str]], ...] = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def _is_asked_from(folder: str, frame: FrameType | None) -> bool:
    """Return whether an import was asked for by code of a folder: itself, or by a name that it gave to a library, as to hydra.

    What a library tries by an import statement of its own, or while it is imported itself, it imports on its own behalf.
    """
    is_by_name = False
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(folder + os.sep):  # what has no file, such as importlib itself, is nowhere
            return True
        is_by_name = is_by_name or file == importlib.__file__
        is_machinery = file == __file__ or file.startswith("<frozen importlib")
        if frame.f_code.co_name == "<module>" or not (is_by_name or is_machinery):
            return False
        frame = frame.f_back
    return False


def find_installed(module: str, beside: Path) -> str | None:
    """Return where an installed or standard top-level module comes from, or None if there is none of that name.

    Args:
        module: The name.
        beside: A folder of the user's own that does not count, though it may be on ``sys.path``.
    """
    if module in sys.stdlib_module_names:
        return "the standard library"
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != beside.resolve()]
    for finder in sys.meta_path:
        if not hasattr(finder, "find_spec"):  # of the old kind, which Python passes over too
            continue
        spec = finder.find_spec(module, elsewhere if finder is PathFinder else None)
        if spec is None or spec.origin is None:  # a folder that is no package has none
            continue
        found = Path(spec.origin).resolve()
        if (
            found.parent.parent if found.stem == "__init__" else found.parent
        ) != beside.resolve():  # a finder of another kind may have looked there
            return spec.origin
    return None


def module_name(file: Path) -> str:
    """Return the name under which a file is imported: its stem, unless something installed or standard has that name."""
    is_taken = file.stem == "__main__" or find_installed(file.stem, beside=file.parent) is not None
    return f"wine_sweep_file_{file.stem}" if is_taken else file.stem


def import_file(file: Path) -> ModuleType:
    """Import a file with code of the user's own; again gives the same module, unless the file has changed.

    What lies beside it can be imported, last: nothing in its folder stands in for something that is installed.

    Args:
        file: The Python file, absolute.

    Raises:
        Exception: Whatever the file raises when it is imported.
    """
    import hashlib  # OpenSSL, which --help has no use for

    start_scripts_as_usual()
    name, content = module_name(file), file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    known = sys.modules.get(name)
    if known is not None and getattr(known, _DIGEST, None) == (str(file), digest):
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    import_last(file.parent, [name])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        if isinstance(spec.loader, SourceFileLoader):  # not by its cache, which knows a change by size and second alone
            exec(spec.loader.source_to_code(content, str(file)), vars(module))  # noqa: S102  # the file that the user trusts
        else:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    setattr(module, _DIGEST, (str(file), digest))
    return module


def lies_in(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a path is one of some resolved paths, or part of one that is a folder."""
    whole = path.resolve()
    return any(each in (whole, *whole.parents) for each in folders)


class _Pause:
    """Counts the contexts, of all threads, in which Python is not to look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_enabled = True

    def enter(self) -> None:
        with self._lock:
            if self._count == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._was_enabled:
                gc.enable()


_PAUSE = _Pause()
_is_ours = threading.Event()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Have Python look for no garbage within this context, and as before after it.

    For what stays, alone: what models leave behind can be large, and be few objects.
    """
    _PAUSE.enter()
    try:
        yield
    finally:
        _PAUSE.leave()


@contextmanager
def importing() -> Iterator[None]:
    """Have Python look for no garbage within this context; in a process that is ours, never again at what there is at its end."""
    with gc_paused():
        yield
        if _is_ours.is_set():
            gc.freeze()


def process_is_ours() -> None:
    """Report that nobody else computes in this process, whose garbage would stay too when what was imported is frozen."""
    _is_ours.set()


def is_process_ours() -> bool:
    """Return whether nobody else computes in this process."""
    return _is_ours.is_set()
