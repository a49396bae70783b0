"""Training a small CLIP from scratch on synthetic objects: image–text contrast, and patches aligned with words."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ...clip.backbone import Backbone
from ...prompts.templates import ANOMALOUS_WORDS, DEFECT_KINDS, NORMAL_WORDS, captions
from .pictures import DrawnObject

CHANNELS = (
    "headlight", "depth", "variation_fine", "variation", "variation_wide", "offset_fine", "offset", "offset_wide",
    "residual_fine", "residual", "roughness", "roughness_wide", "rim_fine", "rim", "crease", "crease_wide",
    "self_reference_fine", "self_reference", "self_reference_relative",
)  # fmt: skip
"""Rotation-invariant in the image plane, so that turning and mirroring a view is a true augmentation."""


@dataclass(frozen=True)
class PretrainConfig:
    """The run.

    Attributes:
        seed: of the data, the weights and the sampling.
        steps: optimiser steps.
        batch: views a step.
        fresh: objects newly drawn a step (an even number keeps pairs together); the rest of the batch is replayed.
        replay: objects kept for replaying.
        lr, weight_decay, warmup, decay: of AdamW, see `learning_rate`.
        temperature: of every similarity in the losses, as at test time.
        patch_kind, patch_state, image_text, view_state: weights of the four losses.
        text_spread: weight of a fifth that keeps "normal" and each kind of damage apart; without it all texts of a
            young text tower lie within a cosine of 0.95, and similarities over a fixed temperature say little.
        text_spread_from: the step it sets in at. From the first step on it holds the contrast at chance: the text
            tower tells states apart before any image asks for it, and shapes never.
        positive_share: weight of anomalous patches in their losses, all together.
        ignore: a patch whose labelled share lies between 0 and this is left out.
        ema: decay of the averaged weights, which are the ones that are kept.
    """

    seed: int = 0
    steps: int = 3200
    batch: int = 64
    fresh: int = 2
    replay: int = 176
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: int = 100
    decay: float = 0.3
    temperature: float = 0.07
    patch_kind: float = 0.5
    patch_state: float = 1.0
    image_text: float = 0.25
    view_state: float = 0.25
    text_spread: float = 0.2
    text_spread_from: int = 600
    positive_share: float = 0.3
    ignore: float = 0.1
    ema: float = 0.998


@dataclass(frozen=True, eq=False)
class ViewBatch:
    """B views of several objects: see `DrawnObject`."""

    images: Float[Tensor, "b c h w"]
    solid: Float[Tensor, "b hw"]
    share: Float[Tensor, "b hw"]
    kind: Int[Tensor, "b hw"]
    view_kinds: Int[Tensor, "b"]
    shapes: tuple[str, ...]

    @classmethod
    def of(cls, drawn: DrawnObject) -> ViewBatch:
        """All views of one object."""
        targets = drawn.targets
        return cls(
            drawn.images,
            targets.solid,
            targets.share,
            targets.kind,
            drawn.view_kinds,
            (drawn.caption,) * len(drawn.images),
        )

    @classmethod
    def cat(cls, parts: list[ViewBatch]) -> ViewBatch:
        """Several batches as one."""
        join = lambda name: torch.cat([getattr(part, name) for part in parts])  # noqa: E731
        return cls(
            join("images"),
            join("solid"),
            join("share"),
            join("kind"),
            join("view_kinds"),
            tuple(shape for part in parts for shape in part.shapes),
        )

    def __getitem__(self, rows: list[int]) -> ViewBatch:
        return ViewBatch(
            self.images[rows],
            self.solid[rows],
            self.share[rows],
            self.kind[rows],
            self.view_kinds[rows],
            tuple(self.shapes[row] for row in rows),
        )

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str) -> ViewBatch:
        """The batch on another device."""
        move = lambda name: getattr(self, name).to(device)  # noqa: E731
        return ViewBatch(move("images"), move("solid"), move("share"), move("kind"), move("view_kinds"), self.shapes)


def first_object(config: PretrainConfig, step: int) -> int:
    """The number of the object that the stream for `batches` starts with: at a resumed step, the oldest replayed."""
    return max(0, step * config.fresh - config.replay)


def batches(stream: Iterator[DrawnObject], config: PretrainConfig, first_step: int = 0) -> Iterator[ViewBatch]:
    """Batches of `config.batch` views: those of `config.fresh` new objects, then replayed ones, turned at random.

    A step's batch is the same in a run that was resumed and in one that was not.

    Args:
        stream: objects from number `first_object(config, first_step)` on.
        first_step: of the batches.
    """
    replayed = first_step * config.fresh - first_object(config, first_step)
    kept = [ViewBatch.of(next(stream)) for _ in range(replayed)]
    for step in range(first_step, config.steps):
        fresh = [ViewBatch.of(next(stream)) for _ in range(config.fresh)]
        kept = [*kept, *fresh][-config.replay :]
        rng = random.Random(f"{config.seed}-{step}")
        chosen = [rng.choice(kept) for _ in range(config.batch - sum(map(len, fresh)))]
        older = [thing[[rng.randrange(len(thing))]] for thing in chosen]
        yield turned(ViewBatch.cat([*fresh, *older]), rng)


def turned(batch: ViewBatch, rng: random.Random) -> ViewBatch:
    """Turn the whole batch by a quarter or mirror it: targets follow."""
    quarter, mirror = rng.randrange(4), rng.random() < 0.5
    side = math.isqrt(batch.solid.shape[1])

    def turn(value: Tensor) -> Tensor:
        value = torch.rot90(value, quarter, (-2, -1))
        return value.flip(-1) if mirror else value

    flat = lambda value: turn(value.unflatten(1, (side, side))).flatten(1)  # noqa: E731
    return ViewBatch(
        turn(batch.images), flat(batch.solid), flat(batch.share), flat(batch.kind), batch.view_kinds, batch.shapes
    )


class PretrainLoss(nn.Module):
    """The losses over one batch; texts are drawn anew each step among the captions of equal meaning."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, backbone: Backbone, batch: ViewBatch, rng: random.Random, step: int) -> dict[str, Tensor]:
        """The weighted losses by name at an optimiser's step; their sum is what is minimised."""
        config = self.config
        text_spread = config.text_spread * (step >= config.text_spread_from)
        states = [rng.choice(captions("object")), *(rng.choice(captions("object", kind)[:3]) for kind in DEFECT_KINDS)]
        generic = [rng.choice(captions("object")), rng.choice(captions("object", "dent")[3:])]
        shown = [
            rng.choice(captions(shape, None if kind < 0 else DEFECT_KINDS[kind]))
            for shape, kind in zip(batch.shapes, batch.view_kinds.tolist(), strict=True)
        ]
        unique = sorted(set(shown))
        texts = backbone.encode_text(backbone.tokenize([*states, *generic, NORMAL_WORDS, ANOMALOUS_WORDS, *unique]))
        state_text, pairs, caption_text = texts[:9], texts[9:13].view(2, 2, -1), texts[13:]
        state_pair = nn.functional.normalize(pairs.sum(0), dim=-1)
        tokens = backbone.encode_image(backbone.normalize(batch.images.float()))
        patches, views = tokens.patch_features, tokens.global_features

        weight = self._patch_weights(batch)
        kind_logits = patches @ state_text.T / config.temperature
        kind_loss = cross_entropy(kind_logits.flatten(0, 1), batch.kind.flatten() + 1, reduction="none").view_as(weight)
        state_logit = patches @ (state_pair[1] - state_pair[0]) / config.temperature
        state_loss = binary_cross_entropy_with_logits(
            state_logit, batch.share.clamp_max(1.0).gt(config.ignore).float(), reduction="none"
        )
        view_logit = views @ (state_pair[1] - state_pair[0]) / config.temperature
        return {
            "patch_kind": config.patch_kind * (kind_loss * weight).sum() / weight.sum(),
            "patch_state": config.patch_state * (state_loss * weight).sum() / weight.sum(),
            "image_text": config.image_text
            * contrast(views @ caption_text.T / config.temperature, [unique.index(text) for text in shown]),
            "text_spread": text_spread
            * (state_text[:1] @ torch.cat([state_text[1:], state_pair[1:]]).T).relu().square().mean(),
            "view_state": config.view_state
            * binary_cross_entropy_with_logits(view_logit, (batch.view_kinds >= 0).float()),
        }

    def _patch_weights(self, batch: ViewBatch) -> Float[Tensor, "b hw"]:
        """Zero where a patch is background or barely labelled; anomalous patches weigh `positive_share` together."""
        positive = (batch.share > self.config.ignore).float() * batch.solid
        negative = (batch.share == 0).float() * batch.solid.clamp_min(
            0.02
        )  # empty patches count a little: they are normal
        share = self.config.positive_share
        return negative / negative.sum().clamp_min(1.0) * (1 - share) + positive / positive.sum().clamp_min(1.0) * share


def contrast(logits: Float[Tensor, "b u"], target: list[int]) -> Float[Tensor, ""]:
    """Symmetric image–text cross entropy where several images may share a caption (multi-positive InfoNCE).

    Args:
        logits: similarities of B images and U distinct captions, over the temperature.
        target: the caption of each image.
    """
    index = torch.tensor(target, device=logits.device)
    to_text = cross_entropy(logits, index)
    own = torch.zeros_like(logits).scatter_(1, index[:, None], 1.0)
    to_image = -(logits.log_softmax(0) * own).sum(0) / own.sum(0).clamp_min(1.0)
    return (to_text + to_image.mean()) / 2


def learning_rate(step: int, config: PretrainConfig) -> float:
    """Linear warm-up, a plateau, and a linear fall to 1 % over the last `decay` of the steps.

    A run whose time turns out shorter or longer resumes with another `steps` and still ends with its fall.
    """
    rise = (step + 1) / config.warmup
    fall = (config.steps - step) / (config.decay * config.steps)
    return config.lr * max(0.01, min(1.0, rise, fall))


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; gains, biases and embeddings do not."""
    decayed = [
        p for name, p in module.named_parameters() if p.requires_grad and p.ndim >= 2 and "embedding" not in name
    ]
    plain = [p for name, p in module.named_parameters() if p.requires_grad and (p.ndim < 2 or "embedding" in name)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


class Average:
    """Exponential moving average of a module's weights."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, state: Mapping[str, Tensor], step: int) -> None:
        """Move towards `state`; early steps are averaged over fewer."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in state.items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)
