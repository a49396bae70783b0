"""Naive twins of `pointadplus.evaluation.metrics`, from the definitions, O(n²)."""

from __future__ import annotations

from collections.abc import Sequence


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
