"""Point feature histograms: how the normals around a point stand to its own."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

BINS = 11


def pair_angles(
    offsets: Float[Tensor, "m k 3"], normals: Float[Tensor, "m 3"], neighbor_normals: Float[Tensor, "m k 3"]
) -> Float[Tensor, "m k 3"]:
    """The three Darboux-frame angles of each pair, each mapped to [0, 1].

    With u the point's normal, r the unit offset, v = u × r / |u × r| and w = u × v: v·n, u·r and atan2(w·n, u·n),
    n the neighbour's normal (Rusu et al., 2009, eq. 1-3), turned to the side of the point's own.
    """
    own = normals[:, None].expand_as(offsets)
    agree = (own * neighbor_normals).sum(-1, keepdim=True)
    other = torch.where(agree >= 0, neighbor_normals, -neighbor_normals)
    direction = torch.nn.functional.normalize(offsets, dim=-1)
    v = torch.nn.functional.normalize(torch.linalg.cross(own, direction), dim=-1)
    w = torch.linalg.cross(own, v)
    alpha = (v * other).sum(-1)
    phi = (own * direction).sum(-1)
    # The neighbour's normal was turned to the point's side, so θ lies in [−π/2, π/2].
    theta = torch.atan2((w * other).sum(-1), agree[..., 0].abs().clamp_min(1e-9)) * (2 / torch.pi)
    return (torch.stack([alpha, phi, theta], -1) + 1) / 2


def simplified_histograms(
    offsets: Float[Tensor, "m k 3"], normals: Float[Tensor, "m 3"], neighbor_normals: Float[Tensor, "m k 3"]
) -> Float[Tensor, "m 33"]:
    """Three 11-bin histograms of the pair angles (SPFH), with linear binning so that noise moves them smoothly.

    Each block sums to 1. Coinciding points do not count.
    """
    angles = pair_angles(offsets, normals, neighbor_normals).clamp(0, 1)
    weight = (offsets.square().sum(-1) > 0).float()
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1)
    position = angles * (BINS - 1)
    low = position.floor().clamp_max(BINS - 2)
    share = position - low
    block = low.long() + torch.arange(3, device=offsets.device) * BINS
    out = offsets.new_zeros(len(offsets), 3 * BINS)
    weight = weight[..., None].expand_as(share)
    out.scatter_add_(1, block.flatten(1), (weight * (1 - share)).flatten(1))
    return out.scatter_add_(1, (block + 1).flatten(1), (weight * share).flatten(1))


def fast_histograms(
    simplified: Float[Tensor, "m b"], neighbors: Int[Tensor, "m k"], distances: Float[Tensor, "m k"]
) -> Float[Tensor, "m b"]:
    """FPFH: a point's own histogram averaged with its neighbours' inverse-distance mean (Rusu et al., 2009, eq. 4).

    `neighbors` starts with the point itself, which is skipped in the mean.
    """
    weight = 1 / distances[:, 1:].clamp_min(1e-9)
    weight = weight / weight.sum(1, keepdim=True)
    around = (simplified[neighbors[:, 1:]] * weight[..., None]).sum(1)
    return (simplified + around) / 2
