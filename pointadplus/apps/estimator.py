"""`AnomalyEstimator`: any detector with the face of a scikit-learn outlier detector."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from ..config import check_range
from ..errors import ConfigError
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..zero_shot.detector import ZeroShotDetector

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray
    from typing_extensions import Self


class AnomalyEstimator(OutlierMixin, BaseEstimator):
    """A detector to be put into scikit-learn's pipelines and searches; X is a sequence of scans, not a matrix.

    As scikit-learn has it, high scores are normal, 1 is an inlier and −1 an outlier. What it takes for an outlier is
    split-conformal, see `Calibration`.

    Args:
        detector: of any method, which `fit` copies and leaves as it is; None means `ZeroShotDetector()`.
        false_alarm_rate: of normal scans that are taken for outliers, in (0, 1). With n scans to calibrate on no less
            than 1/(n + 1) can be promised; a warning says so.
        calibration_share: of the scans given to `fit`, in (0, 1): the last ones, which a few-shot method does not learn
            from and the threshold rests on. Other methods learn from none and are calibrated on all.

    Attributes:
        detector_: fitted and calibrated.
        offset_: of `decision_function`; minus the calibrated threshold.

    Example:
        >>> from baselines import SurfaceDeviation
        >>> AnomalyEstimator(SurfaceDeviation()).fit(["good1.ply", "good2.ply"]).predict(["part.ply"])  # doctest: +SKIP
        array([-1])
    """

    def __init__(
        self,
        detector: AnomalyDetector | None = None,
        *,
        false_alarm_rate: float = 0.05,
        calibration_share: float = 0.5,
    ) -> None:
        self.detector = detector
        self.false_alarm_rate = false_alarm_rate
        self.calibration_share = calibration_share

    def fit(self, X: Sequence[Any], y: object = None) -> Self:
        """Learn from normal scans, each anything that a detector's `score` takes; `y` is not looked at.

        Raises:
            ConfigError: too few scans, or an option out of range.
        """
        scans = list(X)
        check_range(self.calibration_share, "(0, 1)", "AnomalyEstimator.calibration_share")
        detector: Any = ZeroShotDetector() if self.detector is None else copy.deepcopy(self.detector)
        few_shot = getattr(detector, "few_shot", False)
        needed = 2 if few_shot else 1
        if len(scans) < needed:
            raise ConfigError(
                "too few normal scans", where="AnomalyEstimator.fit", expected=f"at least {needed}", found=len(scans)
            )
        if few_shot:
            held = min(max(1, round(self.calibration_share * len(scans))), len(scans) - 1)
            detector.fit(scans[:-held])
            scans = scans[-held:]
        self.detector_ = detector.calibrate(scans, self.false_alarm_rate)
        self.offset_ = -self.detector_.calibration.threshold
        return self

    def detect(self, X: Sequence[Any]) -> list[Detection]:
        """What the detector says of each scan, with scores of its points."""
        check_is_fitted(self)
        return [self.detector_.score(scan) for scan in X]

    def score_samples(self, X: Sequence[Any]) -> Float[ndarray, "n"]:
        """Minus the object score of each scan, in [−1, 0]; high is normal."""
        return np.array([-found.object_score for found in self.detect(X)])

    def decision_function(self, X: Sequence[Any]) -> Float[ndarray, "n"]:
        """`score_samples` less `offset_`; negative is an outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Sequence[Any]) -> Int[ndarray, "n"]:
        """1 where the verdict is normal, else −1; a warning says why a scan cannot be judged."""
        found = self.detect(X)
        for number, each in enumerate(found):
            if not each.measurable:
                warnings.warn(f"X[{number}] is not measurable: {'; '.join(each.notes)}", stacklevel=2)
        return np.array([1 if each.verdict == "normal" else -1 for each in found])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags
