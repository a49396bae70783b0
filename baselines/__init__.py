"""Few-shot methods behind the same scoring API; they import `pointadplus`, never the reverse."""

from __future__ import annotations

from .memory_bank import FPFHMemoryBank
from .mvr import MVR, MVRConfig
from .reg2inv import Reg2Inv, Reg2InvConfig
from .surface_deviation import DeviationConfig, SurfaceDeviation

__all__ = ["MVR", "DeviationConfig", "FPFHMemoryBank", "MVRConfig", "Reg2Inv", "Reg2InvConfig", "SurfaceDeviation"]
