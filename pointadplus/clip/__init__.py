"""CLIP backbones: dense image tokens, text features, safe weights."""

from __future__ import annotations

from .architecture import BackboneConfig
from .backbone import Backbone, Tokens, build_backbone
from .weights import load_backbone, save_backbone

__all__ = ["Backbone", "BackboneConfig", "Tokens", "build_backbone", "load_backbone", "save_backbone"]
