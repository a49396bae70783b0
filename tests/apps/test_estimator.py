"""A detector with scikit-learn's face: its conventions, its tools, and its own checks where they apply."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from pointadplus.apps.estimator import AnomalyEstimator
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector

GENERATOR = torch.Generator().manual_seed(0)


def scan(size: float) -> np.ndarray:
    return (size * torch.rand(30, 3, generator=GENERATOR)).numpy()


NORMAL = [scan(1 + 0.01 * number) for number in range(10)]
LARGE = [scan(3.0) for _ in range(3)]


class Size(AnomalyDetector):
    """How much larger a scan is than the largest that was learnt."""

    few_shot = True

    def __init__(self, power: float = 1.0) -> None:
        self.power, self.usual = power, None

    def fit(self, normals: Iterable[Any]) -> Size:
        self.usual = max(float(np.ptp(points)) for points in normals)
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        assert self.usual is not None, "not fitted"
        score = min(1.0, float(np.ptp(cloud.points.numpy())) / self.usual / 10) ** self.power
        return Detection(score, torch.full((len(cloud),), score), cloud)

    def save(self, path: str | os.PathLike[str]) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Size:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return f"{self.power} {self.usual}"


def test_normal_scans_are_inliers_and_high() -> None:
    given = Size()
    estimator = AnomalyEstimator(given, false_alarm_rate=0.2).fit(NORMAL)
    assert given.usual is None and given.calibration is None, "the detector given stays as it was"
    assert len(estimator.detector_.calibration.scores) == 5
    assert estimator.predict(LARGE).tolist() == [-1, -1, -1]
    assert estimator.predict(NORMAL[:5]).tolist() == [1] * 5
    scores = estimator.score_samples([*NORMAL, *LARGE])
    assert scores[:10].min() > scores[10:].max()
    np.testing.assert_allclose(estimator.decision_function(LARGE), scores[10:] - estimator.offset_)
    anomalous = [bool(found.is_anomalous) for found in estimator.detect([*NORMAL, *LARGE])]
    assert (estimator.predict([*NORMAL, *LARGE]) == np.where(anomalous, -1, 1)).all()


def test_a_score_at_the_threshold_is_normal() -> None:
    estimator = AnomalyEstimator(Size(), false_alarm_rate=0.2).fit(NORMAL)
    highest = NORMAL[int(estimator.score_samples(NORMAL[5:]).argmin()) + 5]
    assert estimator.decision_function([highest]).tolist() == [0.0]
    assert estimator.predict([highest]).tolist() == [1]


def test_no_scan_is_both_learnt_from_and_calibrated_on() -> None:
    for share, learnt in ((0.01, 9), (0.3, 7), (0.99, 1)):
        estimator = AnomalyEstimator(Size(), false_alarm_rate=0.5, calibration_share=share).fit(NORMAL)
        assert estimator.detector_.usual == max(float(np.ptp(points)) for points in NORMAL[:learnt])
        assert len(estimator.detector_.calibration.scores) == 10 - learnt


def test_scikit_learns_tools_take_it() -> None:
    estimator = AnomalyEstimator(Size(), false_alarm_rate=0.4)
    again: Any = clone(estimator)
    assert again.get_params().keys() == {"detector", "false_alarm_rate", "calibration_share"}
    assert again.detector is not estimator.detector and again.detector.power == 1.0
    doubled: Any = FunctionTransformer(lambda scans: [2 * points for points in scans])
    pipeline: Any = Pipeline([("scale", doubled), ("detect", estimator)]).fit(NORMAL)
    assert pipeline.predict(LARGE).tolist() == [-1, -1, -1]
    search: Any = GridSearchCV(
        AnomalyEstimator(false_alarm_rate=0.4), {"detector": [Size(2.0), Size(1.0)]}, cv=2,
        scoring=lambda fitted, scans, y=None: fitted.score_samples(scans).mean() * fitted.detector.power,
    )  # fmt: skip
    assert search.fit(NORMAL).best_estimator_.detector.power == 2.0
    kept = pickle.loads(pickle.dumps(estimator.fit(NORMAL)))
    assert kept.predict(LARGE).tolist() == [-1, -1, -1]
    assert AnomalyEstimator(Size(), false_alarm_rate=0.2).fit_predict(NORMAL).shape == (10,)


# Of scikit-learn's checks those that give no matrix to `fit`; X is a sequence of scans here, which its tags say.
CHECKS = (
    "check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_estimator_repr",
    "check_get_params_invariance", "check_set_params", "check_mixin_order", "check_valid_tag_types",
    "check_estimator_tags_renamed", "check_estimator_cloneable",
)  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_scikit_learns_own_checks(name: str) -> None:
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip("this scikit-learn has no such check")
    check("AnomalyEstimator", AnomalyEstimator())


def test_too_few_scans_for_the_rate_are_told() -> None:
    with pytest.warns(UserWarning, match="cannot promise less"):
        AnomalyEstimator(Size()).fit(NORMAL)


def test_refusals() -> None:
    with pytest.raises(NotFittedError):
        AnomalyEstimator(Size()).predict(NORMAL)
    with pytest.raises(ConfigError, match="at least 2"):
        AnomalyEstimator(Size()).fit(NORMAL[:1])
    with pytest.raises(ConfigError, match="calibration_share"):
        AnomalyEstimator(Size(), calibration_share=1.0).fit(NORMAL)
    with pytest.raises(ConfigError, match="false_alarm_rate"):
        AnomalyEstimator(Size(), false_alarm_rate=0.0).fit(NORMAL)


class Blind(Size):
    """Sees nothing in scans of two points."""

    def score_cloud(self, cloud: PointCloud) -> Detection:
        found = super().score_cloud(cloud)
        return replace(found, notes=("two points",), measurable=False) if len(cloud) == 2 else found


def test_what_cannot_be_judged_is_no_inlier_and_says_why() -> None:
    estimator = AnomalyEstimator(Blind(), false_alarm_rate=0.2).fit(NORMAL)
    with pytest.warns(UserWarning, match=r"X\[1\] is not measurable: two points"):
        assert estimator.predict([NORMAL[0], np.eye(3)[:2] * 0.1]).tolist() == [1, -1]


def test_scans_are_prepared_as_the_detector_says() -> None:
    estimator = AnomalyEstimator(Size().prepare_scans(parts="split"), false_alarm_rate=0.2).fit(NORMAL)
    assert estimator.detect(NORMAL[:1])[0].notes[0] == "one body"
