"""`ServeConfig`: what one service takes."""

from __future__ import annotations

from dataclasses import dataclass

from ...config import Config, within


@dataclass(frozen=True)
class ServeConfig(Config):
    """Limits of one service. The defaults are numbers that we chose.

    Attributes:
        max_bytes: of a request's body, at least 1.
        max_points: of a scan, or vertices of a mesh, at least 1; see `read_cloud`.
        queue: requests that may wait, or be on their way in, while another is scored; at least 0.
        timeout: seconds from a request's first byte to its answer, above 0.
        threshold: point score that a region starts from, at least 0; None means the calibrated one, or 0.5.
        words: each region gets the nearest of them, see `words.named_regions`; None: regions without words.

    Raises:
        ConfigError: a value out of range.
    """

    max_bytes: int = within("[1, ∞)", 2**27)
    max_points: int = within("[1, ∞)", 2_000_000)
    queue: int = within("[0, ∞)", 8)
    timeout: float = within("(0, ∞)", 120.0)
    threshold: float | None = within("[0, ∞)", None)
    words: tuple[str, ...] | None = None
