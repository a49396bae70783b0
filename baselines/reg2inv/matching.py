"""Matching: superpoints to superpoints, then the points of each matched pair by optimal transport (GeoTransformer)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from pointadplus.geometry.neighbors import knn


@dataclass(frozen=True, eq=False)
class Patches:
    """The points that belong to each of S superpoints.

    Attributes:
        index: (S, P) int64 into N points, nearest first; N where there are fewer.
        mask: (S, P) bool, where there is a point.
        owner: (N,) int64, the superpoint of each point; −1 for points that its superpoint had no room for.
    """

    index: Int[Tensor, "s p"]
    mask: Bool[Tensor, "s p"]
    owner: Int[Tensor, "n"]


def partition(points: Float[Tensor, "n 3"], nodes: Float[Tensor, "s 3"], limit: int) -> Patches:
    """Give each point to its nearest superpoint, which keeps the `limit` nearest of its own."""
    distance, nearest = (each[:, 0] for each in knn(nodes, points, 1))
    order = distance.argsort(stable=True)
    order = order[nearest[order].argsort(stable=True)]  # by superpoint, then by distance
    own = nearest[order]
    counts = torch.bincount(own, minlength=len(nodes))
    rank = torch.arange(len(points), device=points.device) - (counts.cumsum(0) - counts)[own]
    kept = rank < limit
    index = torch.full((len(nodes), limit), len(points), device=points.device)
    index[own[kept], rank[kept]] = order[kept]
    owner = torch.full_like(nearest, -1)
    owner[order[kept]] = own[kept]
    return Patches(index, index < len(points), owner)


def dual_normalized(
    first: Float[Tensor, "r c"], second: Float[Tensor, "s c"], dual: bool = True
) -> Float[Tensor, "r s"]:
    """Similarities exp(−|f − g|²) of unit features; if dual, S_ij² / (Σ_j S_ij · Σ_i S_ij) (GeoTransformer, eq. 7)."""
    similar = torch.exp(-(2.0 - 2.0 * first @ second.T).clamp_min(0))
    if not dual:
        return similar
    return (similar / similar.sum(1, keepdim=True)) * (similar / similar.sum(0, keepdim=True))


def coarse_matches(
    similarities: Float[Tensor, "r s"], filled: tuple[Bool[Tensor, "r"], Bool[Tensor, "s"]], count: int
) -> Int[Tensor, "c 2"]:
    """The most similar pairs of superpoints that have points, best first: at most `count`, (C, 2) int64."""
    usable = filled[0][:, None] & filled[1]
    kept = min(count, int(usable.sum()))
    best = similarities.masked_fill(~usable, -1.0).flatten().topk(kept).indices
    width = similarities.shape[1]
    return torch.stack([best // width, best % width], 1)


def superpoint_overlaps(
    points: tuple[Float[Tensor, "n 3"], Float[Tensor, "m 3"]],
    nodes: tuple[Float[Tensor, "r 3"], Float[Tensor, "s 3"]],
    patches: tuple[Patches, Patches],
    squared_distance: float,
    slack: float,
) -> Float[Tensor, "r s"]:
    """Which part of two superpoints' points coincide: the mean of both fractions, in [0, 1].

    A point coincides with a patch if one of its points lies below the squared distance. Patches whose bounding spheres
    are farther apart than `slack` do not overlap.

    Args:
        points, nodes: of the reference and of the source, the latter moved onto the reference.
        patches: of both.
        squared_distance: below which points coincide.
        slack: a length.
    """
    trees = [KDTree(each.cpu().numpy(), balanced_tree=False, compact_nodes=False) for each in points]
    near = trees[0].sparse_distance_matrix(trees[1], squared_distance**0.5, output_type="ndarray")
    left, right = (torch.from_numpy(near[side].astype("int64")) for side in ("i", "j"))
    owners = [each.owner.cpu() for each in patches]
    kept = (torch.from_numpy(near["v"]).square() < squared_distance) & (owners[0][left] >= 0) & (owners[1][right] >= 0)
    left, right = left[kept], right[kept]
    overlap = torch.zeros(len(nodes[0]), len(nodes[1]))
    for own, side in ((left, 0), (right, 1)):
        # Each (point, patch of the other cloud) once, however many of its points are near.
        i, j = owners[0][left], owners[1][right]
        width = overlap.shape[1 - side]
        pairs = (own * width + (j if side == 0 else i)).unique()
        point, other = pairs // width, pairs % width
        sizes = patches[side].mask.sum(1).cpu()
        cell = (owners[side][point], other) if side == 0 else (other, owners[side][point])
        share = 0.5 / sizes[owners[side][point]].float()
        overlap.index_put_(cell, share, accumulate=True)
    overlap = overlap.to(points[0].device)
    radii = [_radii(p, n, each) for p, n, each in zip(points, nodes, patches, strict=True)]
    apart = (nodes[0][:, None] - nodes[1][None]).square().sum(-1).sqrt()
    return torch.where(radii[0][:, None] + radii[1] + slack > apart, overlap, 0.0)


def _radii(points: Tensor, nodes: Tensor, patches: Patches) -> Float[Tensor, "s"]:
    places = torch.cat([points, points.new_zeros(1, 3)])[patches.index]
    distance = (places - nodes[:, None]).square().sum(-1).sqrt()
    return distance.masked_fill(~patches.mask, 0.0).amax(1)


class LearnedTransport(nn.Module):
    """Optimal transport with a dustbin whose score is learned, in the log domain (SuperGlue; Sinkhorn and Knopp, 1967).

    Args:
        iterations: normalisations of rows and columns.
    """

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.alpha = nn.Parameter(torch.tensor(1.0))

    def forward(
        self, scores: Float[Tensor, "b p q"], rows: Bool[Tensor, "b p"], columns: Bool[Tensor, "b q"]
    ) -> Float[Tensor, "b r s"]:
        """Log-probabilities (B, P + 1, Q + 1), the dustbins last; what is masked is near −∞.

        Each valid row and column sums to 1, a dustbin to the number of valid points of the other side.
        """
        batch, height, width = scores.shape
        alpha = self.alpha
        scores = torch.cat([scores, alpha.expand(batch, height, 1)], 2)
        scores = torch.cat([scores, alpha.expand(batch, 1, width + 1)], 1)
        one = rows.new_ones(batch, 1)
        valid_rows, valid_columns = torch.cat([rows, one], 1), torch.cat([columns, one], 1)
        nothing = -1e9
        scores = scores.masked_fill(~(valid_rows[:, :, None] & valid_columns[:, None]), nothing)
        count_rows, count_columns = rows.sum(1, keepdim=True), columns.sum(1, keepdim=True)
        total = (count_rows + count_columns).log()
        log_rows = torch.cat([torch.zeros_like(scores[:, :-1, 0]), count_columns.log()], 1) - total
        log_columns = torch.cat([torch.zeros_like(scores[:, 0, :-1]), count_rows.log()], 1) - total
        log_rows = log_rows.masked_fill(~valid_rows, nothing)
        log_columns = log_columns.masked_fill(~valid_columns, nothing)
        u, v = torch.zeros_like(log_rows), torch.zeros_like(log_columns)
        for _ in range(self.iterations):
            u = log_rows - (scores + v[:, None]).logsumexp(2)
            v = log_columns - (scores + u[:, :, None]).logsumexp(1)
        return scores + u[:, :, None] + v[:, None] + total[..., None]


def correspondences(
    log_scores: Float[Tensor, "b r s"], patches: tuple[Patches, Patches], pairs: Int[Tensor, "b 2"], mutual: int,
    confidence: float,
) -> Int[Tensor, "c 2"]:  # fmt: skip
    """Pairs of points that are among the best of their row and of their column, and likelier than `confidence`.

    Args:
        log_scores: of the transport, dustbins last.
        patches, pairs: the patches of both clouds, and which two each score is of.
        mutual: how many of a row and of a column count as its best.
        confidence: a probability.

    Returns:
        (C, 2) int64 indices of a point of the reference and one of the source; a pair of points may come repeatedly.
    """
    scores = log_scores[:, :-1, :-1].exp()
    first, second = patches[0].mask[pairs[:, 0]], patches[1].mask[pairs[:, 1]]
    good = (scores > confidence) & first[:, :, None] & second[:, None]
    for axis in (1, 2):
        best = scores.topk(min(mutual, scores.shape[axis]), axis).indices
        good &= torch.zeros_like(good).scatter_(axis, best, torch.ones_like(best, dtype=torch.bool))
    pair, i, j = good.nonzero(as_tuple=True)
    return torch.stack([patches[0].index[pairs[pair, 0], i], patches[1].index[pairs[pair, 1], j]], 1)
