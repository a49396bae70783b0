"""Scoring over HTTP: `create_app`, the ASGI application, and `run`, which serves it until it is told to stop.

A request is received into a private folder (`uploads`), waits its turn (`queue`), is read, scored and answered
(`service`), or refused (`refusals`). Needs the extra `serve`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, install_command
from .config import ServeConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from ...results.detector import AnomalyDetector

__all__ = ["ServeConfig", "create_app", "run"]


def create_app(
    detector: AnomalyDetector, config: ServeConfig | None = None, against: AnomalyDetector | None = None
) -> FastAPI:
    """An ASGI application with `POST /score`, `POST /report`, `GET /health` and `GET /metrics` over one detector, and
    `POST /compare` over one that was fitted on a nominal.

    Args:
        detector: of any method, fitted and calibrated as it is to be used.
        config: limits; None means the defaults.
        against: a `SurfaceDeviation` fitted with a nominal; None takes the detector if it was,
            else `/compare` is refused.

    Raises:
        ConfigError: the extra `serve` is not installed, or words for regions cannot be given.
    """
    try:
        from .app import build_app
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return build_app(detector, config or ServeConfig(), against)


def run(app: Any, host: str = "127.0.0.1", port: int = 8000, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve an application until SIGTERM or Ctrl-C; what was accepted by then is answered first.

    Args:
        app: of `create_app`.
        host: the address to listen at; only this machine is let in by default.
        port: 0 takes any free one.
        ready: called with the URL as soon as connections are accepted.

    Raises:
        ConfigError: the address cannot be used, or the extra `serve` is not installed.
    """
    try:
        from .server import run_server
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    run_server(app, host, port, ready)


def _missing(error: ModuleNotFoundError) -> ConfigError:
    return ConfigError("the service needs more packages", found=error, hint=install_command("serve"))
