"""Naive twins of `pointadplus.evaluation.metrics`, from the definitions, O(n²)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def auroc(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Share of (anomalous, normal) pairs in the right order; a tie is half a pair."""
    rows = list(zip(scores, labels, strict=True))
    pairs = [(a, n) for a, anomalous in rows if anomalous for n, other in rows if not other]
    return sum(1.0 if a > n else 0.5 if a == n else 0.0 for a, n in pairs) / len(pairs)


def _at(labels: Sequence[int], scores: Sequence[float], threshold: float) -> tuple[int, int]:
    flagged = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
    return sum(flagged), len(flagged)


def average_precision(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Precision weighted by the recall gained at each distinct threshold, from the highest down."""
    area, last = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        hits, flagged = _at(labels, scores, threshold)
        area += (hits - last) / sum(labels) * hits / flagged
        last = hits
    return area


def f1_max(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Largest harmonic mean of precision and recall over all distinct thresholds."""
    best = 0.0
    for threshold in set(scores):
        hits, flagged = _at(labels, scores, threshold)
        best = max(best, 2 * hits / (flagged + sum(labels)))
    return best


def naive_aupro(regions, scores, limit):
    """One threshold after the other, each region by itself, and the trapezoids one by one."""
    names = [name for name in set(regions.tolist()) if name > 0]
    normal = [score for region, score in zip(regions, scores, strict=True) if region == 0]
    if not names or not normal:
        return None
    curve = [(0.0, 0.0)]
    for threshold in sorted(set(scores.tolist()), reverse=True):
        rate = sum(score >= threshold for score in normal) / len(normal)
        hits = [[s >= threshold for r, s in zip(regions, scores, strict=True) if r == name] for name in names]
        curve.append((rate, sum(sum(hit) / len(hit) for hit in hits) / len(names)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit
