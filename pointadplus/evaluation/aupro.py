"""Area under the per-region overlap curve: does every defect get its share, however small it is?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.integrate import trapezoid
from scipy.ndimage import label as label_pixels
from sklearn.metrics import roc_curve
from torch import Tensor

from ..config import check_range
from ..errors import ConfigError
from ..geometry.components import NEIGHBORS, connected_parts

LIMIT = 0.3  # of the false positive rate, as in MVTec 3D-AD (Bergmann et al., 2022)


def aupro(regions: np.ndarray, scores: np.ndarray, limit: float = LIMIT) -> float | None:
    """Exact normalised area under the curve of per-region overlap over the false positive rate, up to `limit`.

    Each threshold gives the share of the normal points above it, and the mean over the regions of the share of their
    points above it (Bergmann et al., IJCV 2021, eq. 5). Every distinct score is a threshold, so the area does not
    change under a strictly increasing map of the scores; tied scores are crossed on a straight line.

    Args:
        regions: (n,) whole numbers, 0 on normal points, else the region; of all clouds together.
        scores: (n,) finite, higher is more anomalous.
        limit: in (0, 1].

    Returns:
        float in [0, 1], or None where there is no region or no normal point.

    Raises:
        ConfigError: lengths differ, a score is not finite, or a limit out of range.
    """
    regions, scores = _checked(regions, scores, limit)
    share = _region_shares(regions)
    if not (regions > 0).any() or not (regions == 0).any():
        return None
    rate, overlap, _ = roc_curve(regions > 0, scores, sample_weight=share, drop_intermediate=False)
    return area_up_to(rate, overlap, limit)


def aupro_200_thresholds(regions: np.ndarray, scores: np.ndarray, limit: float = LIMIT) -> float | None:
    """The approximation of much public code, to compare with tables that were made with it.

    200 thresholds at even steps between the lowest and the highest score, those with a false positive rate below
    `limit`, and the area over the rate divided by the largest of theirs. It changes under monotone maps of the scores.
    Arguments, errors and None as in `aupro`; None as well where fewer than two thresholds are left.
    """
    regions, scores = _checked(regions, scores, limit)
    if not (regions > 0).any() or not (regions == 0).any():
        return None
    share, normal = _region_shares(regions), regions == 0
    rates, overlaps = [], []
    for threshold in np.linspace(scores.min(), scores.max(), 200):
        above = scores > threshold
        rates.append(above[normal].mean())
        overlaps.append(share[above & ~normal].sum() / share[~normal].sum())
    kept = np.array(rates) < limit
    rate, overlap = np.array(rates)[kept], np.array(overlaps)[kept]
    if len(rate) < 2 or rate.max() == 0:
        return None
    order = np.argsort(rate, kind="stable")
    return float(trapezoid(overlap[order], rate[order] / rate.max()))


def image_regions(mask: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Regions of an image's mask, 8-connected, as in MVTec's evaluation: 0 outside, then 1, 2, …"""
    numbered = np.zeros(mask.shape, np.int32)
    label_pixels(mask, structure=np.ones((3, 3)), output=numbered)
    return numbered


def cloud_regions(points: Float[Tensor, "n 3"], labels: Bool[Tensor, "n"], k: int = NEIGHBORS) -> Int[Tensor, "n"]:
    """Regions of a cloud's labels: 0 on normal points, then 1, 2, …

    The components of the graph that joins an anomalous point to the anomalous ones among its k nearest neighbours.
    No published protocol defines regions of unorganised clouds; this one is ours.
    """
    return connected_parts(points, labels, k)


def _region_shares(regions: np.ndarray) -> np.ndarray:
    """The weight of each point: regions weigh alike, and so do their points; normal points weigh 1."""
    _, inverse, counts = np.unique(regions, return_inverse=True, return_counts=True)
    return np.where(regions > 0, 1.0 / counts[inverse.reshape(-1)], 1.0)


def area_up_to(rate: np.ndarray, overlap: np.ndarray, limit: float) -> float:
    """The trapezoidal area up to the limit over the limit; the piece of the curve that crosses it is cut there."""
    last = int(np.searchsorted(rate, limit, side="right"))  # the first point beyond the limit, if any
    end = overlap[-1]
    if last < len(rate):
        step = (limit - rate[last - 1]) / (rate[last] - rate[last - 1])
        end = overlap[last - 1] + step * (overlap[last] - overlap[last - 1])
    return float(trapezoid(np.append(overlap[:last], end), np.append(rate[:last], limit)) / limit)


def check_points(regions: np.ndarray, scores: np.ndarray) -> None:
    """Refuse regions that are not (n,) whole numbers, and scores that are not (n,) finite ones, by a ConfigError."""
    if regions.ndim != 1 or regions.shape != scores.shape or regions.dtype.kind not in "iub":
        raise ConfigError(
            "regions and scores do not match",
            where="regions",
            expected=f"shape {scores.shape}, one axis, whole numbers",
            found=f"shape {regions.shape}, {regions.dtype}",
        )
    if not np.isfinite(scores).all():
        raise ConfigError("scores are not finite", where="scores", expected="finite numbers", found="NaN or infinite")


def _checked(regions: np.ndarray, scores: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    regions, scores = np.asarray(regions), np.asarray(scores)
    check_points(regions, scores)
    check_range(limit, "(0, 1]", "limit")
    return regions.astype(np.int64), scores
