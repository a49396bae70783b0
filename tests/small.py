"""A whole detector small enough for tests, with weights drawn from a seed and written as real files."""

from __future__ import annotations

from pathlib import Path

import torch

from pointadplus.clip import BackboneConfig, build_backbone, load_backbone, save_backbone
from pointadplus.prompts.learner import PromptConfig
from pointadplus.zero_shot.detector import ZeroShotConfig, ZeroShotDetector
from pointadplus.zero_shot.model import ModelConfig, PointADPlus
from pointadplus.zero_shot.observation import ObservationConfig

CHANNELS = ("headlight", "depth", "variation", "offset")
OBSERVATION = ObservationConfig(nodes=256, support=900, samples=2, views="sphere4")
MODEL = ModelConfig(hidden=16, neighbors=6, strides=(1, 4), prompts=PromptConfig(context=4))


def small_backbone_file(folder: Path, seed: int = 0) -> Path:
    """A backbone of 32-pixel images and 16 patches."""
    config = BackboneConfig(
        embed_dim=16, image_size=32, patch_size=8, vision_width=32, vision_layers=2, vision_heads=2, text_context=16,
        text_width=32, text_layers=2, text_heads=2, channels=CHANNELS, mean=(0.0,) * 4, std=(1.0,) * 4, conv_stem=True,
    )  # fmt: skip
    path = folder / f"backbone{seed}.safetensors"
    save_backbone(build_backbone(config, seed=seed), path, {"data": "none"})
    return path


def small_detector(folder: Path, precision: str = "auto") -> ZeroShotDetector:
    """A detector whose geometry layer is not the identity any more."""
    path = small_backbone_file(folder)
    backbone = load_backbone(path, precision=precision)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PointADPlus(backbone, MODEL)
        torch.nn.init.normal_(model.aggregation.out.weight, std=0.3)
    model.aggregation.spread.fill_(2.0)
    return ZeroShotDetector.from_parts(backbone, model, ZeroShotConfig(str(path), backbone.digest, OBSERVATION, MODEL))
