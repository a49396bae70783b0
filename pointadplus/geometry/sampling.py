"""Fewer points: an order that does not depend on the one they came in, and thinning that keeps what matters."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .neighbors import knn

# All ours.
SPREAD = 40_000  # points that are weighed against each other
RANK = 8  # neighbour whose distance tells the area that a point stands for
UNEVEN = 8.0  # of the median area; what lies farther off is no sparse surface, but a stray


def canonical_order(points: Float[Tensor, "n 3"], seed: int = 0) -> Int[Tensor, "n"]:
    """A seeded random order of the points that any permutation of the input leads to. (N,) int64.

    Sorting by coordinates first makes every later sub-sampling, sum and tie-break independent of the caller's order,
    so that permuting the points permutes the scores, bit for bit. Any prefix is a uniform random sample.
    """
    by_position = torch.from_numpy(_by_position(points.detach().cpu().numpy()))
    return by_position[torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))]


def _by_position(points: np.ndarray) -> np.ndarray:
    """Indices that sort points by x, then y, then z, then place in the array.

    Of float32, x and y are one whole number, whose order is theirs, and only points that share it are sorted by z.
    """
    if points.dtype != np.float32:
        return np.lexsort((points[:, 2], points[:, 1], points[:, 0]))
    bits = (points[:, :2] + np.float32(0)).view(np.uint32)  # zero has one sign
    upwards = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    key = upwards[:, 0] << np.uint64(32) | upwards[:, 1]
    order = key.argsort()
    ranked = key[order]
    same = ranked[1:] == ranked[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    rows = np.sort(order[tied])
    order[tied] = rows[np.lexsort((points[rows, 2], key[rows]))]
    return order


def even_order(points: Float[Tensor, "n 3"], seed: int = 0) -> tuple[Int[Tensor, "n"], Float[Tensor, "h"]]:
    """A canonical order whose first points lie evenly spread over the surface, however unevenly it was scanned.

    Of `SPREAD` random points each is drawn by the area that it stands for, a weighted draw without replacement
    (Efraimidis and Spirakis, Weighted Random Sampling with a Reservoir, 2006): the shorter a prefix, the more even.

    Returns:
        (N,) int64 order, and the areas (H,) float32 of the first H = min(N, `SPREAD`), in squared units of the points;
        their sum is the area that was scanned.
    """
    order = canonical_order(points, seed)
    head = points[order[:SPREAD]]
    head = (head.double() - head[0].double()).float()
    area = knn(head, head, RANK + 1)[0][:, -1].square() * (torch.pi / RANK)
    median = area.median().clamp_min(1e-30)
    weight = area.clamp(median / UNEVEN, median * UNEVEN)
    keys = torch.rand(len(head), generator=torch.Generator().manual_seed(seed)).log() / (weight / median)
    drawn = keys.argsort(descending=True, stable=True)
    return torch.cat([order[:SPREAD][drawn], order[SPREAD:]]), weight[drawn]


def fixed_sample(points: Float[Tensor, "n 3"], count: int) -> Int[Tensor, "k"]:
    """Some points that look random and are the same in any order of the cloud: (min(N, count),) int64.

    Their bits are mixed into numbers, and the lowest win. In one pass, where `canonical_order` sorts; for sketches.
    """
    bits = np.ascontiguousarray(points.detach().cpu().float().numpy()).view(np.uint32).astype(np.uint64)
    key = (bits * np.array([73856093, 19349663, 83492791], np.uint64)).sum(1)
    key = (key ^ (key >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing, Knuth vol. 3
    key ^= key >> np.uint64(29)
    index = np.argpartition(key, count - 1)[:count] if len(key) > count else np.arange(len(key))
    place = points[torch.from_numpy(index)].detach().cpu().numpy()
    return torch.from_numpy(index[np.lexsort((*place.T, key[index]))])


def select_points(scores: Float[Tensor, "n"], limit: int) -> Int[Tensor, "k"]:
    """Which points to keep: all up to `limit`, else its highest-scoring tenth and an even draw from the others.

    The draw is random with a fixed seed: a regular stride would show as stripes on an organised scan.

    Args:
        scores: (N,) of the points.
        limit: most points to keep, at least 1.

    Returns:
        (min(N, limit),) int64 indices, ascending.
    """
    if len(scores) <= limit:
        return torch.arange(len(scores))
    ranked = scores.argsort(descending=True, stable=True)
    keep = max(1, limit // 10)
    others = ranked[keep:]
    drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(0))[: limit - keep]
    return torch.cat([ranked[:keep], others[drawn]]).sort().values
