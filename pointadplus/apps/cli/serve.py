"""The command `serve`: scoring over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..serve import ServeConfig, create_app, run

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector

Host = Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")]
MaxBytes = Annotated[int, typer.Option(min=1, help="Most bytes of a scan.")]
MaxPoints = Annotated[int, typer.Option(min=1, help="Most points of a scan, or vertices of a mesh.")]
Queue = Annotated[int, typer.Option(min=0, help="Scans that may wait while one is scored; others get a 503.")]
Timeout = Annotated[float, typer.Option(help="Seconds from a request to its answer.")]


def serve_with(
    detector: AnomalyDetector, config: ServeConfig, host: str, port: int, against: AnomalyDetector | None = None
) -> None:
    """Serve a detector, and what compares with a nominal, until SIGTERM or Ctrl-C; prints the URL when connections are
    accepted.

    Raises:
        ConfigError: the extra `serve` is not installed, or the address cannot be used.
    """
    run(create_app(detector, config, against), host, port, ready=typer.echo)
