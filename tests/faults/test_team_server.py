"""The whole of it on a team's server, PostgreSQL with proxied artifacts and basic auth: credentials are used and seen nowhere."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from tests.faults.faultkit.audit import MODEL, all_runs, complaints, sweeps, take_account
from tests.faults.faultkit.place import Ended, Place
from tests.faults.faultkit.team import Team, User, team_server

SEARCH = "{method: grid, parameters: {shift: [0.1, 0.3, 0.5, 0.7], scale: [0.1, 0.3]}}"
TRIALS = 8
TRUST = ("--trust", "fault_estimators", "--trust", f"model:{MODEL}")  # whose models bring their code


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        with team_server(folder) as made:
            yield made


@pytest.fixture(scope="module")
def member_place(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where a member of the team works; the credentials are in MLflow's own variables and nowhere else."""
    yield from placed(team.server.uri, tmp_path_factory.mktemp("member"), team.member)


@pytest.fixture(scope="module")
def guest_place(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    yield from placed(team.server.uri, tmp_path_factory.mktemp("guest"), team.guest)


def placed(uri: str, folder: Path, user: User | None) -> Iterator[Place]:
    place = Place(folder, uri, dict(user.variables) if user else {})
    place.write_config(SEARCH)
    yield place
    place.clear()


@pytest.fixture(scope="module")
def client(team: Team) -> Iterator[MlflowClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in team.member.variables.items():
            patch.setenv(name, value)
        yield MlflowClient(team.server.uri)


@pytest.fixture(scope="module")
def swept(member_place: Place) -> Ended:
    """A sweep by a member of the team."""
    ended = member_place.run().wait()
    assert ended.code == 0, ended
    return ended


def test_a_sweep_runs_to_the_registry(swept, client):
    account = take_account(client, sweeps(client)[0].info.run_id)
    assert complaints(account, account, expected=TRIALS) == []
    assert "Staging" in swept.stdout


def test_it_can_be_listed_compared_and_promoted_again(swept, member_place, client):
    listed = member_place.start("list").wait()
    compared = member_place.start("compare", "latest", "--format", "csv").wait()
    promoted = member_place.start("promote", "latest", "--stage", "Production", *TRUST).wait()
    assert [listed.code, compared.code, promoted.code] == [0, 0, 0], promoted
    assert f"{TRIALS}/{TRIALS}" in listed.stdout
    assert len(compared.stdout.splitlines()) == TRIALS + 1
    assert [version.current_stage for version in client.search_model_versions(f"name = '{MODEL}'")] == ["Production"]


def one_line(ended: Ended) -> str:
    """Give the one line that an error is told in, beside the progress."""
    assert ended.code in (1, 2), ended
    assert "Traceback" not in ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("error: "))
    assert ended.stderr.rstrip().endswith(line)
    return line


@pytest.mark.parametrize("command", [pytest.param("run", marks=pytest.mark.full_form), "list"])
def test_who_gives_a_wrong_password_or_none_is_told_what_to_set(team, tmp_path, command):
    arguments = {"run": ("run", "sweep.yaml", "--trust", "fault_estimators"), "list": ("list",)}[command]
    for number, user in enumerate([User(team.member.name, "not-the-password"), None]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for place in placed(team.server.uri, folder, user):
            line = one_line(place.start(*arguments).wait())
            assert "MLFLOW_TRACKING_USERNAME" in line
            assert "not-the-password" not in line
            place.assert_nothing_left_over()


def test_a_guest_may_read_and_is_told_that_he_may_not_write(swept, guest_place, client):
    before = {run.info.run_id for run in all_runs(client)}
    assert f"{TRIALS}/{TRIALS}" in guest_place.start("list").wait().stdout
    assert guest_place.start("compare", "latest").wait().code == 0
    refused = guest_place.run().wait()
    assert "'faults'" in one_line(refused)
    assert "does not permit" in one_line(refused)
    promoted = guest_place.start("promote", "latest", "--stage", "Staging", "--force", "--trust", "fault_estimators").wait()
    assert "does not permit" in one_line(promoted)
    assert {run.info.run_id for run in all_runs(client)} == before
    guest_place.assert_nothing_left_over()


def test_a_killed_sweep_is_resumed(swept, member_place, client):
    member_place.write_config(SEARCH.replace("0.7]", "0.7, 0.9]"), pause=1)
    before = len(member_place.notes("ended"))
    command = member_place.run("--no-promote")
    member_place.wait_for_ended(before + 3, command)
    command.send(signal.SIGKILL)
    command.wait()
    resumed = member_place.resume().wait()
    assert resumed.code == 0, resumed
    account = take_account(client, sweeps(client)[0].info.run_id)
    assert len(account.results) == TRIALS + 2
    assert (account.twice, account.running, account.status) == (0, 0, "FINISHED")


@pytest.mark.full_form
def test_credentials_within_the_uri_are_used_and_hidden(team, tmp_path, client):
    user = team.member
    uri = team.server.uri.replace("://", f"://{user.name}:{quote(user.password, safe='')}@")
    for place in placed(team.server.uri, tmp_path, None):
        ended = place.start(
            "run", "sweep.yaml", "--trust", "fault_estimators", "--tracking-uri", uri, "--experiment", "uri"
        ).wait()
        assert ended.code == 0, ended
        listed = place.start("list", "--tracking-uri", uri, "--experiment", "uri").wait()
        assert f"{TRIALS}/{TRIALS}" in listed.stdout
        place.uri = uri.replace(f":{team.server.port}", ":9")
        gone = place.start("list").wait()
        assert "no tracking server answers at http://***@127.0.0.1:9" in one_line(gone)
        assert seen_in(tmp_path, user) == []


def test_no_credentials_are_in_any_log_run_artifact_or_journal(swept, team, member_place, guest_place, client):
    for user, place in [(team.member, member_place), (team.guest, guest_place)]:
        assert seen_in(place.folder, user) == []
        assert seen_in(team.server.folder / "artifacts", user) == []
        assert [secret for secret in secrets_of(user) if secret in team.tracked()] == []
    assert f"{TRIALS}/{TRIALS}" in member_place.start("list").wait().stdout


def secrets_of(user: User) -> list[str]:
    """Give the forms that a password is sent and written in."""
    both = f"{user.name}:{user.password}".encode()
    return [user.password, quote(user.password), quote(user.password, safe=""), base64.b64encode(both).decode()]


def seen_in(folder: Path, user: User) -> list[str]:
    """Name the files under a folder that hold a user's password in any form."""
    secrets = [secret.encode() for secret in secrets_of(user)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]
