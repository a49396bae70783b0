"""What colours say around each point, at several scales: how they differ, and whether the like is found elsewhere.

Points are in the normalised frame (`PointCloud.normalized`), where the object's diagonal is about 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from .descriptors import CHUNK, FAR, REFERENCES
from .neighbors import knn

NEIGHBORS = {"fine": 8, "middle": 32, "wide": 96}  # of 20,000 points about 0.04, 0.16 and 0.5 % of the surface
RANK = 9  # of the match that counts: a few stray points are no part of the object that looks alike
_SHRINK = 1e-3  # added to the variance of colours, so that a plain object's grain is nothing rare

# Channel -> the unit it is squashed by, tanh(value / unit); ours, near the spread over synthetic objects.
COLOR_CHANNELS: Mapping[str, float] = {
    "red": 1.0,
    "green": 1.0,
    "blue": 1.0,
    **{f"{name}_{scale}": 0.15 for name in ("contrast", "spread") for scale in NEIGHBORS},
    **{f"color_reference_{scale}": 0.1 for scale in NEIGHBORS},
    "color_step": 0.15,
    "color_rarity": 3.0,
}


def describe_colors(
    support: Float[Tensor, "s 3"], colors: Float[Tensor, "s 3"], count: int
) -> dict[str, Float[Tensor, "m"]]:
    """Describe the colours of the first `count` points, with all of `support` as their surroundings.

    Args:
        support: (S, 3) points in the normalised frame, in random order.
        colors: (S, 3) RGB in [0, 1].
        count: M ≤ S, how many are described.

    Returns:
        Maps (M,) in [−1, 1] for each of `COLOR_CHANNELS`, which the renderer can draw: the colour itself, from −1 to 1;
        at each scale its distance from the neighbours' mean (`contrast`), their standard deviation (`spread`) and how
        unlike every far-away part of the object they are (`color_reference`); the distance between the means of the
        finest and the widest scale (`color_step`), and how far the colour lies from the object's mean, in standard
        deviations (`color_rarity`).
    """
    own = colors[:count]
    near = colors[knn(support, support[:count], max(NEIGHBORS.values()))[1]]
    red, green, blue = (2.0 * own - 1.0).unbind(1)
    columns: dict[str, Tensor] = {"red": red, "green": green, "blue": blue}
    patches = {}
    for scale, k in NEIGHBORS.items():
        mean, spread = near[:, :k].mean(1), near[:, :k].std(1)
        patches[scale] = torch.cat([mean, spread], 1)
        columns[f"contrast_{scale}"] = (own - mean).norm(dim=1)
        columns[f"spread_{scale}"] = spread.norm(dim=1)
    references = _references(list(patches.values()), support[:count])
    columns |= {f"color_reference_{scale}": value for scale, value in zip(patches, references, strict=True)}
    columns["color_step"] = (patches["fine"][:, :3] - patches["wide"][:, :3]).norm(dim=1)
    columns["color_rarity"] = _rarity(colors)[:count]
    return {name: torch.tanh(columns[name] / unit) for name, unit in COLOR_CHANNELS.items()}


def _references(patches: list[Float[Tensor, "m 6"]], nodes: Float[Tensor, "m 3"]) -> list[Float[Tensor, "m"]]:
    """Distance to the `RANK`-th best match among `REFERENCES` points that are farther away than `FAR`, or 0."""
    where = nodes[:REFERENCES]
    if len(where) < RANK:
        return [nodes.new_zeros(len(nodes)) for _ in patches]
    found: list[list[Tensor]] = [[] for _ in patches]
    for start in range(0, len(nodes), CHUNK):
        part = slice(start, start + CHUNK)
        near = torch.cdist(nodes[part], where) < FAR
        for patch, rows in zip(patches, found, strict=True):
            distance = torch.cdist(patch[part], patch[:REFERENCES]).masked_fill_(near, torch.inf)
            rows.append(distance.topk(RANK, largest=False).values[:, -1])
    return [torch.nan_to_num(torch.cat(rows), posinf=0.0) for rows in found]


def _rarity(colors: Float[Tensor, "s 3"]) -> Float[Tensor, "s"]:
    """Mahalanobis distance from the object's mean colour, its covariance a little enlarged."""
    centred = colors - colors.mean(0)
    covariance = centred.T @ centred / len(colors) + _SHRINK * torch.eye(3, dtype=colors.dtype, device=colors.device)
    return ((centred @ torch.linalg.inv(covariance)) * centred).sum(1).clamp_min(0.0).sqrt()
