"""A team's server: ``mlflow server`` with basic auth on PostgreSQL, artifacts proxied, two users."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from tests.faults.faultkit.server import ManagedServer

ADMIN = "keeper"
AUTH_CONFIG = """\
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {admin}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


@dataclass(frozen=True)
class User:
    """Somebody who may log in; the password has characters that a URL has to escape."""

    name: str
    password: str

    @property
    def variables(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_USERNAME": self.name, "MLFLOW_TRACKING_PASSWORD": self.password}


@dataclass(frozen=True)
class Team:
    """The server and its users: a member, and a guest who may only read what others made."""

    server: ManagedServer
    database: str
    member: User
    guest: User

    def tracked(self) -> str:
        """Give everything that the tracking server has in its database, as text."""
        from pgserver._commands import POSTGRES_BIN_PATH

        command = [str(POSTGRES_BIN_PATH / "pg_dump"), "--inserts", self.database]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def team_server(folder: Path) -> Iterator[Team]:
    """Run PostgreSQL and the tracking server; both are ended afterwards."""
    import pgserver

    database = pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    try:
        for name in ("tracking", "users"):
            database.psql(f"CREATE DATABASE {name}")
        server = _server(folder, database)
        try:
            server.start()
            yield Team(server, database.get_uri("tracking"), *[_made_user(server, name) for name in ("member", "guest")])
        finally:
            server.kill()
    finally:
        database.cleanup()


def _server(folder: Path, database) -> ManagedServer:
    tracking, users = (database.get_uri(name).replace("postgresql:", "postgresql+psycopg2:", 1) for name in ("tracking", "users"))
    settings = folder / "auth.ini"
    settings.write_text(AUTH_CONFIG.format(database=users.replace("%", "%%"), admin=ADMIN, password="kept-by-the-keeper"))
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex()}
    return ManagedServer(folder, tracking, ("--app-name", "basic-auth"), variables)


def _made_user(server: ManagedServer, name: str) -> User:
    user = User(name, f"{secrets.token_urlsafe(12)}@:/ {name}?#")
    response = requests.post(
        f"{server.uri}/api/2.0/mlflow/users/create",
        json={"username": user.name, "password": user.password},
        auth=(ADMIN, "kept-by-the-keeper"),
        timeout=30,
    )
    response.raise_for_status()
    return user
