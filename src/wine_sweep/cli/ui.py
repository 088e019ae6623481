"""``wine-sweep ui``."""

from __future__ import annotations

import os
import socket
import sys

from wine_sweep.cli.console import stderr
from wine_sweep.errors import TrackingError
from wine_sweep.tracking.store import require_store, resolve_uri
from wine_sweep.wording import mask, visible


def ui_command(*, tracking_uri: str | None, host: str, port: int) -> None:
    """Replace this process by MLflow's UI on the store; a tracking server has a UI of its own, whose address is printed.

    Raises:
        NotFoundError: There is no store here yet.
        TrackingError: The port is taken.
    """
    uri = resolve_uri(tracking_uri)
    if uri.startswith(("http://", "https://")):
        print(f"The tracking server has a UI of its own: {visible(mask(uri))}")
        return
    require_store(uri)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no host's name"
        raise TrackingError(f"{host}:{port} cannot be listened on ({reason}); choose another with --port") from error
    stderr().print(f"MLflow's UI on {mask(uri)}: http://{host}:{port}  (Ctrl-C ends it)", soft_wrap=True)
    os.environ.setdefault("UVICORN_APP_DIR", sys.prefix)  # or uvicorn would import from the working folder first
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host, "--port", str(port)]
    os.execv(sys.executable, command)  # noqa: S606  # no shell is meant: the arguments are passed as they are
