"""`Backbone`: a CLIP that gives a global feature and dense, value-to-value patch features in one pass."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from open_clip import tokenizer
from open_clip.model import CLIP
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import check_known
from ..errors import ConfigError, WeightsError
from .architecture import BackboneConfig, build_clip
from .surgery import block_tokens, dense_tokens, embed_patches, text_features


class Tokens(NamedTuple):
    """What one pass over a batch of images gives; both features are float32 and L2-normalised.

    Attributes:
        global_features: (B, D), CLIP's own image embedding.
        patch_features: (B, h·w, D), row-major over the grid.
        grid: (h, w) patches.
    """

    global_features: Float[Tensor, "b d"]
    patch_features: Float[Tensor, "b hw d"]
    grid: tuple[int, int]


class Backbone(nn.Module):
    """An open_clip CLIP read three ways: images to dense tokens, captions to features, prompts to features.

    Args:
        model: an open_clip `CLIP` with a native `VisionTransformer`.
        config: what it looks like; `build_backbone` and `load_backbone` keep the two together.
        precision: `"float32"`, `"bfloat16"` (autocast; results are float32 all the same) or `"auto"`, which is
            bfloat16 where the processor multiplies it natively.
        name: what reports call it.

    A result depends on its own batch alone. Across batch compositions it agrees to rounding, not bit for bit:
    matrix kernels are chosen by the batch's size.

    Raises:
        ConfigError: an unknown precision or an image tower that is not a plain vision transformer.
        WeightsError: the activation of the model is not the one of the config.
    """

    model: Any  # an open_clip CLIP; nn.Module hides the types of what it holds
    mean: Tensor
    std: Tensor

    def __init__(self, model: CLIP, config: BackboneConfig, *, precision: str = "auto", name: str = "unnamed") -> None:
        super().__init__()
        check_known(precision, ("auto", "float32", "bfloat16"), "precision")
        _check_model(model, config)
        self.model, self.config, self.precision, self.name = model, config, precision, name
        shape = (1, len(config.channels), 1, 1)
        self.register_buffer("mean", torch.tensor(config.mean).reshape(shape), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).reshape(shape), persistent=False)
        self.tokenizer = _tokenizer()

    @property
    def embed_dim(self) -> int:
        """D, the size of the joint space."""
        return self.config.embed_dim

    @property
    def image_size(self) -> int:
        """Side of the images that the positions were learnt for, in pixels."""
        return self.config.image_size

    @property
    def patch_grid(self) -> tuple[int, int]:
        """(h, w) patches at `image_size`."""
        side = self.image_size // self.config.patch_size
        return side, side

    @property
    def channels(self) -> tuple[str, ...]:
        """The rendered channel that feeds each input plane."""
        return self.config.channels

    @property
    def color_channels(self) -> tuple[str, ...]:
        """What feeds each plane of the second stem, see `BackboneConfig`; empty where there is none."""
        return self.config.color_channels

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.positional_embedding.device

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over names, shapes and float32 values; computed on each call."""
        return state_digest(self.model.state_dict())

    def freeze(self) -> Backbone:
        """Evaluation mode and no gradients to the weights; returns itself."""
        return self.requires_grad_(False).eval()

    def normalize(self, images: Float[Tensor, "b c height width"]) -> Float[Tensor, "b c height width"]:
        """Images in [0, 1] to what the image tower was trained on: (x − mean) / std per channel."""
        return (images - self.mean) / self.std

    def encode_image(self, images: Float[Tensor, "b c height width"], *, colors: bool = False) -> Tokens:
        """Global and patch features of normalised images, from one pass.

        Args:
            images: (B, C, H, W), of `channels`.
            colors: the images are of `color_channels`, in [−1, 1], and enter by the second stem.

        The global feature is open_clip's `encode_image`. Patch features follow PointAD (arXiv 2410.00320):
        value-to-value attention from block `config.first_vv_block` on, then the tower's own final norm and projection.

        Raises:
            ConfigError: the channels or the size do not fit the backbone.
        """
        self._check_images(images, self.color_channels if colors else self.channels)
        visual = self.model.visual
        with self.autocast():
            tokens, grid = embed_patches(visual, images, "color_stem" if colors else "conv1")
            original, vv = dense_tokens(visual, tokens, self.config.first_vv_block)
            pooled = visual._pool(original)[0] @ visual.proj
            patches = visual.ln_post(vv[:, 1:]) @ visual.proj
        return Tokens(F.normalize(pooled.float(), dim=-1), F.normalize(patches.float(), dim=-1), grid)

    def encode_blocks(self, images: Float[Tensor, "b c height width"]) -> list[Float[Tensor, "b n d"]]:
        """What each block of the image tower gives for normalised images: (B, 1 + h·w, width), class token first.

        Raises:
            ConfigError: the channels or the size do not fit the backbone.
        """
        self._check_images(images, self.channels)
        with self.autocast():
            return block_tokens(self.model.visual, embed_patches(self.model.visual, images)[0])

    def _check_images(self, images: Tensor, planes: Sequence[str]) -> None:
        patch = self.config.patch_size
        fits = images.ndim == 4 and images.shape[1] == len(planes) > 0
        if not fits or any(side == 0 or side % patch for side in images.shape[2:]):
            raise ConfigError(
                "the images do not fit the backbone",
                where="images",
                found=tuple(images.shape),
                expected=f"(B, {len(planes)}, H, W) with H and W multiples of {patch}",
            )

    def tokenize(self, captions: str | Sequence[str]) -> Int[Tensor, "t length"]:
        """(T, context) int64 tokens, zero-padded after end-of-text.

        Raises:
            ConfigError: a caption longer than the context.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        out = torch.zeros(len(captions), self.config.text_context, dtype=torch.int64)
        for row, caption in zip(out, captions, strict=True):
            ids = [self.tokenizer.sot_token_id, *self.tokenizer.encode(caption), self.tokenizer.eot_token_id]
            if len(ids) > len(row):
                raise ConfigError(
                    "the caption is too long",
                    where=repr(caption),
                    expected=f"at most {len(row)} tokens",
                    found=len(ids),
                )
            row[: len(ids)] = torch.tensor(ids)
        return out

    def encode_text(self, tokens: Int[Tensor, "t length"]) -> Float[Tensor, "t d"]:
        """(T, D) float32 unit features of tokenised captions; equal to open_clip's `encode_text`."""
        eot = tokens.argmax(1)  # end-of-text has the largest id
        return self.encode_prompts(self.model.token_embedding(tokens[:, : int(eot.max()) + 1]), eot)

    def encode_prompts(
        self,
        embeddings: Float[Tensor, "p length width"],
        eot: Int[Tensor, " p"],
        deep: Sequence[Float[Tensor, "n width"]] | None = None,
    ) -> Float[Tensor, "p d"]:
        """(P, D) float32 unit features of token embeddings (without positions).

        Args:
            embeddings: (P, L, width); L may stop at the last end-of-text.
            eot: (P,) position of each end-of-text.
            deep: the k-th tensor overwrites positions 1..n before text block k + 2 (1-based), as in PointAD.

        Raises:
            ConfigError: more deep sets than text blocks after the first, or prompts longer than the context.
        """
        with self.autocast():
            features = text_features(self.model, embeddings, eot, deep or ())
        return F.normalize(features.float(), dim=-1)

    def autocast(self) -> torch.autocast:
        """The context that runs a pass at this backbone's precision on its device."""
        device = self.device.type
        enabled = self.precision == "bfloat16" or (self.precision == "auto" and multiplies_bfloat16(self.device))
        return torch.autocast(device, dtype=torch.bfloat16, enabled=enabled)


def build_backbone(
    config: BackboneConfig | None = None, *, seed: int = 0, precision: str = "auto", name: str = "scratch"
) -> Backbone:
    """A trainable backbone with fresh weights drawn from `seed`; the global random state is left as it was."""
    config = config or BackboneConfig()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_clip(config)
    return Backbone(model, config, precision=precision, name=name)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """First 16 hex digits of the SHA-256 over sorted names, shapes and float32 values."""
    sha = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().to("cpu", torch.float32).contiguous()
        sha.update(f"{key}{tuple(value.shape)}".encode())
        sha.update(value.numpy().data)
    return sha.hexdigest()[:16]


@functools.cache
def _tokenizer() -> tokenizer.SimpleTokenizer:
    """The one that open_clip holds: to read the vocabulary again would take a tenth of a second."""
    return getattr(tokenizer, "_tokenizer", None) or tokenizer.SimpleTokenizer()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    found = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _check_model(model: CLIP, config: BackboneConfig) -> None:
    visual = getattr(model, "visual", None)
    blocks = visual.transformer.resblocks if isinstance(visual, VisionTransformer) and visual.attn_pool is None else ()
    if not blocks or not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        raise ConfigError(
            "the image tower cannot give dense tokens",
            where="model.visual",
            expected="open_clip's VisionTransformer with its default blocks and pooling",
            found=type(visual).__name__,
        )
    quick = any(isinstance(module, QuickGELU) for module in model.modules())
    if quick != config.quick_gelu:
        names = ("GELU", "QuickGELU")
        raise WeightsError(
            "the activation is not the one that the weights were trained with",
            where="model",
            expected=names[config.quick_gelu],
            found=names[quick],
            hint="OpenAI's weights need an architecture whose name ends in -quickgelu",
        )
