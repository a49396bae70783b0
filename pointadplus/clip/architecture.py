"""The shape of a CLIP backbone as one frozen record, and the open_clip model that it describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..config import Config, one_of, within
from ..errors import ConfigError
from ..lazy import import_lazily

# What open_clip's transformers are made of, and nothing of what its `__init__` and those of the others bring.
import_lazily({
    "open_clip": "constants hf_configs hf_model model modified_resnet pos_embed timm_model tokenizer transformer utils",
    "timm": "layers",
    "torch._dynamo": "",
    "torchvision": "models ops utils",
    "torchvision.models": "feature_extraction",
    "torchvision.ops": "misc",
})  # fmt: skip
import open_clip  # noqa: E402
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg  # noqa: E402

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

# Field of BackboneConfig -> key of open_clip's own model configurations.
_VISION_KEYS = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "vision_width": "width",
    "vision_layers": "layers",
    "mlp_ratio": "mlp_ratio",
    "layer_scale": "ls_init_value",
    "pool": "pool_type",
    "ln_after_pool": "final_ln_after_pool",
    "no_ln_pre": "no_ln_pre",
}
_TEXT_KEYS = {
    "text_context": "context_length",
    "text_width": "width",
    "text_layers": "layers",
    "text_heads": "heads",
    "vocab_size": "vocab_size",
}


@dataclass(frozen=True)
class BackboneConfig(Config):
    """A CLIP with a vision transformer; the defaults are the small embedded architecture.

    Attributes:
        embed_dim: D, the size of the joint image-text space.
        image_size, patch_size: in pixels, square; other image sizes are met by interpolating the positions.
        vision_width, vision_layers, vision_heads, mlp_ratio: the image tower.
        layer_scale: initial value of the learnt residual scales, or None for blocks without them.
        pool: `"tok"` (class token) or `"avg"` (mean of the patches), the source of the global feature.
        ln_after_pool, no_ln_pre: open_clip's variants of where the image tower normalises.
        text_context, text_width, text_layers, text_heads, vocab_size: the text tower (causal, end-of-text pooled).
        quick_gelu: x·sigmoid(1.702x) in place of GELU. OpenAI's weights need it.
        channels: name of the rendered channel that feeds each input plane.
        mean, std: per channel, for images in [0, 1]; empty means 0 and 1.
        conv_stem: patches from a few small strided convolutions in place of one large one; `patch_size` is then a
            power of two.
        color_channels: names of what a second stem takes, whose patches enter the same blocks: what colours say, for a
            tower that was not made for coloured pictures. None: it has no such stem.
        vv_start: 1-based block where value-to-value attention begins; None is max(1, vision_layers // 4), the
            6th of 24 blocks as in PointAD (arXiv 2410.00320).

    Raises:
        ConfigError: a value out of range or values that do not fit each other.
    """

    embed_dim: int = within("[1, 8192]", 192)
    image_size: int = within("[1, 8192]", 128)
    patch_size: int = within("[1, 8192]", 8)
    vision_width: int = within("[1, 8192]", 192)
    vision_layers: int = within("[1, 256]", 6)
    vision_heads: int = within("[1, 8192]", 3)
    mlp_ratio: float = within("(0, 64]", 4.0)
    layer_scale: float | None = None
    pool: str = one_of("tok", "avg")
    ln_after_pool: bool = False
    no_ln_pre: bool = False
    text_context: int = within("[1, 8192]", 32)
    text_width: int = within("[1, 8192]", 128)
    text_layers: int = within("[1, 256]", 3)
    text_heads: int = within("[1, 8192]", 4)
    vocab_size: int = within("[1, 100000]", 49408)
    quick_gelu: bool = False
    channels: tuple[str, ...] = ("headlight", "depth", "normal_x", "normal_y", "normal_z")
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    conv_stem: bool = False
    color_channels: tuple[str, ...] = ()
    vv_start: int | None = within("[1, 256]", None)

    def __post_init__(self) -> None:
        super().__post_init__()  # the bounds keep a forged file from asking for a tower that fills the memory
        _require(1 <= len(self.channels) <= 64, "channels", "1 to 64 names", self.channels)
        _require(len(self.color_channels) <= 64, "color_channels", "up to 64 names", self.color_channels)
        object.__setattr__(self, "mean", self.mean or (0.0,) * len(self.channels))
        object.__setattr__(self, "std", self.std or (1.0,) * len(self.channels))
        self._require_multiple("image_size", self.patch_size)
        self._require_multiple("vision_width", self.vision_heads)
        self._require_multiple("text_width", self.text_heads)
        if self.conv_stem:
            exact = self.patch_size >= 2 and self.patch_size.bit_count() == 1
            _require(exact, "patch_size", "a power of two with conv_stem", self.patch_size)
            self._require_multiple("vision_width", self.patch_size // 2)
        count, last = len(self.channels), self.vision_layers
        _require(len(self.mean) == count, "mean", f"{count} values", self.mean)
        _require(len(self.std) == count and min(self.std) > 0, "std", f"{count} positive values", self.std)
        _require(self.vv_start is None or self.vv_start <= last, "vv_start", f"1 to {last}", self.vv_start)

    def _require_multiple(self, name: str, divisor: int) -> None:
        _require(getattr(self, name) % divisor == 0, name, f"a multiple of {divisor}", getattr(self, name))

    @property
    def first_vv_block(self) -> int:
        """1-based block at which the value-to-value stream begins."""
        return max(1, self.vision_layers // 4) if self.vv_start is None else self.vv_start

    @classmethod
    def from_open_clip(cls, name: str) -> BackboneConfig:
        """The config of an architecture that open_clip knows, such as `"ViT-L-14-336-quickgelu"`.

        Raises:
            ConfigError: the name is unknown, or the architecture is not a plain CLIP with two transformers.
        """
        if name not in open_clip.list_models():
            raise ConfigError("unknown architecture", where=name, expected="a name in open_clip.list_models()")
        known: dict[str, Any] = open_clip.get_model_config(name) or {}
        vision = {"patch_size": 16, "image_size": 224, "layers": 12, "width": 768, "head_width": 64} | known[
            "vision_cfg"
        ]
        text = {"context_length": 77, "width": 512, "layers": 12, "heads": 8} | known["text_cfg"]
        extra = {*known} - {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}
        extra |= {*vision} - {*_VISION_KEYS.values(), "head_width"} | {*text} - {*_TEXT_KEYS.values()}
        if extra or not isinstance(vision["layers"], int):
            raise ConfigError(
                "the architecture is not a plain vision-transformer CLIP",
                where=name,
                expected="open_clip's CLIP with VisionTransformer and causal text towers",
                found=sorted(extra) or "a convolutional image tower",
                hint="choose for instance ViT-L-14-336-quickgelu",
            )
        return cls(
            embed_dim=known["embed_dim"],
            **{field: vision[key] for field, key in _VISION_KEYS.items() if key in vision},
            **{field: text[key] for field, key in _TEXT_KEYS.items() if key in text},
            vision_heads=vision["width"] // vision["head_width"],
            quick_gelu=known.get("quick_gelu", False),
            channels=("headlight",) * 3,
            mean=OPENAI_MEAN,
            std=OPENAI_STD,
        )


def build_clip(config: BackboneConfig) -> CLIP:
    """The open_clip model of a config, initialised from torch's global generator (see `build_backbone` for a seed)."""
    vision = {key: getattr(config, field) for field, key in _VISION_KEYS.items()}
    vision["head_width"] = config.vision_width // config.vision_heads
    text = {key: getattr(config, field) for field, key in _TEXT_KEYS.items()}
    model = CLIP(config.embed_dim, CLIPVisionCfg(**vision), CLIPTextCfg(**text), quick_gelu=config.quick_gelu)
    if config.conv_stem or len(config.channels) != 3:
        # The tower asks of this module only that it maps (B, C, H, W) to (B, width, h, w).
        model.visual.add_module("conv1", _stem(config, len(config.channels)))
    if config.color_channels:
        model.visual.add_module("color_stem", _stem(config, len(config.color_channels)))
    return model


def _stem(config: BackboneConfig, channels: int) -> nn.Module:
    width = config.vision_width
    if not config.conv_stem:
        return nn.Conv2d(channels, width, config.patch_size, config.patch_size, bias=False)
    steps = config.patch_size.bit_length() - 1
    widths = [channels, *(width >> (steps - 1 - step) for step in range(steps))]
    layers: list[nn.Module] = []
    for step, (before, after) in enumerate(pairwise(widths)):
        if step:
            layers += [nn.GroupNorm(math.gcd(8, before), before), nn.GELU()]
        layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
    return nn.Sequential(*layers)


def causal_mask(length: int, device: torch.device | None = None) -> torch.Tensor:
    """(length, length) float32: 0 where a token may look, −∞ at later tokens."""
    return torch.full((length, length), -math.inf, device=device).triu_(1)


def _require(holds: bool, name: str, expected: object, found: object) -> None:
    if not holds:
        raise ConfigError("a value is out of range", where=f"BackboneConfig.{name}", expected=expected, found=found)
