"""Frozen teachers: waves, which need no weights, the embedded CLIP image tower, and vision transformers of timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import timm
import torch
from jaxtyping import Float
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from pointadplus.clip.backbone import multiplies_bfloat16
from pointadplus.clip.weights import load_backbone
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.tensors import check_finite, read_safetensors

from .network import target_layers
from .waves import WaveEncoder


class Encoder(Protocol):
    """A teacher.

    Attributes:
        channels: of the pictures it takes, see `render.shade` and `geometry.descriptors.ATTRIBUTES`.
        width, heads: of its tokens.
        prefix: tokens before those of the patches.
        patch: side of a patch in pixels.
        layers: the blocks it gives.
        name: which weights these are.
    """

    channels: tuple[str, ...]
    width: int
    heads: int
    prefix: int
    patch: int
    layers: tuple[int, ...]
    name: str

    def __call__(self, images: Float[Tensor, "b c height width"]) -> Float[Tensor, "layers b n d"]:
        """Tokens that leave each of the layers, for pictures as the renderer gives them."""
        ...

    def autocast(self) -> torch.autocast:
        """The context that runs a pass at the encoder's precision."""
        ...


class ClipEncoder:
    """The image tower of a `Backbone`."""

    prefix = 1

    def __init__(self, source: str = "embedded", layers: tuple[int, ...] = (), precision: str = "auto") -> None:
        self.backbone = load_backbone(source, precision=precision).freeze()
        config = self.backbone.config
        self.channels, self.patch = self.backbone.channels, config.patch_size
        self.width, self.heads = config.vision_width, config.vision_heads
        self.layers = _checked(target_layers(config.vision_layers, layers), config.vision_layers)
        self.name = f"{self.backbone.name} {self.backbone.digest}"

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b c height width"]) -> Float[Tensor, "layers b n d"]:
        blocks = self.backbone.encode_blocks(self.backbone.normalize(images))
        return torch.stack([blocks[layer] for layer in self.layers])

    def autocast(self) -> torch.autocast:
        return self.backbone.autocast()


class TimmEncoder:
    """A vision transformer of timm on depth images, three times the same plane, scaled as ImageNet's photographs are.

    Args:
        model: with `forward_intermediates`, such as `timm.create_model("vit_base_patch14_reg4_dinov2.lvd142m")`.
        layers: blocks to give; empty for Dinomaly's choice.
        precision: see `Backbone`.
        name: which weights these are.
    """

    channels: tuple[str, ...] = ("depth",)

    def __init__(
        self, model: nn.Module, layers: tuple[int, ...] = (), precision: str = "auto", name: str = "timm"
    ) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.precision, self.name = precision, name
        self.patch = int(self.model.patch_embed.patch_size[0])
        self.width, self.heads = self.model.embed_dim, self.model.blocks[0].attn.num_heads
        self.prefix, count = self.model.num_prefix_tokens, len(self.model.blocks)
        self.layers = _checked(target_layers(count, layers), count)
        self._mean = torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None]
        self._std = torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None]

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b c height width"]) -> Float[Tensor, "layers b n d"]:
        planes = (images.expand(-1, 3, -1, -1) - self._mean) / self._std
        with self.autocast():
            found = self.model.forward_intermediates(
                planes, indices=list(self.layers), return_prefix_tokens=True, norm=False, stop_early=True,
                output_fmt="NLC", intermediates_only=True,
            )  # fmt: skip
        return torch.stack([torch.cat([prefix, patches], 1) for patches, prefix in found])

    def autocast(self) -> torch.autocast:
        enabled = self.precision == "bfloat16" or (
            self.precision == "auto" and multiplies_bfloat16(torch.device("cpu"))
        )
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


def load_encoder(source: str, image_size: int, layers: tuple[int, ...] = (), precision: str = "auto") -> Encoder:
    """The teacher that `MVRConfig.encoder` names.

    Args:
        source: `"waves"`, `"timm:NAME"`, `"timm:NAME@FILE"` or anything that `load_backbone` takes, as `"embedded"`.
        image_size: side of the pictures in pixels.
        layers: blocks to give; empty for the encoder's own choice.
        precision: see `Backbone`.

    Raises:
        WeightsError: weights that cannot be had, or do not fit.
        ConfigError: an unknown model, pictures that its patches do not divide, or layers that it has not.
    """
    if source == "waves":
        encoder: Encoder = WaveEncoder()
        _checked(layers, len(encoder.layers))
    elif not source.startswith("timm:"):
        encoder = ClipEncoder(source, layers, precision)
    else:
        name, _, file = source.removeprefix("timm:").partition("@")
        encoder = TimmEncoder(_timm_model(name, file, image_size), layers, precision, name)
    if image_size % encoder.patch:
        raise ConfigError(
            "pictures do not divide into patches",
            where="MVRConfig.image_size",
            expected=f"a multiple of {encoder.patch}",
            found=image_size,
        )
    return encoder


def _timm_model(name: str, file: str, image_size: int) -> Any:
    if not timm.is_model(name):
        raise ConfigError(
            "unknown model", where="MVRConfig.encoder", expected="a name in timm.list_models()", found=name
        )
    options = {"img_size": image_size, "num_classes": 0, "dynamic_img_size": True}
    if not file:
        try:
            return timm.create_model(name, pretrained=True, **options)
        except Exception as error:  # of the hub: offline, no such weights, a proxy's page in place of them
            raise WeightsError(
                "the encoder's weights cannot be had",
                where=name,
                found=f"{type(error).__name__}: {error}".splitlines()[0],
                hint=f"fetch model.safetensors of timm/{name} where there is a network, and give 'timm:{name}@FILE'",
            ) from error
    model: Any = timm.create_model(name, pretrained=False, **options)
    state, _ = read_safetensors(Path(file))
    check_finite(state, Path(file))
    try:
        fitting = checkpoint_filter_fn(
            state, model
        )  # resamples the positions, and knows other layouts of these weights
        model.load_state_dict({key: value for key, value in fitting.items() if key in model.state_dict()})
    except (RuntimeError, KeyError) as error:
        raise WeightsError("the weights do not fit the model", where=file, expected=name, found=error) from error
    return model


def _checked(layers: tuple[int, ...], blocks: int) -> tuple[int, ...]:
    if not all(0 <= layer < blocks for layer in layers) or list(layers) != sorted(set(layers)):
        raise ConfigError(
            "no such layers", where="MVRConfig.layers", expected=f"ascending, from 0 to {blocks - 1}", found=layers
        )
    return layers
