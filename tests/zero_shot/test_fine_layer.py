"""The second look at dense scans, from coarse to fine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pointadplus import ZeroShotDetector
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.evaluation import auroc
from pointadplus.geometry.dense_surface import FINE_FEATURES, DenseSurface
from pointadplus.geometry.neighbors import knn
from pointadplus.learning.synthesis.fine import sample_fine
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.zero_shot import fine_layer
from pointadplus.zero_shot.fine_layer import DENSE, FineLayer, embedded_fine_layer, fine_odds


@pytest.fixture(scope="module")
def detector() -> ZeroShotDetector:
    return ZeroShotDetector()


class Column(FineLayer):
    """Stands for a layer: what it says is one of the features."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, 0]


def ball(count: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1) / 3.5


def test_points_about_the_oddest_get_their_own_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 9,000 the first 1,000, and the 2,000 whose nearest of those are the oddest; smoothing is switched off."""
    monkeypatch.setattr(fine_layer, "SPREAD", 1000)
    monkeypatch.setattr(fine_layer, "DETAIL", 2000)
    monkeypatch.setattr(fine_layer, "WIDTH", 1e-3)
    points = ball(9000)
    every, some = (fine_odds(Column(), points, full=full) for full in (True, False))
    own = DenseSurface(points).describe(points)[:, 0]
    assert torch.allclose(every, own, atol=1e-4)
    nearest = knn(points[:1000], points[1000:], 1)[1][:, 0]
    oddest = own[nearest].argsort(descending=True, stable=True)[:2000] + 1000
    others = torch.ones(9000, dtype=torch.bool)
    others[oddest] = others[:1000] = False
    assert torch.allclose(some[:1000], own[:1000], atol=1e-4) and torch.allclose(some[oddest], own[oddest], atol=1e-4)
    assert torch.allclose(some[others], own[nearest][others[1000:]], atol=1e-4)


def test_what_is_said_is_smoothed_over_what_lies_near() -> None:
    """White noise of variance ½, about evenly averaged over eight points."""

    class Noise(FineLayer):
        def forward(self, features: Tensor) -> Tensor:
            return torch.sin(1e6 * features[:, 0])

    odds = fine_odds(Noise(), ball(6000), full=True)
    assert float(odds.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(odds.var()) == pytest.approx(0.5 / 8, rel=0.3)


def test_a_fine_defect_is_found(detector: ZeroShotDetector) -> None:
    """On a dense scan of a family that nothing was learnt from, better than at a first look."""
    scan = sample_fine(7_800_022, HELD_OUT, defects=3)
    assert len(scan.points) > DENSE
    detection = detector.score(scan.points)
    assert set(detection.layers) == {"rendering", "geometry", "joined", "fine"}
    coarse = ZeroShotDetector(resolution="coarse").score(scan.points)
    assert set(coarse.layers) == {"rendering", "geometry", "joined"}
    labels = (scan.kinds >= 0).numpy()
    found, before = (auroc(labels, each.point_scores.numpy()) for each in (detection, coarse))
    assert found > 0.9 and found > before


def test_the_order_of_the_points_does_not_matter(detector: ZeroShotDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointadplus.zero_shot.detector.DENSE", 4000)
    points = ball(6000)
    shuffled = torch.randperm(6000, generator=torch.Generator().manual_seed(1))
    one, other = detector.score(points), detector.score(points[shuffled])
    assert "fine" in one.layers
    assert one.object_score == other.object_score and torch.equal(one.point_scores[shuffled], other.point_scores)


def test_sparse_scans_get_one_look(detector: ZeroShotDetector) -> None:
    one = detector.score(ball(6000))
    coarse = ZeroShotDetector(resolution="coarse").score(ball(6000))
    assert "fine" not in one.layers and torch.equal(one.point_scores, coarse.point_scores)


def test_the_resolution_is_kept_and_told_apart(detector: ZeroShotDetector, tmp_path: Path) -> None:
    full = ZeroShotDetector(resolution="full")
    full.save(tmp_path / "full.safetensors")
    assert ZeroShotDetector.load(tmp_path / "full.safetensors").config.resolution == "full"
    assert full.fingerprint() != detector.fingerprint()
    with pytest.raises(ConfigError, match="'auto', 'coarse' or 'full'"):
        ZeroShotDetector(resolution="finest")


def test_weights_that_are_no_fine_layer_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded_fine_layer.cache_clear()
    state = load_file(fine_layer.EMBEDDED)
    assert state["entry.weight"].shape[1] == FINE_FEATURES
    for metadata, broken in (({}, state), ({fine_layer.FORMAT: "{}"}, {"entry.bias": state["entry.bias"]})):
        save_file(broken, tmp_path / "fine.safetensors", metadata)
        monkeypatch.setattr(fine_layer, "EMBEDDED", tmp_path / "fine.safetensors")
        with pytest.raises(WeightsError):
            embedded_fine_layer()


def test_both_looks_are_joined_by_log_odds() -> None:
    layer = FineLayer(8)
    with torch.no_grad():
        layer.point.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.point.bias.fill_(-3.0)
        assert layer.joined(torch.tensor([0.5, 1.0]), torch.tensor([2.0, 0.0])).tolist() == pytest.approx([1.5, -2.0])
        layer.whole.weight.copy_(torch.tensor([[1.0, 1.0]]))
        layer.whole.bias.fill_(0.25)
        odds = torch.zeros(4000)
        odds[7] = odds[9] = 4.0  # of 4,000 points, the two highest tell
        assert float(layer.verdict(torch.tensor(-1.0), odds)) == pytest.approx(-1.0 + 4.0 + 0.25)
