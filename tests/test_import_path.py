"""What helper processes and code of the user's own may import."""

from __future__ import annotations

import importlib
import os
import sys
import threading

import pytest

from wine_sweep.cli.startup import let_import_from
from wine_sweep.errors import ConfigError
from wine_sweep.importing import (
    OURS,
    SAFE_PATH,
    find_installed,
    guarded_folders,
    import_last,
    keep_working_folder_out,
    start_scripts_as_usual,
    users_own,
    working_folder_kept_out,
)


@pytest.mark.parametrize("own", [None, "1", ""])
def test_what_the_user_has_set_is_there_again_and_never_taken_away(monkeypatch, own):
    monkeypatch.delenv(SAFE_PATH, raising=False) if own is None else monkeypatch.setenv(SAFE_PATH, own)
    with working_folder_kept_out(), working_folder_kept_out():
        assert os.environ[SAFE_PATH] == (own or OURS)
    assert os.environ.get(SAFE_PATH) == own
    keep_working_folder_out()
    assert os.environ[SAFE_PATH] == (own or OURS)
    assert users_own({SAFE_PATH: own or OURS, "A": "b"}) == ({"A": "b"} if not own else {SAFE_PATH: own, "A": "b"})
    start_scripts_as_usual()
    assert os.environ.get(SAFE_PATH) == (own or None)


def test_the_last_of_several_threads_takes_it_back(monkeypatch):
    monkeypatch.delenv(SAFE_PATH, raising=False)
    entered, leave = threading.Event(), threading.Event()

    def other():
        with working_folder_kept_out():
            entered.set()
            leave.wait(10)

    with working_folder_kept_out():
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(10)
    assert os.environ[SAFE_PATH] == OURS
    leave.set()
    thread.join()
    assert SAFE_PATH not in os.environ


@pytest.fixture
def folder(tmp_path, monkeypatch):
    others = guarded_folders()  # of tests that ran functions in this process
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in others])
    for name in ("mine_beside_config", "other_beside_config", "google"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "asks_beside_config.py").write_text("import other_beside_config")
    yield tmp_path
    for name in ("mine_beside_config", "other_beside_config", "asks_beside_config"):
        sys.modules.pop(name, None)


def test_a_folder_of_ones_own_gives_modules_to_its_own_code_and_those_of_a_name_to_all(folder):
    import_last(folder, ["mine_beside_config"])
    assert sys.path[-1] == str(folder)
    assert guarded_folders() == {str(folder): {"mine_beside_config"}}
    __import__("mine_beside_config")
    with pytest.raises(ModuleNotFoundError):
        __import__("other_beside_config")
    import_last(folder, ["asks_beside_config"])
    __import__("asks_beside_config")
    assert sys.modules["other_beside_config"].__file__ == str(folder / "other_beside_config.py")


def test_a_library_imports_for_the_folders_code_what_it_names_and_nothing_while_it_is_imported_itself(folder):
    """As hydra does with the dotted name of a class; and as a library does that tries what may not be installed."""
    library = folder.parent / "elsewhere"
    library.mkdir()
    (library / "locator_elsewhere.py").write_text(
        "import importlib\n"
        "try:\n    import optional_beside_config\nexcept ModuleNotFoundError:\n    optional_beside_config = None\n"
        "def locate(name):\n    return importlib.import_module(name)\n"
    )
    (folder / "optional_beside_config.py").write_text("")
    (folder / "locates_beside_config.py").write_text(
        "import locator_elsewhere\nfound = locator_elsewhere.locate('other_beside_config')\n"
    )
    sys.path.insert(0, str(library))
    import_last(folder, ["locates_beside_config"])
    module = importlib.import_module("locates_beside_config")
    try:
        assert module.found.__file__ == str(folder / "other_beside_config.py")
        assert module.locator_elsewhere.optional_beside_config is None
    finally:
        for name in ("locates_beside_config", "locator_elsewhere", "optional_beside_config"):
            sys.modules.pop(name, None)


def test_a_name_that_is_a_folder_here_vouches_for_no_other_module_beside_the_config(folder, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "other_beside_config").mkdir()
    with pytest.raises(ConfigError, match=r"beside the config lies another, .*other_beside_config\.py; run in"):
        let_import_from(folder, ["other_beside_config"])
    assert str(folder) not in sys.path
    let_import_from(folder, ["mine_beside_config"])  # nothing of that name is here, so that one is meant
    assert guarded_folders() == {str(folder): {"mine_beside_config"}}


def test_a_folder_that_is_on_the_path_already_stays_as_it_is(folder):
    sys.path.insert(0, str(folder))
    import_last(folder, ["mine_beside_config"])
    assert sys.path[0] == str(folder)
    assert guarded_folders() == {}
    __import__("other_beside_config")


def test_what_is_installed_is_found_wherever_the_folder_is_on_the_path(folder):
    sys.path.insert(0, str(folder))
    assert find_installed("json", folder) == "the standard library"
    assert find_installed("numpy", folder).endswith("numpy/__init__.py")
    assert find_installed("mine_beside_config", folder) is None
    assert find_installed("mine_beside_config", folder.parent) == str(folder / "mine_beside_config.py")
