"""The fault suite's fixtures: places with real stores, undisturbed sweeps to compare with, and the counts at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.faultkit.audit import MODEL, Account, all_runs, complaints, sweeps, take_account
from tests.faults.faultkit.place import KINDS, SEARCHES, TRIALS, Place
from tests.faults.faultkit.promoting import Base, Machine, Warm
from tests.faults.faultkit.registered import Found, predicts
from tests.faults.faultkit.registered import complaints as promotion_complaints
from tests.faults.faultkit.server import ManagedServer
from tests.faults.faultkit.tally import Line, Moves, Tally

TIMEOUT_SECONDS = 1800
"""For one test: twenty sweeps that are killed and resumed, on a machine that has other things to do."""

TALLY = pytest.StashKey[Tally]()
Audit = Callable[..., Account]
Undisturbed = Callable[[str, str], tuple[Account, float]]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder, before `-m` selects; the short form leaves out what it has another variant of."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.faults)
        item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
    left_out = [item for item in ours if is_short() and item.get_closest_marker("full_form")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = list(config.stash[TALLY].table())
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)


def is_short() -> bool:
    """Whether only the short form is asked for."""
    return os.environ.get("WINE_SWEEP_FAULTS") == "short"


@pytest.fixture
def times() -> Callable[[int, int], int]:
    """Give how often something is done: in the full form, or in the short one."""
    return lambda full, fewer: fewer if is_short() else full


def made_place(migrated: Path, folder: Path) -> Place:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(migrated, folder / "mlflow.db")
    return Place(folder, f"sqlite:///{folder / 'mlflow.db'}")


@pytest.fixture
def new_place(migrated: Path, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Make places, each with a SQLite store of its own; nothing that was started in one outlives the test."""
    made: list[Place] = []

    def make(name: str) -> Place:
        made.append(made_place(migrated, tmp_path / name))
        return made[-1]

    yield make
    for place in made:
        place.clear()


@pytest.fixture
def place(new_place: Callable[[str], Place]) -> Place:
    """A place with a SQLite store."""
    return new_place("place")


@pytest.fixture
def server(migrated: Path, tmp_path: Path) -> Iterator[ManagedServer]:
    """A tracking server on a SQLite file, running."""
    shutil.copy(migrated, tmp_path / "server.db")
    made = ManagedServer(tmp_path, f"sqlite:///{tmp_path / 'server.db'}")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def served_place(server: ManagedServer, tmp_path: Path) -> Iterator[Place]:
    """A place whose store is the tracking server."""
    folder = tmp_path / "place"
    folder.mkdir()
    made = Place(folder, server.uri)
    yield made
    made.clear()


@pytest.fixture(scope="session")
def undisturbed(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Give the account of an undisturbed sweep of a search and a kind, and how long that took, in seconds."""
    known: dict[tuple[str, str], tuple[Account, float]] = {}

    def get(search: str, kind: str) -> tuple[Account, float]:
        if (search, kind) not in known:
            place = made_place(migrated, tmp_path_factory.mktemp("undisturbed"))
            place.write_config(search, kind=kind)
            command = place.run()
            ended = command.wait()
            assert ended.code == 0, ended
            seconds = command.age
            account = take_account(place.client, sweeps(place.client)[0].info.run_id)
            assert complaints(account, account, expected=TRIALS, has_model=KINDS[kind].has_model) == []
            place.assert_nothing_left_over()
            known[search, kind] = (account, seconds)
        return known[search, kind]

    return get


@pytest.fixture
def seconds(undisturbed: Undisturbed) -> Callable[[str, str], float]:
    """Give how long an undisturbed sweep of a search and a kind takes."""
    return lambda search, kind: undisturbed(search, kind)[1]


@pytest.fixture
def audit(request: pytest.FixtureRequest, undisturbed: Undisturbed) -> Audit:
    """Hold a sweep that has ended well against an undisturbed one, and count it; without a `search` there is none to compare."""
    tally = request.config.stash[TALLY]

    def check(
        place: Place, scenario: str, *, search: str | None = SEARCHES["grid"], expected: int = TRIALS, times: int = 1
    ) -> Account:
        kind = place.kind
        account = take_account(place.client, sweeps(place.client)[0].info.run_id)
        reference = undisturbed(search, kind.name)[0] if search else account
        wrong = complaints(account, reference, expected=expected, has_model=kind.has_model)
        whose = "" if kind is KINDS["estimator"] else f" ({kind.name})"
        tally.add(f"{scenario}{whose}", _line(account, expected, wrong, times))
        assert not wrong, "\n".join(wrong[:10])
        assert len(sweeps(place.client)) == 1
        return account

    return check


def _line(account: Account, expected: int, wrong: list[str], times: int) -> Line:
    return Line(
        times=times,
        trials=expected,
        finished=len(account.results),
        lost=len(set(range(expected)) - set(account.results)),
        twice=account.twice,
        running=account.running,
        versions=account.versions,
        wrong=len(wrong),
    )


@pytest.fixture
def nothing_runs() -> Callable[[Place], None]:
    """Fail when a run of a store is RUNNING."""

    def check(place: Place) -> None:
        assert [run.info.run_name for run in all_runs(place.client) if run.info.status == "RUNNING"] == []

    return check


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that forks commands off."""
    made = Warm()
    yield made
    made.close()


@pytest.fixture(scope="session")
def base(migrated: Path, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A SQLite store with a sweep, and two of its trials promoted."""
    folder = tmp_path_factory.mktemp("base")
    shutil.copy(migrated, folder / "mlflow.db")
    return Base.make(Machine(warm, folder, f"sqlite:///{folder / 'mlflow.db'}")).with_two(MODEL)


@pytest.fixture(scope="session")
def base_server(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedServer]:
    """A tracking server on a SQLite file, running."""
    folder = tmp_path_factory.mktemp("base-server")
    shutil.copy(migrated, folder / "server.db")
    made = ManagedServer(folder, f"sqlite:///{folder / 'server.db'}")
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def served_base(base_server: ManagedServer, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The same on the tracking server; nothing is promoted yet."""
    return Base.make(Machine(warm, tmp_path_factory.mktemp("served-base"), base_server.uri))


@pytest.fixture
def audit_promotion(request: pytest.FixtureRequest) -> Callable[..., Found]:
    """Look at a registered model with MLflow's own client, and count what is found."""
    tally = request.config.stash[TALLY]

    def check(
        base: Base, scenario: str, *, name: str = MODEL, old: str = "2", told: int = 0, settled: bool = True, what: object = ""
    ) -> Found:
        found = base.look(name)
        wrong = promotion_complaints(found, settled=settled)
        if found.staged and not predicts(base.machine.uri, name):
            wrong.append("what is in Staging predicts no numbers")
        stayed = int(found.staged == [old])
        begun = found.begun if settled else 0
        tally.add(scenario, Moves(1, stayed, 1 - stayed, told, found.twice, begun, len(wrong)))
        assert not wrong, f"{scenario}, {what}: {wrong}; {found}"
        return found

    return check
