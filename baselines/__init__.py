"""Few-shot methods behind the same scoring API; they import `pointadplus`, never the reverse."""

from __future__ import annotations

from .memory_bank import FPFHMemoryBank

__all__ = ["FPFHMemoryBank"]
