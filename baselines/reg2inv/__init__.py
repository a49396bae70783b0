"""Reg2Inv: few-shot detection with features that learn to be rotation-invariant by registration."""

from __future__ import annotations

from .config import Reg2InvConfig
from .detector import Reg2Inv
from .training import Checkpoints

__all__ = ["Checkpoints", "Reg2Inv", "Reg2InvConfig"]
