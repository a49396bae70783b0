"""`ServeConfig`: what one service takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import ConfigError


@dataclass(frozen=True)
class ServeConfig:
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

    max_bytes: int = 2**27
    max_points: int = 2_000_000
    queue: int = 8
    timeout: float = 120.0
    threshold: float | None = None
    words: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        threshold = 0.0 if self.threshold is None else self.threshold
        for name, good, expected in (
            ("max_bytes", self.max_bytes >= 1, "at least 1"),
            ("max_points", self.max_points >= 1, "at least 1"),
            ("queue", self.queue >= 0, "at least 0"),
            ("timeout", 0 < self.timeout < math.inf, "seconds, above 0"),
            ("threshold", 0 <= threshold < math.inf, "at least 0"),
        ):
            if not good:
                found = getattr(self, name)
                raise ConfigError("option out of range", where=f"ServeConfig.{name}", expected=expected, found=found)
