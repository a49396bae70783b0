"""ROC and precision-recall curves, thinned to what a picture can show, with the areas that the tables tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.integrate import trapezoid

STEPS = 512  # of a curve from one end to the other: a pixel each in most pictures; ours


@dataclass(frozen=True, eq=False)
class Curve:
    """A line through (k,) places with both coordinates in [0, 1], x ascending; where it rises, x is said twice."""

    x: Float[np.ndarray, "k"]
    y: Float[np.ndarray, "k"]

    @property
    def area(self) -> float:
        """Under the line, in [0, 1]."""
        return float(trapezoid(self.y, self.x))


@dataclass(frozen=True, eq=False)
class Curves:
    """Both curves of one set of scores.

    Attributes:
        roc: true over false positive rate. Its area is AUROC, within 0.001 where the curve was thinned.
        precision_recall: precision over recall in steps, as average precision adds it up; its area is that, exactly.
    """

    roc: Curve
    precision_recall: Curve

    @classmethod
    def of_scores(
        cls, anomalous: Bool[np.ndarray, "n"], scores: Float[np.ndarray, "n"], steps: int | None = STEPS
    ) -> Curves | None:
        """From (n,) whether each is anomalous, and its finite score; else as `of_counts`."""
        return cls.of_counts(*count_by_score(anomalous, scores), steps)

    @classmethod
    def of_counts(
        cls, normal: Integer[np.ndarray, "b"], anomalous: Integer[np.ndarray, "b"], steps: int | None = STEPS
    ) -> Curves | None:
        """From how many normal and anomalous have each score, the scores ascending.

        Args:
            normal, anomalous: (b,) counts.
            steps: the curve may leave out what is nearer than a step of this many; None leaves out nothing.

        Returns:
            None where either kind is missing, so that the curves are undefined.
        """
        if not normal.any() or not anomalous.any():
            return None
        false, true = (np.append(0, np.cumsum(counts[::-1])) for counts in (normal, anomalous))
        return cls(_roc(false, true, steps), _precision_recall(false, true, steps))


def count_by_score(anomalous: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(b,) int64 normal and anomalous ones of each different score, ascending. (n,) bool and finite scores."""
    order = np.argsort(scores)
    ranked = scores[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1])) if len(ranked) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(first, len(ranked)))
    own = np.add.reduceat(anomalous[order], first, dtype=np.int64) if len(first) else sizes
    return sizes - own, own


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean of the heights at each x; its area is the mean of the areas. At least one curve."""
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    before, after = (np.mean([_heights(curve, x, side) for curve in curves], 0) for side in (0, 1))
    return Curve(np.repeat(x, 2), np.stack([before, after], 1).reshape(-1))


def _heights(curve: Curve, x: np.ndarray, side: int) -> np.ndarray:
    """The height at each x, where it jumps just before (0) or just after (1)."""
    heights = np.interp(x, curve.x, curve.y)
    # `interp` does not promise which of several it takes where x is said more than once.
    place = np.searchsorted(curve.x, x, "left") if side == 0 else np.searchsorted(curve.x, x, "right") - 1
    place = place.clip(0, len(curve.x) - 1)
    return np.where(curve.x[place] == x, curve.y[place], heights)


def _roc(false: np.ndarray, true: np.ndarray, steps: int | None) -> Curve:
    rate, hits = false / false[-1], true / true[-1]
    if steps is None or len(rate) <= steps:
        return Curve(rate, hits)
    # Both rise: a place stays where their sum enters a new step. What a chord of s = Δx + Δy cuts off is at most
    # ΔxΔy/2 ≤ s²/8, and a jump of one score is a chord anyhow.
    kept = _entering((rate + hits) / 2, steps)
    return Curve(rate[kept], hits[kept])


def _precision_recall(false: np.ndarray, true: np.ndarray, steps: int | None) -> Curve:
    gained = np.diff(true)
    held = np.append(False, gained > 0)
    recall, precision = true[held] / true[-1], true[held] / (true[held] + false[held])
    area = np.append(0, np.cumsum(gained[held[1:]] / true[-1] * precision))
    recall = np.append(0, recall)
    if steps is not None and len(recall) > steps:
        kept = _entering(recall, steps)
        recall, area = recall[kept], area[kept]
        precision = np.minimum(
            np.diff(area) / np.diff(recall), 1.0
        )  # the mean over what was left out, which keeps the area
    return Curve(np.repeat(recall, 2)[1:-1], np.repeat(precision, 2))


def _entering(rising: np.ndarray, steps: int) -> np.ndarray:
    """Where a rising sequence from 0 to 1 enters a new step, and its end; and what comes just before each."""
    step = np.floor(rising * steps)
    new = np.flatnonzero(step[1:] != step[:-1])
    return np.unique(np.concatenate([[0], new, new + 1, [len(rising) - 1]]))
