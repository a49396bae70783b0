"""Listening, until told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from ...errors import ConfigError


def run_server(app: Any, host: str, port: int, ready: Callable[[str], None] | None) -> None:
    """See `run`. SIGTERM and Ctrl-C close the socket; requests that were accepted by then are answered.

    A signal that ended the service ends the process, too, as it would have without a handler: after the answers.
    """
    with _listening(host, port) as listener:
        if ready is not None:
            address, taken = listener.getsockname()[:2]
            ready(f"http://[{address}]:{taken}" if ":" in address else f"http://{address}:{taken}")
        # Clients' file names stand in an access log; a proxy writes one where it is wanted.
        config = uvicorn.Config(
            app, access_log=False, server_header=False, log_level="warning", lifespan="on", ws="none"
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        found = getattr(error, "strerror", None) or error
        expected = "an address of this machine, and a free port"
        raise ConfigError(
            "the address cannot be used", where=f"{host}:{port}", expected=expected, found=found
        ) from error
