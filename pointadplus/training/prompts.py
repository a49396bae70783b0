"""Learning prompts and G-aggregation on labelled objects, over any frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..fusion import top_mean
from ..model import Evidence, PointADPlus
from .losses import both_dice, focal, log_loss, prototype_alignment, ranking, text_alignment
from .observations import Lesson, load_lesson


@dataclass(frozen=True)
class PromptTrainConfig:
    """The run; prompts learn as in PointAD (arXiv 2410.00320), the rest is ours.

    Attributes:
        seed: of the order of the objects.
        steps: optimiser steps, each over `pairs` healthy and damaged twins.
        pairs: a step.
        prompt_lr: of the prompts, Adam with betas (0.5, 0.999).
        aggregation_lr, weight_decay: of G-aggregation.
        rendering, geometry: weights of the two layers' losses.
        alignment: weight of the cross-hierarchy alignment.
        ranking: weight of the loss between the halves of a pair.
        ema: decay of the averaged weights, which are the ones that are kept.
    """

    seed: int = 0
    steps: int = 1200
    pairs: int = 1
    prompt_lr: float = 1e-3
    aggregation_lr: float = 2e-3
    weight_decay: float = 0.02
    rendering: float = 1.0
    geometry: float = 1.0
    alignment: float = 0.1
    ranking: float = 0.5
    ema: float = 0.995


def pairs_of(lessons: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Healthy and damaged twins, by the consecutive even and odd numbers that name them."""
    by_number = {int(path.stem): path for path in lessons}
    return [
        (by_number[number], by_number[number + 1])
        for number in sorted(by_number)
        if number % 2 == 0 and number + 1 in by_number
    ]


def pair_stream(pairs: Sequence[tuple[Path, Path]], seed: int) -> Iterator[tuple[Lesson, Lesson]]:
    """Pairs for ever, in a new seeded order each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for index in torch.randperm(len(pairs), generator=generator).tolist():
            healthy, damaged = pairs[index]
            yield load_lesson(healthy), load_lesson(damaged)


def rendering_losses(evidence: Evidence, lesson: Lesson) -> dict[str, Tensor]:
    """PointAD's four: global per view and over the views, local in 2D and in 3D. Empty patches are left out in 2D."""
    labels = lesson.labels.float()
    solid = lesson.solid > 0.05
    target = (lesson.share > 0.1).float()
    view_target = ((lesson.share * lesson.solid).sum(1) > 0.15).float()
    patches = evidence.patches.flatten(1)[solid]
    return {
        "view": log_loss(evidence.views, view_target),
        "views": log_loss(torch.sigmoid(torch.logit(evidence.views, 1e-6).mean()), labels.amax()),
        "patch": focal(patches, target[solid]) * 4 + both_dice(patches, target[solid]),
        "point": both_dice(evidence.rendering, labels),
    }


def geometry_losses(evidence: Evidence, lesson: Lesson, top: float) -> dict[str, Tensor]:
    """The same on the geometry layer's points, and on the two object scores that it gives."""
    labels = lesson.labels.float()
    return {
        "g_point": log_loss(evidence.geometry, labels) * 4
        + focal(evidence.geometry, labels) * 4
        + both_dice(evidence.geometry, labels),
        "g_pool": log_loss(evidence.pooled, labels.amax()) * 0.25,
        "g_top": log_loss(top_mean(evidence.geometry, top), labels.amax()) * 0.5,
    }


def alignment_losses(evidence: Evidence, lesson: Lesson, temperature: float) -> Tensor:
    """Texts across layers, and each layer's region prototypes against the other's prompts."""
    rendering, geometry = evidence.texts
    features = lesson.observation.features
    return (
        text_alignment(rendering, geometry, temperature)
        + prototype_alignment(features, lesson.labels, geometry, temperature)
        + prototype_alignment(evidence.aware, lesson.labels, rendering, temperature)
    )


class PromptTrainer:
    """One optimiser step at a time; the caller decides when to stop, log and save."""

    def __init__(self, model: PointADPlus, config: PromptTrainConfig) -> None:
        self.model, self.config = model, config
        prompts, aggregation = list(model.prompts.parameters()), list(model.aggregation.parameters())
        self.optimizer = torch.optim.AdamW([
            {"params": prompts, "lr": config.prompt_lr, "peak": config.prompt_lr, "betas": (0.5, 0.999),
             "weight_decay": 0.0},
            {"params": aggregation, "lr": config.aggregation_lr, "peak": config.aggregation_lr, "betas": (0.9, 0.99),
             "weight_decay": config.weight_decay},
        ])  # fmt: skip

    def step(self, pairs: Sequence[tuple[Lesson, Lesson]]) -> dict[str, float]:
        """Learn from a few pairs; returns the mean losses by name."""
        config, sums = self.config, {}
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        for pair in pairs:
            total, tops = torch.zeros(()), []
            texts = self.model.prompts()
            for lesson in pair:
                evidence = self.model(lesson.observation, texts=texts)
                losses = {name: config.rendering * value for name, value in rendering_losses(evidence, lesson).items()}
                losses |= {
                    name: config.geometry * value
                    for name, value in geometry_losses(evidence, lesson, self.model.config.fusion.top).items()
                }
                losses["align"] = config.alignment * alignment_losses(evidence, lesson, self.model.config.temperature)
                tops.append(top_mean(evidence.geometry, self.model.config.fusion.top))
                total = total + torch.stack(list(losses.values())).sum() / 2
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value.item() / 2 / len(pairs)
            rank = config.ranking * ranking(*tops)
            sums["rank"] = sums.get("rank", 0.0) + rank.item() / len(pairs)
            ((total + rank) / len(pairs)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return sums


def calibrate_descriptors(model: PointADPlus, lessons: Sequence[Path], count: int = 64) -> None:
    """Fix the standardisation of descriptors from a sample of the training objects: median and 1.4826·MAD, floored."""
    step = max(1, len(lessons) // count)
    sample = torch.cat([load_lesson(path).observation.descriptors[::16] for path in lessons[::step]])
    center = sample.median(0).values
    spread = 1.4826 * (sample - center).abs().median(0).values
    floor = 0.25 * sample.clamp(sample.quantile(0.01, 0), sample.quantile(0.99, 0)).std(0)
    model.aggregation.calibrate(center, torch.maximum(spread, floor).clamp_min(1e-4))
