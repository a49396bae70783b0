"""What prompts and G-aggregation are asked for, one labelled object at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ...zero_shot.fusion import top_mean
from ...zero_shot.model import Evidence, EvidencePlus, PointAD
from .lessons import Lesson
from .losses import both_dice, focal, log_loss, prototype_alignment, ranking, text_alignment


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses of mode "pointad+", ours; those of "pointad" are all 1, as published.

    Attributes:
        rendering, geometry: of the two layers.
        alignment: of the cross-hierarchy alignment.
        ranking: of the loss between anomalous and normal objects of one step, on the mean of the geometry layer's
            highest points and on its score of the whole.
    """

    rendering: float = 1.0
    geometry: float = 1.0
    alignment: float = 0.1
    ranking: float = 0.5


class Objective(nn.Module):
    """A model and its losses as one module, so that whoever spreads it over devices sees one forward pass.

    Objects that are known to be anomalous, but not where, count for the losses of whole objects alone.
    """

    def __init__(self, model: PointAD, config: LossConfig | None = None) -> None:
        super().__init__()
        self.model, self.config = model, config or LossConfig()

    def forward(self, lessons: Sequence[Lesson]) -> dict[str, Tensor]:
        """Mean losses over the objects by name, each with its weight; their sum is to be made small."""
        texts = self.model.texts()
        sums: dict[str, Tensor] = {}
        tops: tuple[list[Tensor], list[Tensor]] = ([], [])
        for lesson in lessons:
            evidence = self.model(lesson.observation, lesson.graph, texts)
            if isinstance(evidence, EvidencePlus):
                losses = self._plus(evidence, lesson)
                tops[lesson.damaged].append(
                    torch.stack([top_mean(evidence.geometry, self.model.config.fusion.top), evidence.pooled])
                )
            else:
                losses = pointad_losses(evidence, lesson)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / len(lessons)
        if all(tops):
            pairs = [ranking(healthy, damaged) for healthy in tops[0] for damaged in tops[1]]
            sums["rank"] = self.config.ranking * torch.stack(pairs).mean()
        return sums

    def _plus(self, evidence: EvidencePlus, lesson: Lesson) -> dict[str, Tensor]:
        config, model = self.config, self.model.config
        losses = {name: config.rendering * value for name, value in rendering_losses(evidence, lesson).items()}
        geometry = geometry_losses(evidence, lesson, model.fusion.top)
        losses |= {name: config.geometry * value for name, value in geometry.items()}
        return losses | {"align": config.alignment * alignment_losses(evidence, lesson, model.temperature)}


def pointad_losses(evidence: Evidence, lesson: Lesson) -> dict[str, Tensor]:
    """PointAD's four losses, all of weight 1 (arXiv 2410.00320): global of views and object, local in 2D and in 3D.

    In 2D the patches' probabilities are enlarged to the picture and held against its mask. A view's label is whether
    it shows a defect.
    """
    losses = {"views": log_loss(_mean_view(evidence), _state(lesson))}
    if lesson.labelled:
        pixels = interpolate(evidence.patches[:, None], lesson.mask.shape[1:], mode="bilinear", align_corners=False)
        target, labels = lesson.mask.float(), lesson.labels.float()
        losses |= {
            "view": log_loss(evidence.views, target.flatten(1).amax(1)),
            "pixel": focal(pixels[:, 0], target) + both_dice(pixels[:, 0], target),
            "point": both_dice(evidence.rendering, labels),
        }
    return losses


def rendering_losses(evidence: Evidence, lesson: Lesson) -> dict[str, Tensor]:
    """The same four for small towers: of the patches themselves, and without those that show nothing of the object."""
    losses = {"views": log_loss(_mean_view(evidence), _state(lesson))}
    if lesson.labelled:
        solid = lesson.solid > 0.05
        target = (lesson.share > 0.1).float()
        view_target = ((lesson.share * lesson.solid).sum(1) > 0.15).float()
        patches = evidence.patches.flatten(1)[solid]
        losses |= {
            "view": log_loss(evidence.views, view_target),
            "patch": focal(patches, target[solid]) * 4 + both_dice(patches, target[solid]),
            "point": both_dice(evidence.rendering, lesson.labels.float()),
        }
    return losses


def geometry_losses(evidence: EvidencePlus, lesson: Lesson, top: float) -> dict[str, Tensor]:
    """The same on the geometry layer's points, and on the two object scores that it gives."""
    losses = {
        "g_pool": log_loss(evidence.pooled, _state(lesson)),
        "g_top": log_loss(top_mean(evidence.geometry, top), _state(lesson)) * 0.5,
    }
    if lesson.labelled:
        labels = lesson.labels.float()
        losses["g_point"] = (
            log_loss(evidence.geometry, labels) * 4
            + focal(evidence.geometry, labels) * 4
            + both_dice(evidence.geometry, labels)
        )
    return losses


def alignment_losses(evidence: EvidencePlus, lesson: Lesson, temperature: float) -> Tensor:
    """Texts across layers, and each layer's region prototypes against the other's prompts."""
    rendering, geometry = evidence.texts
    loss = text_alignment(rendering, geometry, temperature)
    if lesson.labelled:
        loss = loss + prototype_alignment(lesson.observation.features, lesson.labels, geometry, temperature)
        loss = loss + prototype_alignment(evidence.aware, lesson.labels, rendering, temperature)
    return loss


def _mean_view(evidence: Evidence) -> Tensor:
    """The object's probability from the mean of the views' logits."""
    return torch.sigmoid(torch.logit(evidence.views, 1e-6).mean())


def _state(lesson: Lesson) -> Tensor:
    return torch.tensor(float(lesson.damaged), device=lesson.kinds.device)
