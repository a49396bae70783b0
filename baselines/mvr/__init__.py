"""MVR, reconstructed: multi-view reconstruction with global context (Sun et al., 2025, arXiv 2507.21555)."""

from __future__ import annotations

from .config import MVRConfig
from .detector import MVR

__all__ = ["MVR", "MVRConfig"]
