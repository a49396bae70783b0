"""A few items that stand for many: approximate greedy k-centre, as PatchCore does it (Roth et al., CVPR 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def projection_matrix(inputs: int, outputs: int, seed: int = 0) -> Float[Tensor, "i o"]:
    """A fixed random projection, uniform in ±1/√inputs like an untrained linear layer. (inputs, outputs)."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(inputs, outputs, generator=generator) - 1) / inputs**0.5


def greedy_coreset(
    items: Float[Tensor, "n c"],
    count: int,
    *,
    projection: int | None = 128,
    starts: int = 10,
    seed: int = 0,
) -> Int[Tensor, "k"]:
    """Pick items one by one, each the farthest from those before: greedy k-centre (Gonzalez, 1985), approximately.

    Distances are measured after a random projection. At first an item's distance is its mean distance to a few random
    ones, which are not picked by that; from then on it is the smaller of what it was and the distance to the latest
    pick. An item is never picked twice. The same seed picks the same items.

    Args:
        items: (N, C).
        count: how many to pick, ≥ 0; all, in their order, where there are no more.
        projection: dimensions that items are projected to; None: items are compared as they are.
        starts: random items at the beginning, ≥ 1.
        seed: of the projection and of the beginning.

    Returns:
        (min(count, N),) int64, in the order of the picks.
    """
    if count >= len(items):
        return torch.arange(len(items), device=items.device)
    points = items.float()
    if projection is not None:
        matrix = projection_matrix(items.shape[1], projection, seed).to(points)
        if projection > items.shape[1]:
            # ‖x P‖ = ‖x Rᵀ‖ for the Q R of Pᵀ: the same distances, in no more dimensions than the items have.
            matrix = torch.linalg.qr(matrix.T.double()).R.T.to(points)
        points = points @ matrix
    points = points - points.mean(0)  # smaller numbers lose less in the expanded square
    squares = points.square().sum(1)

    def distances(index: Tensor) -> Tensor:
        return torch.addmv(squares + squares[index], points, points[index], alpha=-2).clamp_min_(0).sqrt_()

    generator = torch.Generator().manual_seed(seed)
    begun = torch.randperm(len(points), generator=generator)[:starts].to(points.device)
    nearest = torch.stack([distances(each) for each in begun]).mean(0)
    picks = torch.empty(count, dtype=torch.int64, device=points.device)
    for number in range(count):
        pick = nearest.argmax()
        picks[number] = pick
        torch.minimum(nearest, distances(pick), out=nearest)
        nearest.index_fill_(0, pick, -1.0)
    return picks
