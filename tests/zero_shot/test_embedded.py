"""The weights inside the package: they load, they are the ones of their cards, and they find defects."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
import torch
from sklearn.metrics import roc_auc_score

from pointadplus import ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_pair
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from tests.goldens import embedded

ASSETS = files("pointadplus") / "assets"


# Ten, since on another processor some of them are other objects.
SEEDS = (*range(440_000_000, 440_000_008), 440_000_011, 440_000_013)


@pytest.fixture(scope="module")
def detector() -> ZeroShotDetector:
    return ZeroShotDetector()


@pytest.fixture(scope="module")
def pairs(detector: ZeroShotDetector) -> list:
    """Healthy and damaged twins of held-out families, of a stream that no training drew from, with their detections."""
    scanner = ScannerConfig(shares=(1.0, 0.0, 0.0, 0.0, 0.0), points=(16_000, 17_000))
    corpus = CorpusConfig(families=HELD_OUT, scanner=scanner)
    found = []
    for seed in SEEDS:
        healthy, damaged = sample_pair(seed, corpus)
        found.append((healthy, detector.score(healthy.points), damaged, detector.score(damaged.points)))
    return found


def test_cards_tell_where_the_weights_come_from(detector):
    tower = json.loads((ASSETS / "embedded.json").read_text())
    layers = json.loads((ASSETS / "zero_shot.json").read_text())
    assert {"data", "steps", "hours", "curve", "trials", "config"} <= set(tower)
    assert {"source", "pairs", "seconds", "training"} <= set(layers)
    assert layers["config"]["digest"] == detector.backbone.digest
    size = sum((ASSETS / name).stat().st_size for name in ("embedded.safetensors", "zero_shot.safetensors"))
    assert size < 40e6


def test_defects_of_unseen_families_stand_out(pairs):
    within = [roc_auc_score(damaged.labels, found.point_scores) for _, _, damaged, found in pairs]
    assert sum(within) / len(within) > 0.75


def test_damage_raises_the_object_score(pairs):
    raised = [found.object_score - clean.object_score for _, clean, _, found in pairs]
    assert sum(raised) / len(raised) > 0
    assert sum(value > 0 for value in raised) >= 7


def test_the_synthetic_calibration_is_of_these_weights(detector, pairs):
    """It has to be made again with the weights, by benchmarks/false_alarms.py."""
    calibrated = ZeroShotDetector().use_calibration("synthetic")
    calibration = calibrated.calibration
    assert calibration is not None
    assert calibration.detector == detector.fingerprint()
    assert len(calibration.scores) == 120
    assert calibration.promise <= calibration.false_alarm_rate == 0.05
    _, _, damaged, found = max(pairs, key=lambda pair: pair[3].object_score)
    judged = calibrated.score(damaged.points)
    assert judged.object_score == found.object_score > calibration.threshold
    assert judged.is_anomalous and judged.p_value <= calibration.promise


def test_golden_scores(detector):
    """Kept beside the weights: another processor moves them by 0.002, another weight by far more."""
    golden = json.loads(embedded.FILE.read_text())
    assert golden["digest"] == detector.backbone.digest
    scores = [detector.score(points).object_score for points in embedded.clouds()]
    torch.testing.assert_close(torch.tensor(scores), torch.tensor(golden["object_scores"]), atol=0.01, rtol=0)


def test_turning_the_object_moves_scores_no_more_than_measured(detector, pairs):
    """benchmarks/rotation.py puts the standard deviation over poses near 0.04, from which points become nodes."""
    _, _, damaged, still = pairs[-1]
    q, r = torch.linalg.qr(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)))
    q = q * torch.sign(torch.diagonal(r, dim1=1, dim2=2))[:, None]
    for turn in q * torch.sign(torch.linalg.det(q))[:, None, None]:
        turned = detector.score(damaged.points @ turn.T)
        assert abs(turned.object_score - still.object_score) < 0.2
        ranks = torch.stack(
            [scores.argsort().argsort().double() for scores in (still.point_scores, turned.point_scores)]
        )
        assert torch.corrcoef(ranks)[0, 1] > 0.7
