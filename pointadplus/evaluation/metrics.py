"""Exact ranking metrics for object and point scores.

All three need only the positives' ranks among the negatives. Anomalous points are a few percent of a cloud, so
sorting the negatives by value and looking the positives up replaces the index sort of a whole ROC curve.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..errors import ConfigError

Values = Tensor | np.ndarray | Sequence[float | int]


def auroc(labels: Values, scores: Values) -> float | None:
    """Area under the ROC curve: the probability that an anomaly outscores a normal one, ties counting half.

    The Mann-Whitney form of the area, exact for any ties.

    Args:
        labels: (n,) bool, or numbers 0 (normal) and 1 (anomalous).
        scores: (n,) finite, higher is more anomalous.

    Returns:
        float in [0, 1], or None where only one class is present and the area is undefined.

    Raises:
        ConfigError: lengths differ, a label is not 0 or 1, or a score is not finite.
    """
    positive, negative = _split(labels, scores)
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(negative, positive, side="left").sum()
    not_above = np.searchsorted(negative, positive, side="right").sum()
    return float((int(below) + int(not_above)) / (2 * len(positive) * len(negative)))


def average_precision(labels: Values, scores: Values) -> float | None:
    """Step-wise area under the precision-recall curve, Σ (R_k − R_{k−1})·P_k over distinct thresholds.

    Arguments, errors and None as in `auroc`; the value lies in (0, 1].
    """
    positive, negative = _split(labels, scores)
    if not len(positive) or not len(negative):
        return None
    hits, false_alarms = _counts(positive, negative)
    gained = hits - np.append(hits[1:], 0)
    return float((gained * (hits / (hits + false_alarms))).sum() / len(positive))


def f1_max(labels: Values, scores: Values) -> float | None:
    """Largest F1 = 2·TP / (TP + FP + P) over all thresholds.

    Arguments, errors and None as in `auroc`; the value lies in (0, 1].
    """
    positive, negative = _split(labels, scores)
    if not len(positive) or not len(negative):
        return None
    hits, false_alarms = _counts(positive, negative)
    return float((2 * hits / (hits + false_alarms + len(positive))).max())


def _counts(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at each distinct positive score, ascending.

    Other thresholds only add false positives: recall stays and F1 falls, so no metric here needs them.
    """
    thresholds, first = np.unique(positive, return_index=True)
    return len(positive) - first, len(negative) - np.searchsorted(negative, thresholds, side="left")


def _split(labels: Values, scores: Values) -> tuple[np.ndarray, np.ndarray]:
    """Sorted scores of the positives and of the negatives."""
    truth, value = _array(labels), _array(scores)
    if truth.ndim != 1 or truth.shape != value.shape:
        raise ConfigError(
            "labels and scores do not match",
            where="labels",
            expected=f"shape {value.shape}, one axis",
            found=f"shape {truth.shape}",
        )
    if truth.dtype != bool:
        if not np.isin(truth, (0, 1)).all():
            raise ConfigError(
                "labels are not binary",
                where="labels",
                expected="0 (normal) or 1 (anomalous)",
                found=f"values from {truth.min()} to {truth.max()}",
            )
        truth = truth.astype(bool)
    finite = np.isfinite(value)
    if not finite.all():
        raise ConfigError(
            "scores are not finite",
            where="scores",
            expected="finite numbers",
            found=f"{int((~finite).sum())} of {len(value)} NaN or infinite",
            hint="leave out the rows that hold no finite point (Detection.valid_scores does)",
        )
    return np.sort(value[truth]), np.sort(value[~truth])


def _array(values: Values) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
